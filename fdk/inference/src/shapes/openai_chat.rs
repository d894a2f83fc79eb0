//! OpenAI's `/v1/chat/completions` and `/v1/completions` (API reference of OpenAI, 2024): the requests.

use super::openai_said::Stamp;
use super::{Asked, Described, Form};
use crate::chat::{Message, Role};
use crate::error::Error;
use crate::generate::GenerateRequest;
use crate::grammar::Schema;
use crate::texts::one_or_many;
use serde::Deserialize;
use serde_json::{Value, json};

/// What both have. What would change the reply and is not served is refused by name.
#[derive(Deserialize)]
struct Common {
    model: String,
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    temperature: Option<f32>,
    #[serde(default)]
    top_p: Option<f32>,
    #[serde(default)]
    seed: Option<i64>,
    #[serde(default)]
    stop: Option<Stop>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    n: Option<usize>,
    /// As servers of open models have them.
    #[serde(default)]
    top_k: Option<usize>,
    #[serde(default)]
    repetition_penalty: Option<f32>,
}

#[derive(Deserialize)]
struct Stop(#[serde(deserialize_with = "one_or_many")] Vec<String>);

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// What every client may send and nothing is done with: who asks, and what the service keeps.
const PASSED: [&str; 5] = ["user", "store", "metadata", "service_tier", "safety_identifier"];
const COMMON: [&str; 11] = [
    "model",
    "max_tokens",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "n",
    "top_k",
    "repetition_penalty",
];

impl Common {
    fn read(body: &Value, more: &[&str], model: Described<'_>) -> Result<Self, Error> {
        let Some(fields) = body.as_object() else { return Err(Error::input("", "the body is no object")) };
        for (name, value) in fields {
            let known = [&COMMON[..], &PASSED, more].concat().contains(&name.as_str());
            // Clients send null, or a number that changes nothing, for what they do not use.
            let idle = match name.as_str() {
                "frequency_penalty" | "presence_penalty" => value.as_f64() == Some(0.0),
                "logprobs" | "parallel_tool_calls" | "echo" => value == &Value::Bool(false),
                "best_of" => value.as_u64() == Some(1),
                _ => false,
            };
            if !known && !idle && !value.is_null() {
                return Err(Error::input(name.as_str(), format!("{name} is not served here")));
            }
        }
        let common: Self =
            serde_json::from_value(body.clone()).map_err(|error| Error::input("", error.to_string()))?;
        if common.model != model.name && common.model != model.entry {
            let message = format!("the model '{}' is not served here; '{}' is", common.model, model.name);
            return Err(Error::input("model", message));
        }
        if common.n.is_some_and(|n| n != 1) {
            return Err(Error::input("n", "one reply is made for a call: ask again for another"));
        }
        Ok(common)
    }

    fn ask(self, mut request: GenerateRequest) -> Asked {
        request.max_tokens = request.max_tokens.or(self.max_tokens);
        request.temperature = self.temperature.unwrap_or(request.temperature);
        request.top_p = self.top_p.unwrap_or(request.top_p);
        request.top_k = self.top_k.unwrap_or(request.top_k);
        request.repetition_penalty = self.repetition_penalty.unwrap_or(request.repetition_penalty);
        request.seed = self.seed.map(i64::cast_unsigned);
        request.stop = self.stop.map_or_else(Vec::new, |stop| stop.0);
        request.stream = self.stream.unwrap_or(false);
        let usage = self.stream_options.is_some_and(|options| options.include_usage);
        Asked::Generate(request, Form { usage, stamp: Stamp::now(), ..Form::default() })
    }
}

#[derive(Deserialize)]
struct Chat {
    messages: Vec<Said>,
    #[serde(default)]
    max_completion_tokens: Option<usize>,
    #[serde(default)]
    response_format: Option<Format>,
}

#[derive(Deserialize)]
struct Said {
    role: String,
    content: Content,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format {
    Text,
    JsonObject,
    JsonSchema { json_schema: Named },
}

#[derive(Deserialize)]
struct Named {
    schema: Schema,
}

fn message(index: usize, said: Said) -> Result<Message, Error> {
    let role = match said.role.as_str() {
        // What newer models call it.
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        other => {
            let message = format!("the role '{other}' is not served: system, user and assistant are");
            return Err(Error::input(format!("messages[{index}].role"), message));
        }
    };
    let text = match said.content {
        Content::Text(text) => text,
        Content::Parts(parts) => {
            let mut text = String::new();
            for part in parts {
                match part.text {
                    Some(more) if part.kind == "text" => text += &more,
                    _ => {
                        let message = format!("a part of type '{}' is not served: text is", part.kind);
                        return Err(Error::input(format!("messages[{index}].content"), message));
                    }
                }
            }
            text
        }
    };
    Ok(Message::new(role, text))
}

pub(super) fn chat(body: &[u8], model: Described<'_>) -> Result<Asked, Error> {
    let value: Value = super::parse(body)?;
    let more = ["messages", "max_completion_tokens", "response_format"];
    let common = Common::read(&value, &more, model)?;
    // Read from the text: the order of a schema's properties is lost in the value.
    let asked: Chat = super::parse(body)?;
    let messages: Vec<Message> = asked
        .messages
        .into_iter()
        .enumerate()
        .map(|(index, said)| message(index, said))
        .collect::<Result<_, _>>()?;
    let mut request = GenerateRequest::conversation(messages);
    request.max_tokens = asked.max_completion_tokens;
    request.schema = match asked.response_format {
        None | Some(Format::Text) => None,
        Some(Format::JsonObject) => Some(json!({"type": "object"}).into()),
        Some(Format::JsonSchema { json_schema }) => Some(json_schema.schema),
    };
    Ok(common.ask(request))
}

#[derive(Deserialize)]
struct Completion {
    prompt: String,
}

pub(super) fn completion(body: &[u8], model: Described<'_>) -> Result<Asked, Error> {
    let value: Value = super::parse(body)?;
    let common = Common::read(&value, &["prompt"], model)?;
    let asked: Completion = super::parse(body)?;
    Ok(common.ask(GenerateRequest::prompt(asked.prompt)))
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::super::tests::MODEL;
    use super::*;

    fn read(path: &str, body: &Value) -> Result<Asked, Error> {
        Shape::at(path).unwrap().read(body.to_string().as_bytes(), MODEL)
    }

    #[test]
    fn a_request_of_the_library_is_understood() {
        let schema = json!({"name": "n", "strict": true, "schema": {"type": "object"}});
        let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        let body = json!({
            "model": "minilm",
            "messages": [{"role": "developer", "content": "s"}, {"role": "user", "content": parts}],
            "max_completion_tokens": 7, "temperature": 0.5, "stop": "x", "stream": true, "n": 1, "user": "u",
            "stream_options": {"include_usage": true}, "frequency_penalty": 0, "tools": null,
            "response_format": {"type": "json_schema", "json_schema": schema},
        });
        let Asked::Generate(request, form) = read("/v1/chat/completions", &body).unwrap() else { panic!() };
        assert_eq!(request.messages, [Message::new(Role::System, "s"), Message::new(Role::User, "ab")]);
        assert_eq!((request.max_tokens, request.stop, request.stream), (Some(7), vec!["x".to_owned()], true));
        assert!(form.usage && request.schema.is_some());
        let body = json!({"model": "minilm", "prompt": "p", "max_tokens": 3, "seed": -1});
        let Asked::Generate(request, _) = read("/v1/completions", &body).unwrap() else { panic!() };
        assert_eq!(
            (request.prompt.as_deref(), request.max_tokens, request.seed),
            (Some("p"), Some(3), Some(u64::MAX))
        );
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        let path = |more: Value| {
            let mut body = json!({"model": "minilm", "messages": [{"role": "user", "content": "a"}]});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            read("/v1/chat/completions", &body).unwrap_err().path().unwrap().to_owned()
        };
        assert_eq!(path(json!({"tools": []})), "tools");
        assert_eq!(path(json!({"frequency_penalty": 1})), "frequency_penalty");
        assert_eq!(path(json!({"n": 2})), "n");
        assert_eq!(path(json!({"model": "gpt"})), "model");
        assert_eq!(path(json!({"messages": [{"role": "tool", "content": "a"}]})), "messages[0].role");
        let image = json!([{"type": "image_url", "image_url": {"url": "u"}}]);
        assert_eq!(path(json!({"messages": [{"role": "user", "content": image}]})), "messages[0].content");
    }
}
