//! Any chat template with any conversation: it becomes a prompt, or is refused in one line, and has an end.
//!
//! The input is the messages as JSON in one line, and the template.

use crate::small_decoder;
use fdk_inference::{GenerateRequest, Interrupt, Message};
use serde_json::{Map, Value};

/// Takes an input through; one that is no text is none.
pub fn run(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let Some((messages, template)) = input.split_once('\n') else { return };
    let Ok(messages) = serde_json::from_str::<Vec<Message>>(messages) else { return };
    let entries = Map::from_iter([("tokenizer.chat_template".into(), Value::from(template))]);
    small_decoder::with(&small_decoder::gguf(entries), |model| {
        let request = GenerateRequest::conversation(messages).max_tokens(1);
        model.generate(&request, &Interrupt::never()).map(drop)
    });
}
