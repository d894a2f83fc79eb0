//! Any schema: it is refused in one line, or the reply is JSON that fits it, as a validator has it that knows nothing of ours.
//!
//! The input is the schema.

use crate::{assert_one_line, request};
use fdk_inference::{GenerateRequest, Interrupt, Schema};
use serde_json::Value;

/// Takes an input through.
pub fn run(input: &[u8]) {
    // The order of its properties counts, which a `Value` forgets.
    let Ok(schema) = serde_json::from_slice::<Schema>(input) else { return };
    let Ok(plain) = serde_json::from_slice::<Value>(input) else { return };
    let request = GenerateRequest::prompt("he").schema(schema).max_tokens(48);
    let reply = match request::model().generate(&request, &Interrupt::never()) {
        Ok(reply) => reply,
        Err(error) => return assert_one_line(&error.to_string()),
    };
    let value: Value = serde_json::from_str(&reply.text).expect("JSON");
    let (mut schemas, mut reader) = (boon::Schemas::new(), boon::Compiler::new());
    // What is none for the validator says nothing.
    if reader.add_resource("schema.json", plain).is_ok()
        && let Ok(index) = reader.compile("schema.json", &mut schemas)
    {
        assert!(schemas.validate(&value, index).is_ok(), "{value}");
    }
}
