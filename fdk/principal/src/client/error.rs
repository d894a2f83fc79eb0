//! Why a request to a service came to nothing.

use crate::error::{Printable, Refusal};
use http::{Response, StatusCode};
use serde_json::Value;
use std::error::Error;
use std::fmt;
use std::io;
use ureq::Body;

/// Why a request to an OCI service came to nothing. The text names what was asked for, what the service said and the
/// remedy; it holds no part of a key, a token or a secret.
pub struct ClientError {
    what: String,
    kind: Kind,
}

pub(super) enum Kind {
    Endpoint(&'static str),
    Request(http::Error),
    Signature(Refusal),
    Transport(ureq::Error),
    Status { status: StatusCode, code: String, message: String, request_id: String },
    Reply(&'static str),
    Broken(io::Error),
}

impl Kind {
    /// What a service says with a status that is no success: `{"code": …, "message": …}`.
    pub(super) fn refused(response: Response<Body>) -> Self {
        const LONGEST: u64 = 64 * 1024;
        let (head, mut body) = response.into_parts();
        let request_id = head.headers.get("opc-request-id").and_then(|value| value.to_str().ok());
        let body = body.with_config().limit(LONGEST).read_to_vec().unwrap_or_default();
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name| said.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self::Status {
            status: head.status,
            code: text("code"),
            message: text("message"),
            request_id: request_id.unwrap_or_default().to_owned(),
        }
    }
}

impl ClientError {
    pub(super) fn new(what: &str, kind: Kind) -> Self {
        Self { what: what.to_owned(), kind }
    }

    /// The status the service answered with, where it answered.
    pub fn status(&self) -> Option<StatusCode> {
        match &self.kind {
            Kind::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the service says that it is not there, or, which OCI does not tell apart, not for this identity to see.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.what)?;
        match &self.kind {
            Kind::Endpoint(why) | Kind::Reply(why) => f.write_str(why),
            Kind::Request(error) => write!(f, "it makes no request: {error}"),
            Kind::Signature(refusal) => refusal.fmt(f),
            Kind::Transport(error) => write!(f, "the service cannot be reached: {error}"),
            Kind::Broken(error) => write!(f, "the reply broke off: {error}"),
            Kind::Status { status, code, message, request_id } => {
                write!(f, "the service answered {status}")?;
                for (before, text) in [(" ", code), (": ", message), (", opc-request-id ", request_id)] {
                    if !text.is_empty() {
                        write!(f, "{before}{}", Printable(text))?;
                    }
                }
                match *status {
                    StatusCode::NOT_FOUND => f.write_str(
                        "; check the names, and that a policy statement allows this identity to read it",
                    ),
                    StatusCode::UNAUTHORIZED => {
                        f.write_str("; check the clock, and that the identity is good")
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientError({self})")
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Request(error) => Some(error),
            Kind::Signature(refusal) => Some(refusal),
            Kind::Transport(error) => Some(error),
            Kind::Broken(error) => Some(error),
            Kind::Endpoint(_) | Kind::Reply(_) | Kind::Status { .. } => None,
        }
    }
}

/// So that an object can be read with `?`.
impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::new("the object", Kind::Broken(error))
    }
}
