//! The Functions API, in both of its versions: applications, functions, and the calls of them.

mod application;
mod attributes;
mod function;
mod page;
mod work_request;

pub(super) use attributes::compartment_of;
pub(super) use work_request::WorkRequests;

use super::{Asked, Fault, Version};
use crate::server::respond::{self, Body};
use crate::store::Refusal;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Map, Value};
use work_request::Entity;

pub(super) async fn answer(
    asked: &Asked<'_>,
    version: Version,
    path: &[&str],
) -> Result<Response<Body>, Fault> {
    let response = route(asked, version, path).await?;
    match version {
        Version::V20181201 => Ok(response),
        Version::V20260325 => work_request::note(asked, path, response),
    }
}

async fn route(asked: &Asked<'_>, version: Version, path: &[&str]) -> Result<Response<Body>, Fault> {
    let method = &asked.head.method;
    match (method, path) {
        (&Method::GET, ["applications"]) => application::list(asked),
        (&Method::POST, ["applications"]) => application::create(asked),
        (&Method::GET, ["applications", id]) => application::get(asked, id),
        (&Method::PUT, ["applications", id]) => application::update(asked, id),
        (&Method::DELETE, ["applications", id]) => application::delete(asked, id),
        (&Method::GET, ["functions"]) => function::list(asked, version),
        (&Method::POST, ["functions"]) => function::create(asked, version).await,
        (&Method::GET, ["functions", id]) => function::get(asked, version, id),
        (&Method::PUT, ["functions", id]) => function::update(asked, version, id),
        (&Method::DELETE, ["functions", id]) => function::delete(asked, id),
        (&Method::GET, ["workRequests", id]) => work_request::get(asked, id),
        (&Method::POST, ["functions", id, "actions", "invoke"]) => function::invoke(asked, id).await,
        _ => Err(Fault::no_path(method, asked.head.uri.path())),
    }
}

/// The body of a request: an object.
fn details(asked: &Asked<'_>) -> Result<Map<String, Value>, Fault> {
    let invalid =
        || Fault::new(StatusCode::BAD_REQUEST, "CannotParseRequest", "The body is not a JSON object");
    serde_json::from_slice(&asked.body).map_err(|_| invalid())
}

/// A text of the body that must be there.
fn required<'a>(details: &'a Map<String, Value>, name: &str) -> Result<&'a str, Fault> {
    match details.get(name) {
        None | Some(Value::Null) => Err(Fault::missing(name)),
        Some(value) => value.as_str().ok_or_else(|| Fault::invalid(format!("{name} must be a text"))),
    }
}

/// One thing, with its etag.
fn shown(value: &Value, etag: &str) -> Response<Body> {
    let mut response = respond::with_type("application/json", value.to_string());
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    response.extensions_mut().insert(Entity { id: text("id"), compartment: text("compartmentId") });
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// What is no more.
fn nothing(id: &str, compartment: String) -> Response<Body> {
    let mut response = Response::new(respond::whole(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.extensions_mut().insert(Entity { id: id.to_owned(), compartment });
    response
}

/// Changes with the thing.
fn etag(id: &str, updated_at: &str) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (id, updated_at).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.message().to_owned();
        match refusal.status() {
            400 => Self::invalid(message),
            404 => Self::not_authorized_or_not_found(),
            409 => Self::new(StatusCode::CONFLICT, "NotAuthorizedOrResourceAlreadyExists", message),
            _ => Self::internal(&refusal),
        }
    }
}
