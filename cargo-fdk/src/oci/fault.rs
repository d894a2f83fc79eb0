//! Refusals as OCI's services write them: a status, a code for machines, a message.

use crate::server::respond::{self, Body};
use http::{Response, StatusCode};
use serde_json::json;
use std::borrow::Cow;
use std::fmt;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: Cow<'static, str>,
}

impl Fault {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The signature, the date or the key is not good. OCI does not say which.
    pub(super) fn not_authenticated() -> Self {
        let message =
            "The required information to complete authentication was not provided or was incorrect.";
        Self::new(StatusCode::UNAUTHORIZED, "NotAuthenticated", message)
    }

    /// There is no such thing, or no statement allows it. OCI does not say which.
    pub(super) fn not_authorized_or_not_found() -> Self {
        let message = "Authorization failed or requested resource not found.";
        Self::new(StatusCode::NOT_FOUND, "NotAuthorizedOrNotFound", message)
    }

    /// A value is not good.
    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameter", message)
    }

    /// A value is not there.
    pub(super) fn missing(name: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MissingParameter", format!("{name} is required"))
    }

    /// What was to be changed has been changed since.
    pub(super) fn no_etag_match() -> Self {
        let message = "The etag of the resource is not the one in if-match.";
        Self::new(StatusCode::PRECONDITION_FAILED, "NoEtagMatch", message)
    }

    /// Nothing is at this path.
    pub(super) fn no_path(method: &http::Method, path: &str) -> Self {
        let message = format!("{method} {path} is not emulated here");
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// What is the platform's own failure.
    pub(super) fn internal(why: &dyn fmt::Display) -> Self {
        use std::io::Write as _;
        let _ = writeln!(anstream::stderr(), "error: {why}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "Internal server error.")
    }

    pub(super) fn response(&self) -> Response<Body> {
        let body = json!({"code": self.code, "message": self.message}).to_string();
        let mut response = respond::with_type("application/json", body);
        *response.status_mut() = self.status;
        response
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.code, self.message)
    }
}
