//! Any body with any content type, bound by each type: it binds, or the caller is told what is wrong with it.
//!
//! The input is header lines, a blank line, and the body.

use crate::{add, answer, headers, split_head};
use bytes::Bytes;
use fdk_runtime::testing::{self, TestFunction};
use fdk_runtime::{CloudEvent, Context, Json, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

type Shape = BTreeMap<String, Vec<Option<u8>>>;

struct Functions {
    value: TestFunction,
    shape: TestFunction,
    optional: TestFunction,
    text: TestFunction,
    bytes: TestFunction,
    event: TestFunction,
}

static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| Functions {
    value: testing::function(async |_: Context, json: Json<Value>| -> Result<Json<Value>> { Ok(json) }),
    shape: testing::function(async |_: Context, json: Json<Shape>| -> Result<Json<Shape>> { Ok(json) }),
    optional: testing::function(async |_: Context, json: Option<Json<Value>>| -> Result<Json<Value>> {
        Ok(json.unwrap_or_default())
    }),
    text: testing::function(async |_: Context, text: String| -> Result<String> { Ok(text) }),
    bytes: testing::function(async |_: Context, bytes: Bytes| -> Result<Bytes> { Ok(bytes) }),
    event: testing::function(async |_: Context, CloudEvent(event): CloudEvent| -> Result<String> {
        Ok(event.to_string())
    }),
});

/// Takes an input through.
pub fn run(input: &[u8]) {
    let (head, body) = split_head(input);
    // The body, where it bound.
    let bound = |function: &TestFunction| {
        let mut call = function.http("POST", "/").body(body.to_vec());
        for (name, value) in headers(head).filter(|(name, _)| name != "fn-deadline") {
            call = add(call, &name, &value);
        }
        let reply = answer(call);
        assert_eq!(
            reply.wire_status(),
            200,
            "a body that does not bind is not the function's fault: {reply:?}"
        );
        match reply.status() {
            200 => Some(reply.bytes().clone()),
            400 | 422 => {
                assert!(reply.json::<Value>()["message"].as_str().is_some_and(|message| !message.is_empty()));
                None
            }
            other => panic!("{other}: {reply:?}"),
        }
    };
    let json = serde_json::from_slice::<Value>(body).ok();
    let read = |bytes: Bytes| serde_json::from_slice::<Value>(&bytes).expect("our own JSON");
    assert_eq!(bound(&FUNCTIONS.value).map(read), json);
    assert_eq!(bound(&FUNCTIONS.shape).is_some(), serde_json::from_slice::<Shape>(body).is_ok());
    assert_eq!(bound(&FUNCTIONS.optional).is_some(), body.is_empty() || json.is_some());
    assert_eq!(bound(&FUNCTIONS.text).is_some(), std::str::from_utf8(body).is_ok());
    assert_eq!(bound(&FUNCTIONS.bytes).as_deref(), Some(body));
    bound(&FUNCTIONS.event);
}
