//! What a handler answers with when a value alone does not say it: status, headers, a stream.

use crate::contract::Outcome;
use crate::error::{Error, Result};
use crate::gateway;
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt as _};
use http::header::{self, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use std::pin::Pin;

/// The chunks of a streamed reply.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes>>>>;

/// A reply with a status, headers, and a body that is whole or a stream.
///
/// The status and the headers reach callers behind a trigger or gateway as their HTTP status and headers. A direct
/// caller gets 200 with the status in `Fn-Http-Status`, since the platform knows no other success.
///
/// ```
/// # use fdk_runtime::{Reply, Result};
/// fn teapot() -> Result<Reply> {
///     Reply::new("short and stout").status(418)?.header("x-kind", "teapot")
/// }
/// # assert!(teapot().is_ok());
/// ```
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    Whole(Bytes),
    Chunks(Chunks),
}

impl Reply {
    /// A reply of status 200 without a content type.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { status: 200, headers: HeaderMap::new(), body: Body::Whole(body.into()) }
    }

    /// A reply that is sent chunk by chunk as the stream makes them, no faster than the caller reads. An error in the
    /// stream breaks the connection off, so that nobody takes the part for the whole; so does the deadline.
    ///
    /// The Fn server and OCI collect a reply before they pass it on: the caller still sees it whole.
    pub fn stream<S, C, E>(chunks: S) -> Self
    where
        S: Stream<Item = Result<C, E>> + 'static,
        C: Into<Bytes>,
        E: Into<Error>,
    {
        let chunks = chunks.map(|chunk| chunk.map(Into::into).map_err(Into::into));
        Self { status: 200, headers: HeaderMap::new(), body: Body::Chunks(Box::pin(chunks)) }
    }

    /// Sets the HTTP status, 100 to 599; another value is an error.
    pub fn status(mut self, status: u16) -> Result<Self> {
        if !(100..=599).contains(&status) {
            return Err(Error::new(format!("{status} is no HTTP status: a reply takes 100 to 599")));
        }
        self.status = status;
        Ok(self)
    }

    /// Adds a header; the same name may be added more than once, except `Content-Type`, where the last one counts. A
    /// name or value that HTTP does not allow is an error.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self> {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Error::new(format!("{name:?} is no HTTP header name")))?;
        let value = HeaderValue::from_bytes(value.as_ref()).map_err(|_| {
            Error::new(format!("the value of header {name} holds a line break or control character"))
        })?;
        if name == CONTENT_TYPE {
            self.headers.insert(name, value);
        } else {
            self.headers.append(name, value);
        }
        Ok(self)
    }

    /// Sets `Content-Type` where the handler set none.
    pub(crate) fn default_type(mut self, content_type: &'static str) -> Self {
        self.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
        self
    }

    /// The headers for the wire. Hop-by-hop headers, framing and the call id are the connection's and the agent's to
    /// set: one of ours would contradict theirs.
    pub(crate) fn wire_headers(status: u16, mut headers: HeaderMap, to_gateway: bool) -> HeaderMap {
        // Most replies have a content type and no more: fewer to look at than there are to remove.
        if headers.keys().any(|name| NOT_OURS.contains(name)) {
            for name in NOT_OURS {
                headers.remove(name);
            }
        }
        if to_gateway {
            return gateway::encode(status, headers);
        }
        if status != 200 {
            headers.insert(crate::contract::header::HTTP_STATUS, HeaderValue::from(status));
        }
        headers
    }

    /// The reply to a failure, with what the wire makes of it. A gateway hands the caller's own fault to the caller;
    /// every other failure is a 502, whose body the platform throws away.
    pub(crate) fn failure(error: &Error, to_gateway: bool) -> (Outcome, Self) {
        let mut body = serde_json::Map::new();
        body.insert("message".into(), error.to_string().into());
        if let Some(path) = error.path() {
            body.insert("path".into(), path.into());
        }
        let mut reply =
            Self::new(serde_json::Value::Object(body).to_string()).default_type("application/json");
        let outcome = match error.caller_status() {
            Some(status) => {
                reply.status = status;
                if to_gateway { Outcome::Ok } else { Outcome::Failed }
            }
            None if error.is_timed_out() => {
                reply.status = 504;
                Outcome::TimedOut
            }
            None => {
                reply.status = 502;
                Outcome::Failed
            }
        };
        (outcome, reply)
    }
}

const NOT_OURS: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static(crate::contract::header::CALL_ID),
];

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Reply");
        // A cookie that it sets is a credential.
        debug.field("status", &self.status).field("headers", &self.headers.keys().collect::<Vec<_>>());
        match &self.body {
            Body::Whole(body) => debug.field("bytes", &body.len()),
            Body::Chunks(_) => debug.field("bytes", &"stream"),
        };
        debug.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_http_does_not_allow_is_an_error() {
        let message = |result: Result<Reply>| result.unwrap_err().to_string();
        assert_eq!(message(Reply::new("").status(99)), "99 is no HTTP status: a reply takes 100 to 599");
        assert_eq!(message(Reply::new("").status(600)), "600 is no HTTP status: a reply takes 100 to 599");
        assert_eq!(message(Reply::new("").header("a b", "c")), "\"a b\" is no HTTP header name");
        assert_eq!(
            message(Reply::new("").header("x", "a\nb")),
            "the value of header x holds a line break or control character"
        );
    }

    #[test]
    fn headers_of_the_connection_are_not_ours() {
        let reply = Reply::new("").header("Connection", "close").unwrap().header("Fn-Call-Id", "x").unwrap();
        let reply = reply.header("Location", "/elsewhere").unwrap();
        let direct = Reply::wire_headers(302, reply.headers.clone(), false);
        assert_eq!(direct.len(), 2);
        assert_eq!(
            (&direct["fn-http-status"], &direct["location"]),
            (&HeaderValue::from(302), &"/elsewhere".parse().unwrap())
        );
    }

    #[test]
    fn only_a_gateway_hands_the_callers_fault_to_the_caller() {
        let fault = Error::input("no such label").at("labels[2]").status(404);
        let (outcome, reply) = Reply::failure(&fault, true);
        assert_eq!((outcome, reply.status), (Outcome::Ok, 404));
        let Body::Whole(body) = reply.body else { panic!("a failure is whole") };
        assert_eq!(body, r#"{"message":"labels[2]: no such label","path":"labels[2]"}"#);
        assert_eq!(Reply::failure(&fault, false).0, Outcome::Failed);
        assert_eq!(Reply::failure(&Error::new("broken"), true).0, Outcome::Failed);
        assert_eq!(Reply::failure(&Error::timed_out(), true).0, Outcome::TimedOut);
    }
}
