//! The request as the agent writes it.

use super::Call;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Empty, StreamBody, combinators::BoxBody};
use std::convert::Infallible;
use std::time::SystemTime;

/// `POST /call` as the agent writes it (`createUDSRequest`).
pub(super) fn request(
    socket: &std::path::Path,
    call_id: &str,
    deadline: SystemTime,
    call: Call,
) -> Request<BoxBody<Bytes, Infallible>> {
    // Of unknown length, as the agent's body is: chunked unless there is nothing to send.
    let body = if call.body.is_empty() {
        Empty::new().boxed()
    } else {
        let frame = Ok::<_, Infallible>(http_body::Frame::data(call.body));
        BodyExt::boxed(StreamBody::new(futures_util::stream::iter([frame])))
    };
    let mut request = Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = hyperlocal::Uri::new(socket, "/call").into();
    *request.headers_mut() = call.headers;
    let headers = request.headers_mut();
    // The caller's, and never passed on.
    headers.remove(http::header::CONTENT_LENGTH);
    headers.insert(http::header::HOST, HeaderValue::from_static("localhost"));
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("fn-call-id", call_id);
    set("fn-deadline", &whole_seconds(deadline));
    request
}

/// RFC 3339 without fractions: Go's `time.RFC3339` cuts them off.
fn whole_seconds(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_deadline_has_whole_seconds() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_348_800_999);
        assert_eq!(whole_seconds(time), "2026-11-22T12:00:00Z");
    }
}
