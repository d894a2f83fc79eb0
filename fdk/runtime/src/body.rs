//! Bodies bind by the Rust type of the handler, not by `Content-Type`: `fn invoke` sends JSON as `text/plain`, and the
//! OCI provider sends text as `application/json`.

use crate::context::Call;
use crate::error::{Error, Result};
use crate::reply::Reply;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type that a request body becomes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a function's input",
    label = "not an input type",
    note = "the second argument of a handler is `Json<T>` (T: serde::Deserialize), `Bytes`, `String`, `Vec<u8>`, \
            `()`, or `Option` of one of these"
)]
pub trait FromBody: Sized {
    /// Binds the body. An error made with [`Error::input`] is the caller's fault.
    fn from_body(call: &Call, body: Bytes) -> Result<Self>;
}

/// A type that a handler answers with.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a function's reply",
    label = "not a reply type",
    note = "a handler returns `Result<O>` where O is `Json<T>` (T: serde::Serialize), `Bytes`, `String`, `&'static str`, \
            `Vec<u8>`, `()`, or `Reply` for a status, headers or a stream"
)]
pub trait IntoReply {
    /// Makes the reply.
    fn into_reply(self) -> Result<Reply>;
}

/// A JSON body, in or out. The reply's `Content-Type` is `application/json`.
///
/// A request that is not JSON, or JSON of another shape, is the caller's fault, and the message names the place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromBody for Json<T> {
    fn from_body(_: &Call, body: Bytes) -> Result<Self> {
        if body.is_empty() {
            return Err(Error::input("the body is empty: this function takes JSON"));
        }
        let mut reader = serde_json::Deserializer::from_slice(&body);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(json_fault)?;
        reader.end().map_err(|error| not_json(&error))?;
        Ok(Self(value))
    }
}

/// "Not JSON" and "JSON of the wrong shape" are different faults with different remedies.
fn json_fault(error: serde_path_to_error::Error<serde_json::Error>) -> Error {
    let path = error.path().to_string();
    let error = error.into_inner();
    match error.classify() {
        serde_json::error::Category::Data if path == "." => Error::input(error.to_string()).status(422),
        serde_json::error::Category::Data => Error::input(error.to_string()).at(path).status(422),
        _ => not_json(&error),
    }
}

fn not_json(error: &serde_json::Error) -> Error {
    Error::input(format!("the body is not JSON: {error}"))
}

impl FromBody for Bytes {
    fn from_body(_: &Call, body: Bytes) -> Result<Self> {
        Ok(body)
    }
}

impl FromBody for Vec<u8> {
    fn from_body(_: &Call, body: Bytes) -> Result<Self> {
        Ok(body.into())
    }
}

impl FromBody for String {
    fn from_body(_: &Call, body: Bytes) -> Result<Self> {
        Self::from_utf8(body.into()).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Error::input(format!(
                "the body is not UTF-8: byte {at} begins no character; this function takes text"
            ))
        })
    }
}

/// Ignores the body.
impl FromBody for () {
    fn from_body(_: &Call, _: Bytes) -> Result<Self> {
        Ok(())
    }
}

/// `None` for an empty body.
impl<T: FromBody> FromBody for Option<T> {
    fn from_body(call: &Call, body: Bytes) -> Result<Self> {
        if body.is_empty() { Ok(None) } else { T::from_body(call, body).map(Some) }
    }
}

impl<T: Serialize> IntoReply for Json<T> {
    fn into_reply(self) -> Result<Reply> {
        let body = serde_json::to_vec(&self.0)?;
        Ok(Reply::new(body).default_type("application/json"))
    }
}

impl IntoReply for Bytes {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::new(self).default_type("application/octet-stream"))
    }
}

impl IntoReply for Vec<u8> {
    fn into_reply(self) -> Result<Reply> {
        Bytes::from(self).into_reply()
    }
}

impl IntoReply for String {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::new(self).default_type("text/plain; charset=utf-8"))
    }
}

impl IntoReply for &'static str {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::new(self).default_type("text/plain; charset=utf-8"))
    }
}

/// An empty reply.
impl IntoReply for () {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::new(Bytes::new()))
    }
}

impl IntoReply for Reply {
    fn into_reply(self) -> Result<Reply> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn bind<T: FromBody>(body: &'static [u8]) -> Result<T> {
        T::from_body(&Call::for_test(), Bytes::from_static(body))
    }

    #[test]
    fn a_fault_in_json_names_the_place() {
        let error = bind::<Json<BTreeMap<String, Vec<u8>>>>(br#"{"a":[1,"x"]}"#).unwrap_err();
        assert_eq!(error.to_string(), "a[1]: invalid type: string \"x\", expected u8 at line 1 column 11");
        assert_eq!(error.caller_status(), Some(422));
        let error = bind::<Json<Vec<u8>>>(b"[1,").unwrap_err();
        assert_eq!(error.to_string(), "the body is not JSON: EOF while parsing a value at line 1 column 3");
        assert_eq!(error.caller_status(), Some(400));
        let error = bind::<Json<Vec<u8>>>(b"[1] x").unwrap_err();
        assert_eq!(error.to_string(), "the body is not JSON: trailing characters at line 1 column 5");
        let error = bind::<Json<u8>>(b"").unwrap_err();
        assert_eq!(error.to_string(), "the body is empty: this function takes JSON");
    }

    #[test]
    fn text_must_be_utf8() {
        assert_eq!(bind::<String>("price 5€ é".as_bytes()).unwrap(), "price 5€ é");
        let error = bind::<String>(b"ab\xff").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the body is not UTF-8: byte 2 begins no character; this function takes text"
        );
    }

    #[test]
    fn an_empty_body_is_none() {
        assert_eq!(bind::<Option<String>>(b"").unwrap(), None);
        assert_eq!(bind::<Option<Json<u8>>>(b"7").unwrap(), Some(Json(7)));
    }
}
