//! Objects, as streams.

use super::error::Kind;
use super::{Client, ClientError, segment};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, RANGE};
use std::fmt;
use std::io::{self, Read};
use std::ops::{Bound, RangeBounds};

/// An object, or a range of one, as it is read. Whoever reads to the end has all of it: an early end is an error.
pub struct Object {
    body: Box<dyn Read + Send + Sync>,
    length: Option<u64>,
    read: u64,
    content_type: Option<String>,
    etag: Option<String>,
}

impl Object {
    /// The bytes that are there to read, where the service says.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Its content type.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The version of it, which changes with its content.
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }
}

impl Client {
    /// Opens an object. The function needs the permission `OBJECT_READ`: `Allow dynamic-group D to read objects in
    /// compartment C where target.bucket.name='B'`.
    pub fn object(&self, namespace: &str, bucket: &str, name: &str) -> Result<Object, ClientError> {
        self.object_range(namespace, bucket, name, ..)
    }

    /// Opens a range of an object, in bytes from its start.
    pub fn object_range(
        &self,
        namespace: &str,
        bucket: &str,
        name: &str,
        range: impl RangeBounds<u64>,
    ) -> Result<Object, ClientError> {
        let what = format!("object {name} of bucket {bucket}");
        let range = header(&range).map_err(|why| ClientError::new(&what, Kind::Reply(why)))?;
        let headers: Vec<(HeaderName, HeaderValue)> = range.map(|range| (RANGE, range)).into_iter().collect();
        let path = format!("/n/{}/b/{}/o/{}", segment(namespace), segment(bucket), segment(name));
        let response = self.get(&what, &self.object_storage, &path, &headers)?;
        let (head, body) = response.into_parts();
        if !headers.is_empty() && head.status != StatusCode::PARTIAL_CONTENT {
            return Err(ClientError::new(
                &what,
                Kind::Reply("the service sent all of it instead of the range"),
            ));
        }
        let text = |name| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
        Ok(Object {
            length: text(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            read: 0,
            content_type: text(CONTENT_TYPE),
            etag: text(ETAG),
            body: Box::new(body.into_reader()),
        })
    }
}

/// `bytes=FIRST-LAST` (RFC 9110, 14.1.2); `None` for all of it.
fn header(range: &impl RangeBounds<u64>) -> Result<Option<HeaderValue>, &'static str> {
    let overflow = "the range is out of bounds";
    let first = match range.start_bound() {
        Bound::Unbounded => 0,
        Bound::Included(first) => *first,
        Bound::Excluded(before) => before.checked_add(1).ok_or(overflow)?,
    };
    let last = match range.end_bound() {
        Bound::Unbounded => None,
        Bound::Included(last) => Some(*last),
        Bound::Excluded(after) => Some(after.checked_sub(1).ok_or("the range is empty")?),
    };
    let text = match last {
        None if first == 0 => return Ok(None),
        None => format!("bytes={first}-"),
        Some(last) if last < first => return Err("the range is empty"),
        Some(last) => format!("bytes={first}-{last}"),
    };
    HeaderValue::try_from(text).map(Some).map_err(|_| overflow)
}

impl Read for Object {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        self.read += read as u64;
        match self.length {
            Some(length) if read == 0 && !buffer.is_empty() && self.read < length => {
                let message = format!("the connection ended after {} of {length} bytes", self.read);
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, message))
            }
            _ => Ok(read),
        }
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("length", &self.length)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_written_as_http_has_it() {
        let text = |range: Result<Option<HeaderValue>, _>| {
            range.unwrap().map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(text(header(&(..))), None);
        assert_eq!(text(header(&(3..))).unwrap(), "bytes=3-");
        assert_eq!(text(header(&(3..5))).unwrap(), "bytes=3-4");
        assert_eq!(text(header(&(..=5))).unwrap(), "bytes=0-5");
        assert_eq!(header(&(5..5)), Err("the range is empty"));
        assert_eq!(header(&(..0)), Err("the range is empty"));
    }
}
