//! OpenAI's `/v1/embeddings` and `/v1/models` (API reference of OpenAI, 2024).

use super::{Asked, Described, Form};
use crate::embed::{EmbedReply, EmbedRequest};
use crate::error::Error;
use crate::texts::MAX_TEXTS;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::fmt;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Embeddings {
    input: Input,
    model: String,
    #[serde(default)]
    encoding_format: Encoding,
    #[serde(default)]
    dimensions: Option<usize>,
    /// Who asks; nothing is done with it.
    #[serde(default, rename = "user")]
    _user: Option<String>,
}

/// A text, a list of texts, or token ids, of which nothing is kept.
enum Input {
    Texts(Vec<String>),
    Tokens,
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InputVisitor)
    }
}

struct InputVisitor;

impl<'de> Visitor<'de> for InputVisitor {
    type Value = Input;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E>(self, text: &str) -> Result<Input, E> {
        Ok(Input::Texts(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Input, A::Error> {
        let mut texts = Vec::new();
        while let Some(one) = list.next_element()? {
            match one {
                One::Text(_) if texts.len() == MAX_TEXTS => {
                    let message = format_args!("more than {MAX_TEXTS} texts: send them in several calls");
                    return Err(A::Error::custom(message));
                }
                One::Text(text) => texts.push(text),
                One::Token => {
                    while list.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Input::Tokens);
                }
            }
        }
        Ok(Input::Texts(texts))
    }
}

/// One of a list: a text, or anything else.
enum One {
    Text(String),
    Token,
}

impl<'de> Deserialize<'de> for One {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneVisitor)
    }
}

struct OneVisitor;

impl<'de> Visitor<'de> for OneVisitor {
    type Value = One;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<One, E> {
        Ok(One::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<One, E> {
        Ok(One::Token)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<One, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(One::Token)
    }
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Float,
    Base64,
}

pub(super) fn embeddings(asked: Embeddings, model: Described<'_>) -> Result<Asked, Error> {
    if asked.model != model.name && asked.model != model.entry {
        let message = format!("the model '{}' is not served here; '{}' is", asked.model, model.name);
        return Err(Error::input("model", message));
    }
    let texts = match asked.input {
        Input::Texts(texts) => texts,
        Input::Tokens => {
            return Err(Error::input(
                "input",
                "token ids are another model's: send a text, or a list of texts",
            ));
        }
    };
    let mut request = EmbedRequest::new(texts);
    request.dimensions = asked.dimensions;
    // OpenAI refuses what is over the limit.
    request.truncate = false;
    let form = Form { base64: asked.encoding_format == Encoding::Base64, ..Form::default() };
    Ok(Asked::Embed(request, form))
}

pub(super) fn embedded(reply: EmbedReply, base64: bool) -> Value {
    let vector = |vector: Vec<f32>| {
        if base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            Value::from(STANDARD.encode(bytes))
        } else {
            json!(vector)
        }
    };
    let data: Vec<Value> = reply
        .embeddings
        .into_iter()
        .enumerate()
        .map(|(index, numbers)| json!({"object": "embedding", "index": index, "embedding": vector(numbers)}))
        .collect();
    let tokens = reply.usage.tokens;
    json!({
        "object": "list",
        "data": data,
        "model": reply.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })
}

pub(super) fn models(model: Described<'_>) -> Value {
    let one = json!({"id": model.name, "object": "model", "created": 0, "owned_by": "fdk"});
    json!({"object": "list", "data": [one]})
}

pub(super) fn failed(status: u16, message: &str, path: Option<&str>) -> (u16, Value) {
    let unknown = path == Some("model");
    let status = match status {
        _ if unknown => 404,
        // What is wrong with a request is 400 there.
        422 => 400,
        other => other,
    };
    let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
    let param = path.map(|path| path.replacen("inputs", "input", 1));
    let code = unknown.then_some("model_not_found");
    (status, json!({"error": {"message": message, "type": kind, "param": param, "code": code}}))
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::super::tests::{MODEL, reply};
    use super::*;

    fn read(body: &Value) -> Result<Asked, Error> {
        Shape::at("/v1/embeddings").unwrap().read(body.to_string().as_bytes(), MODEL)
    }

    #[test]
    fn a_request_of_the_library_is_understood() {
        let body =
            json!({"input": ["a", "b"], "model": "minilm", "encoding_format": "base64", "dimensions": 8});
        let Asked::Embed(request, form) = read(&body).unwrap() else { panic!("embed") };
        assert_eq!((request.inputs.len(), request.dimensions, form.base64), (2, Some(8), true));
        let message = |body: Value| read(&body).unwrap_err().to_string();
        assert_eq!(
            message(json!({"input": "a", "model": "text-embedding-3-small"})),
            "the model 'text-embedding-3-small' is not served here; 'all-MiniLM-L6-v2' is"
        );
        assert_eq!(
            message(json!({"input": [[1, 2]], "model": "minilm"})),
            "token ids are another model's: send a text, or a list of texts"
        );
        assert!(message(json!({"input": "a", "model": "minilm", "n": 2})).contains("unknown field `n`"));
        assert!(message(json!({"input": ["a", null], "model": "minilm"})).starts_with("invalid type: null"));
        let Asked::Embed(most, _) = read(&json!({"input": vec!["a"; 4096], "model": "minilm"})).unwrap()
        else {
            panic!("embed")
        };
        assert_eq!(most.inputs.len(), 4096);
        let more = message(json!({"input": vec!["a"; 4097], "model": "minilm"}));
        assert!(more.starts_with("more than 4096 texts: send them in several calls"), "{more}");
    }

    #[test]
    fn vectors_are_numbers_or_base64_of_them() {
        let plain = embedded(reply(), false);
        assert_eq!(plain["data"][0]["embedding"], json!([1.0, -0.5]));
        assert_eq!((&plain["object"], &plain["usage"]["total_tokens"]), (&json!("list"), &json!(4)));
        // 1.0 is 0x3f800000 and -0.5 is 0xbf000000, the low byte first.
        assert_eq!(embedded(reply(), true)["data"][0]["embedding"], "AACAPwAAAL8=");
    }

    #[test]
    fn errors_are_those_the_library_reads() {
        let (status, body) = failed(422, "no", Some("inputs[1]"));
        assert_eq!((status, &body["error"]["param"]), (400, &json!("input[1]")));
        let (status, body) = failed(422, "no", Some("model"));
        assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")));
        assert_eq!(failed(504, "late", None).1["error"]["type"], "server_error");
    }
}
