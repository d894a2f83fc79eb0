//! A call with any headers, answered with any status and headers: the envelope holds both ways.
//!
//! The input is the call's header lines, a blank line, a status and the reply's header lines, a blank line, the body.

use crate::{add, answer, headers, split_head};
use bytes::Bytes;
use fdk_runtime::testing::{self, TestFunction};
use fdk_runtime::{Context, Reply, Result};
use http::HeaderName;
use std::sync::LazyLock;

/// The connection's and the agent's to set.
const NOT_OURS: [&str; 6] =
    ["connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "fn-call-id"];

async fn handler(cx: Context, body: Bytes) -> Result<Reply> {
    if let Some(http) = cx.http() {
        assert!(!http.path().is_empty() && !http.path().contains(['?', '#']));
        assert!(http.url().contains(http.query_string()));
        assert!(http.query().count() <= http.query_string().len());
        assert_eq!(&http.to_parts().method, http.method());
        assert_eq!(cx.headers(), http.headers());
    }
    let trace = cx.trace();
    assert!(trace.traceparent.is_none_or(|parent| parent.len() >= 55));
    assert!(cx.header("x").is_none_or(str::is_ascii));
    let (head, body) = split_head(&body);
    let mut reply = Reply::new(Bytes::copy_from_slice(body)).status(status(head).unwrap_or(200))?;
    for (name, value) in headers(head) {
        reply = reply.header(name.as_str(), value.as_bytes())?;
    }
    Ok(reply)
}

fn status(head: &[u8]) -> Option<u16> {
    std::str::from_utf8(head.split(|byte| *byte == b'\n').next()?).ok()?.trim().parse().ok()
}

/// Takes an input through.
pub fn run(input: &[u8]) {
    static FUNCTION: LazyLock<TestFunction> = LazyLock::new(|| testing::function(handler));
    let (call, rest) = split_head(input);
    let mut to_gateway = None;
    let mut test = FUNCTION.body(rest.to_vec());
    for (name, value) in headers(call) {
        if name == "fn-intent" && value.to_str().is_ok() {
            to_gateway.get_or_insert(value.as_bytes().eq_ignore_ascii_case(b"httprequest"));
        }
        test = add(test, &name, &value);
    }
    let reply = answer(test);
    for name in NOT_OURS {
        assert!(!reply.headers().contains_key(name), "{name} in {reply:?}");
    }
    let (head, body) = split_head(rest);
    match reply.wire_status() {
        200 => assert_eq!(reply.bytes().as_ref(), body),
        // Refused by `Reply::status`.
        502 => {
            return assert!(status(head).is_some_and(|status| !(100..=599).contains(&status)), "{reply:?}");
        }
        // The call may carry a deadline that is past.
        _ => return,
    }
    let to_gateway = to_gateway.unwrap_or(false);
    if to_gateway {
        let inner: Vec<_> = reply.headers().get_all("fn-http-status").iter().collect();
        assert_eq!(inner, [status(head).unwrap_or(200).to_string().as_str()]);
    }
    for (name, value) in headers(head).filter(|(name, _)| !is_special(name)) {
        let wire = if to_gateway { format!("fn-http-h-{name}") } else { name.to_string() };
        assert!(
            reply.headers().get_all(wire.as_str()).iter().any(|sent| sent == value),
            "{wire} in {reply:?}"
        );
        assert!(!to_gateway || !reply.headers().contains_key(&name), "{name} in {reply:?}");
    }
}

/// Dropped, replaced, or passed on as it is.
fn is_special(name: &HeaderName) -> bool {
    let name = name.as_str();
    let dropped = ["proxy-authenticate", "proxy-authorization", "te", "trailer", "content-type"];
    NOT_OURS.contains(&name) || dropped.contains(&name) || name.starts_with("fn-")
}
