//! Responses as the Fn server writes them.

use crate::agent::Fault;
use crate::store::Refusal;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

/// A body that is whole, or comes.
pub type Body = UnsyncBoxBody<Bytes, Fault>;

pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that comes in pieces; a fault breaks it off, so that nobody takes it for whole.
pub(crate) fn coming(pieces: mpsc::Receiver<Result<Bytes, Fault>>) -> Body {
    let pieces = futures_util::stream::unfold(pieces, |mut pieces| async {
        let piece = pieces.recv().await?;
        Some((piece.map(http_body::Frame::data), pieces))
    });
    StreamBody::new(pieces).boxed_unsync()
}

pub(crate) fn with_type(content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(whole(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

const JSON: &str = "application/json; charset=utf-8";

pub(crate) fn json(value: &impl Serialize) -> Response<Body> {
    with_type(JSON, serde_json::to_vec(value).unwrap_or_default())
}

/// `{"message":"…"}` and a line's end.
pub(crate) fn error(status: u16, message: &str) -> Response<Body> {
    let mut response = with_type(JSON, format!("{}\n", json!({ "message": message })));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == 503 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("15"));
    }
    response
}

pub(crate) fn refused(refusal: &Refusal) -> Response<Body> {
    if refusal.status() == 500 {
        use std::io::Write as _;
        let _ = writeln!(anstream::stderr(), "error: {refusal}");
    }
    error(refusal.status(), refusal.message())
}

pub(crate) fn fault(fault: &Fault) -> Response<Body> {
    error(fault.status(), fault.message())
}
