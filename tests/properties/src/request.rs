//! Any request to generate, on a small model: it is answered or refused in one line, and what was to be JSON of a schema is.

use crate::assert_one_line;
use fdk_inference::{Assets, GenerateRequest, Generator, Interrupt};
use std::path::Path;
use std::sync::LazyLock;

static MODEL: LazyLock<Generator> = LazyLock::new(|| {
    let checkpoints = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../inference/checkpoints"));
    let assets = Assets::open(checkpoints, Some("qwen2")).expect("a folder of a model");
    Generator::open(assets).expect("a model")
});

/// The model.
pub(crate) fn model() -> &'static Generator {
    &MODEL
}

/// Takes an input through.
pub fn run(input: &[u8]) {
    let Ok(mut request) = serde_json::from_slice::<GenerateRequest>(input) else { return };
    // Long replies are as short ones.
    request.max_tokens = Some(request.max_tokens.unwrap_or(48).min(48));
    let to_fit = request.schema.is_some();
    match MODEL.generate(&request, &Interrupt::never()) {
        Ok(reply) if to_fit => {
            assert!(serde_json::from_str::<serde_json::Value>(&reply.text).is_ok(), "{:?}", reply.text);
        }
        Ok(_) => {}
        Err(error) => assert_one_line(&error.to_string()),
    }
}
