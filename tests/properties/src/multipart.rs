//! Any form of several parts at OpenAI's path: the caller gets a reply or an error as its library reads them, and the model stays.
//!
//! The input is the content type in one line, and the body.

use crate::answer;
use bytes::Bytes;
use fdk::testing::TestFunction;
use fdk::{Assets, Context, Reply, Result, Transcriber};
use serde_json::Value;
use std::sync::LazyLock;

static FUNCTION: LazyLock<TestFunction> = LazyLock::new(|| {
    async fn transcribe(cx: Context<Transcriber>, body: Bytes) -> Result<Reply> {
        fdk::transcribe(&cx, cx.state(), body).await
    }
    let name = "whisper-tiny-en";
    let folder = fdk_models::obtain(name).expect("the model");
    let open = move |_: &fdk::Init| Transcriber::open(Assets::open(&folder, Some(name))?);
    fdk::function().state(open).test(transcribe)
});

/// Takes an input through.
pub fn run(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (content_type, body) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let Ok(content_type) = std::str::from_utf8(content_type) else { return };
    if http::HeaderValue::from_str(content_type).is_err() || !content_type.is_ascii() {
        return;
    }
    let call = FUNCTION.http("POST", "/v1/audio/transcriptions").header("content-type", content_type);
    let reply = answer(call.body(body.to_vec()));
    assert_eq!(reply.wire_status(), 200, "no form is the function's fault: {reply:?}");
    if reply.status() != 200 {
        assert!(matches!(reply.status(), 400 | 404 | 413), "{reply:?}");
        let told = reply.json::<Value>();
        assert!(told["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{told}");
    }
}
