//! Any tokenizer of a GGUF: it is refused in one line, or takes any text apart and puts a reply together.
//!
//! The input is a JSON object: `text` is what to take apart, each other entry one of `tokenizer.ggml`. The tokens stand for the
//! first of the model's own, which has 258.

use crate::small_decoder;
use fdk_inference::{GenerateRequest, Interrupt};
use serde_json::{Map, Value, json};

/// Takes an input through.
pub fn run(input: &[u8]) {
    let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(input) else { return };
    let text = object.remove("text").and_then(|text| Some(text.as_str()?.to_owned())).unwrap_or_default();
    if let Some(Value::Array(tokens)) = object.get_mut("tokens") {
        tokens.extend(small_decoder::tokens().iter().skip(tokens.len()).cloned().collect::<Vec<_>>());
    }
    let entries = object.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value));
    small_decoder::with(&small_decoder::gguf(entries.collect()), |model| {
        let request = GenerateRequest::prompt(text).max_tokens(2);
        model.generate(&request, &Interrupt::never())?;
        // A schema asks for the tokens by their bytes.
        let schema = json!({"type": "string", "maxLength": 2});
        model.generate(&request.schema(schema), &Interrupt::never()).map(drop)
    });
}
