//! Object Storage: namespaces, buckets and objects, to read and to write.

use super::range::{Wanted, range_of};
use super::storage::{Facts, Storage};
use super::{Asked, Fault};
use crate::policy::{self, Operation, Target};
use crate::server::respond::{self, Body};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::SeekFrom;
use std::time::SystemTime;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

/// The most objects in a page.
const PAGE: usize = 1000;
/// How much of an object is read at a time.
const CHUNK: usize = 64 * 1024;

pub(super) async fn answer(asked: &Asked<'_>, path: &[&str]) -> Result<Response<Body>, Fault> {
    let method = &asked.head.method;
    let get = method == Method::GET;
    match path {
        // Whoever is known may ask in which namespace it is.
        [] | [""] if get => Ok(respond::with_type(JSON, json!(namespace(asked)).to_string())),
        [namespace, rest @ ..] => {
            if *namespace != self::namespace(asked) {
                let message = format!(
                    "The namespace '{namespace}' does not exist or you are not authorized to access it"
                );
                return Err(Fault::new(StatusCode::NOT_FOUND, "NamespaceNotFound", message));
            }
            let storage = asked.oci.storage.as_ref().ok_or_else(|| {
                Fault::new(
                    StatusCode::NOT_FOUND,
                    "BucketNotFound",
                    "No folder is served: start with --storage DIR",
                )
            })?;
            let desk = Desk { asked, storage };
            match rest {
                ["b"] | ["b", ""] if get => desk.list_buckets(),
                ["b", bucket] if get || method == Method::HEAD => desk.bucket(bucket),
                ["b", bucket, "o"] if get => desk.list_objects(bucket),
                // Oracle's SDK for Python writes the slashes of an object's name as they are, others escape them.
                ["b", bucket, "o", object @ ..] if !object.is_empty() => {
                    let object = object.join("/");
                    match *method {
                        Method::GET | Method::HEAD => desk.get(bucket, &object).await,
                        Method::PUT => desk.put(bucket, &object),
                        Method::DELETE => desk.delete(bucket, &object),
                        _ => Err(unknown(asked)),
                    }
                }
                _ => Err(unknown(asked)),
            }
        }
        _ => Err(unknown(asked)),
    }
}

const JSON: &str = "application/json";

fn unknown(asked: &Asked<'_>) -> Fault {
    Fault::no_path(&asked.head.method, asked.head.uri.path())
}

fn namespace<'a>(asked: &'a Asked<'_>) -> &'a str {
    &asked.tenancy().namespace
}

fn no_bucket(asked: &Asked<'_>, bucket: &str) -> Fault {
    let message = format!(
        "Either the bucket named '{bucket}' does not exist in the namespace '{}' or you are not authorized to access it",
        namespace(asked)
    );
    Fault::new(StatusCode::NOT_FOUND, "BucketNotFound", message)
}

fn no_object(bucket: &str, object: &str) -> Fault {
    let message = format!("The object '{object}' was not found in the bucket '{bucket}'");
    Fault::new(StatusCode::NOT_FOUND, "ObjectNotFound", message)
}

/// Where a request is worked on.
struct Desk<'a> {
    asked: &'a Asked<'a>,
    storage: &'a Storage,
}

impl Desk<'_> {
    /// Buckets are in the tenancy's first compartment.
    fn compartment(&self) -> String {
        self.asked.tenancy().home().to_owned()
    }

    fn may(&self, operation: &'static Operation, bucket: &str, object: Option<&str>) -> Result<(), Fault> {
        let mut variables = vec![("target.bucket.name", bucket.to_owned())];
        variables.extend(object.map(|object| ("target.object.name", object.to_owned())));
        let target = Target { compartment: self.compartment(), variables };
        self.asked.may(operation, &target).map_err(|_| no_bucket(self.asked, bucket))
    }

    fn list_buckets(&self) -> Result<Response<Body>, Fault> {
        let compartment = self.asked.query.require("compartmentId")?.to_owned();
        self.asked.may(
            &policy::LIST_BUCKETS,
            &Target { compartment: compartment.clone(), variables: Vec::new() },
        )?;
        let names = if compartment == self.compartment() { self.storage.bucket_names() } else { Vec::new() };
        let buckets: Vec<Value> = names.iter().map(|name| self.described(name)).collect();
        Ok(respond::with_type(JSON, Value::from(buckets).to_string()))
    }

    fn bucket(&self, bucket: &str) -> Result<Response<Body>, Fault> {
        let head = self.asked.head.method == Method::HEAD;
        self.may(if head { &policy::HEAD_BUCKET } else { &policy::GET_BUCKET }, bucket, None)?;
        self.storage.bucket(bucket).ok_or_else(|| no_bucket(self.asked, bucket))?;
        let body = if head { String::new() } else { self.described(bucket).to_string() };
        let mut response = respond::with_type(JSON, body);
        insert(&mut response, header::ETAG, bucket);
        Ok(response)
    }

    fn described(&self, name: &str) -> Value {
        let modified = self.storage.bucket(name).and_then(|folder| folder.metadata().ok()?.modified().ok());
        json!({
            "namespace": namespace(self.asked), "name": name, "compartmentId": self.compartment(),
            "createdBy": self.asked.tenancy().id, "etag": name,
            "timeCreated": rfc3339(modified.unwrap_or(SystemTime::UNIX_EPOCH)),
        })
    }

    fn list_objects(&self, bucket: &str) -> Result<Response<Body>, Fault> {
        self.may(&policy::LIST_OBJECTS, bucket, None)?;
        let query = &self.asked.query;
        let limit = query.limit(PAGE)?;
        let fields: Vec<&str> = query.get("fields").unwrap_or("name").split(',').collect();
        let prefix = query.get("prefix").unwrap_or_default();
        let delimiter = match query.get("delimiter") {
            None => None,
            Some("/") => Some('/'),
            Some(_) => return Err(Fault::invalid("delimiter must be '/'")),
        };
        let objects = self.storage.objects(bucket).ok_or_else(|| no_bucket(self.asked, bucket))?;
        let wanted = objects.into_iter().filter(|(name, _)| {
            name.starts_with(prefix)
                && query.get("start").is_none_or(|start| name.as_str() >= start)
                && query.get("startAfter").is_none_or(|start| name.as_str() > start)
                && query.get("end").is_none_or(|end| name.as_str() < end)
        });
        let (mut shown, mut prefixes, mut next) = (Vec::new(), Vec::<String>::new(), None);
        for (name, facts) in wanted {
            let beneath = delimiter.and_then(|sign| name.get(prefix.len()..)?.find(sign));
            let group = beneath.and_then(|at| name.get(..=prefix.len() + at));
            if group.is_some_and(|group| prefixes.last().is_some_and(|last| last == group)) {
                continue;
            }
            if shown.len() + prefixes.len() == limit {
                next = Some(name);
                break;
            }
            match group {
                Some(group) => prefixes.push(group.to_owned()),
                None => shown.push(summary(&name, &facts, &fields)),
            }
        }
        let mut list = Map::from_iter([("objects".to_owned(), Value::from(shown))]);
        if delimiter.is_some() {
            list.insert("prefixes".into(), prefixes.into());
        }
        if let Some(next) = next {
            list.insert("nextStartWith".into(), next.into());
        }
        Ok(respond::with_type(JSON, Value::from(list).to_string()))
    }

    async fn get(&self, bucket: &str, object: &str) -> Result<Response<Body>, Fault> {
        let head = self.asked.head.method == Method::HEAD;
        self.may(if head { &policy::HEAD_OBJECT } else { &policy::GET_OBJECT }, bucket, Some(object))?;
        self.storage.bucket(bucket).ok_or_else(|| no_bucket(self.asked, bucket))?;
        let (file, facts) = self.storage.open(bucket, object).ok_or_else(|| no_object(bucket, object))?;
        let etag = facts.etag();
        if self
            .asked
            .header("if-none-match")
            .is_some_and(|known| known == "*" || known.trim_matches('"') == etag)
        {
            let mut response = Response::new(respond::whole(""));
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            insert(&mut response, header::ETAG, &etag);
            return Ok(response);
        }
        if self
            .asked
            .header("if-match")
            .is_some_and(|wanted| wanted != "*" && wanted.trim_matches('"') != etag)
        {
            return Err(Fault::new(StatusCode::PRECONDITION_FAILED, "IfMatchFailed", "The etag is another."));
        }
        let part = match self.asked.header("range").map(|range| range_of(range, facts.size)) {
            None | Some(Wanted::Whole) => None,
            Some(Wanted::Part(first, last)) => Some((first, last)),
            Some(Wanted::Nothing) => {
                let message = format!("The range is not within the {} bytes of the object", facts.size);
                return Err(Fault::new(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", message));
            }
        };
        let (first, length) = part.map_or((0, facts.size), |(first, last)| (first, last - first + 1));
        let body = if head { respond::whole("") } else { stream(file, first, length).await? };
        let mut response = Response::new(body);
        if let Some((first, last)) = part {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            insert(&mut response, header::CONTENT_RANGE, &format!("bytes {first}-{last}/{}", facts.size));
        }
        insert(&mut response, header::CONTENT_LENGTH, &length.to_string());
        insert(&mut response, header::CONTENT_TYPE, "application/octet-stream");
        insert(&mut response, header::ACCEPT_RANGES, "bytes");
        described(&mut response, &facts);
        Ok(response)
    }

    fn put(&self, bucket: &str, object: &str) -> Result<Response<Body>, Fault> {
        let there = self.storage.facts(bucket, object);
        let operation = if there.is_some() { &policy::OVERWRITE_OBJECT } else { &policy::PUT_OBJECT };
        self.may(operation, bucket, Some(object))?;
        self.storage.bucket(bucket).ok_or_else(|| no_bucket(self.asked, bucket))?;
        if there.is_some() && self.asked.header("if-none-match") == Some("*") {
            return Err(Fault::new(
                StatusCode::PRECONDITION_FAILED,
                "IfNoneMatchFailed",
                "The object is there.",
            ));
        }
        let wanted = self.asked.header("if-match").filter(|wanted| *wanted != "*");
        if wanted.is_some_and(|wanted| there.is_none_or(|there| there.etag() != wanted.trim_matches('"'))) {
            return Err(Fault::new(StatusCode::PRECONDITION_FAILED, "IfMatchFailed", "The etag is another."));
        }
        let name = || {
            Fault::new(
                StatusCode::BAD_REQUEST,
                "InvalidObjectName",
                format!("no object can be called {object:?} here"),
            )
        };
        let put = self.storage.put(bucket, object, &self.asked.body).ok_or_else(name)?;
        let facts = put.map_err(|error| Fault::internal(&format!("{bucket}/{object}: {error}")))?;
        let mut response = Response::new(respond::whole(""));
        described(&mut response, &facts);
        Ok(response)
    }

    fn delete(&self, bucket: &str, object: &str) -> Result<Response<Body>, Fault> {
        self.may(&policy::DELETE_OBJECT, bucket, Some(object))?;
        self.storage.bucket(bucket).ok_or_else(|| no_bucket(self.asked, bucket))?;
        let removed = self.storage.remove(bucket, object).ok_or_else(|| no_object(bucket, object))?;
        removed.map_err(|error| Fault::internal(&format!("{bucket}/{object}: {error}")))?;
        let mut response = Response::new(respond::whole(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }
}

fn summary(name: &str, facts: &Facts, fields: &[&str]) -> Value {
    let mut summary = Map::from_iter([("name".to_owned(), Value::from(name))]);
    for field in fields {
        let value: Value = match *field {
            "size" => facts.size.into(),
            "etag" => facts.etag().into(),
            "timeCreated" | "timeModified" => rfc3339(facts.modified).into(),
            _ => continue,
        };
        summary.insert((*field).to_owned(), value);
    }
    summary.into()
}

fn described(response: &mut Response<Body>, facts: &Facts) {
    insert(response, header::ETAG, &facts.etag());
    insert(response, header::LAST_MODIFIED, &http_date(facts.modified));
}

fn insert(response: &mut Response<Body>, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// A part of a file, as it is read. One that ends early ends the connection: a length was promised.
async fn stream(file: File, first: u64, length: u64) -> Result<Body, Fault> {
    let mut file = tokio::fs::File::from_std(file);
    file.seek(SeekFrom::Start(first)).await.map_err(|error| Fault::internal(&error))?;
    let chunks = futures_util::stream::unfold(file.take(length), |mut file| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        match file.read_buf(&mut chunk).await {
            Ok(1..) => Some((Ok(http_body::Frame::data(Bytes::from(chunk))), file)),
            Ok(0) | Err(_) => None,
        }
    });
    Ok(StreamBody::new(chunks).boxed_unsync())
}

pub(super) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| format!("{time:.3}")).unwrap_or_default()
}

fn http_date(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or_default();
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_oci_writes_them() {
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_795_348_800_999);
        assert_eq!(rfc3339(time), "2026-11-22T12:00:00.999Z");
        assert_eq!(http_date(time), "Sun, 22 Nov 2026 12:00:00 GMT");
    }
}
