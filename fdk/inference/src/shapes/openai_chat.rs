//! OpenAI's `/v1/chat/completions` and `/v1/completions` (API reference of OpenAI, 2024): the requests.

use super::openai_said::Stamp;
use super::{Asked, Described, Form};
use crate::chat::{Message, Role};
use crate::error::Error;
use crate::generate::GenerateRequest;
use crate::grammar::Schema;
use crate::texts::one_or_many;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use std::fmt;

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
    fn read(body: &[u8], more: &[&str], model: Described<'_>) -> Result<Self, Error> {
        let mut reader = serde_json::Deserializer::from_slice(body);
        let unserved = Unserved(more).deserialize(&mut reader);
        if let Some(name) = unserved.map_err(|error| Error::input("", error.to_string()))? {
            let message = format!("{name} is not served here");
            return Err(Error::input(name, message));
        }
        let common: Self = super::parse(body)?;
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

/// Finds the first field of a body that is not served. It keeps nothing of the body, whatever is in it: as a tree of values
/// some bodies take a hundred times their size.
struct Unserved<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Unserved<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Unserved<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            let known = [&COMMON[..], &PASSED, self.0].iter().any(|names| names.contains(&name.as_str()));
            if known || found.is_some() {
                map.next_value::<IgnoredAny>()?;
            } else if !map.next_value::<Brief>()?.is_idle(&name) {
                found = Some(name);
            }
        }
        Ok(found)
    }
}

/// A value as far as one that changes nothing is told by it.
enum Brief {
    Null,
    Bool(bool),
    Number(f64),
    Other,
}

impl Brief {
    /// Clients send null, or a number that changes nothing, for what they do not use.
    fn is_idle(&self, name: &str) -> bool {
        match (self, name) {
            (Self::Null, _) | (Self::Bool(false), "logprobs" | "parallel_tool_calls" | "echo") => true,
            (Self::Number(number), "frequency_penalty" | "presence_penalty") => *number == 0.0,
            (Self::Number(number), "best_of") => (*number - 1.0).abs() < f64::EPSILON,
            _ => false,
        }
    }
}

impl<'de> Deserialize<'de> for Brief {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BriefVisitor)
    }
}

struct BriefVisitor;

impl<'de> Visitor<'de> for BriefVisitor {
    type Value = Brief;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Brief, E> {
        Ok(Brief::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Brief, E> {
        Ok(Brief::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "it is compared with 0 and 1")]
    fn visit_u64<E>(self, value: u64) -> Result<Brief, E> {
        Ok(Brief::Number(value as f64))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Brief, E> {
        Ok(Brief::Other)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Brief, E> {
        Ok(Brief::Number(value))
    }

    fn visit_str<E>(self, _: &str) -> Result<Brief, E> {
        Ok(Brief::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Brief, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Brief::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Brief, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Brief::Other)
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

/// A text, or parts of one put together.
#[derive(Default)]
struct Content {
    text: String,
    /// What kind of part there is that is no text.
    refused: Option<String>,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of parts")
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content { text: text.to_owned(), refused: None })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut content = Content::default();
        while let Some(part) = list.next_element::<Part>()? {
            match part.text {
                Some(more) if part.kind == "text" => content.text += &more,
                _ => content.refused = content.refused.or(Some(part.kind)),
            }
        }
        Ok(content)
    }
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

/// Not an enum with a tag: what is in one is kept twice while it is read.
#[derive(Deserialize)]
struct Format {
    #[serde(rename = "type")]
    kind: FormatKind,
    #[serde(default)]
    json_schema: Option<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum FormatKind {
    Text,
    JsonObject,
    JsonSchema,
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
    if let Some(kind) = said.content.refused {
        let message = format!("a part of type '{kind}' is not served: text is");
        return Err(Error::input(format!("messages[{index}].content"), message));
    }
    Ok(Message::new(role, said.content.text))
}

pub(super) fn chat(body: &[u8], model: Described<'_>) -> Result<Asked, Error> {
    let common = Common::read(body, &["messages", "max_completion_tokens", "response_format"], model)?;
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
        None | Some(Format { kind: FormatKind::Text, .. }) => None,
        Some(Format { kind: FormatKind::JsonObject, .. }) => Some(json!({"type": "object"}).into()),
        Some(Format { json_schema: Some(named), .. }) => Some(named.schema),
        Some(Format { json_schema: None, .. }) => {
            return Err(Error::input("response_format.json_schema", "it must be there for this type"));
        }
    };
    Ok(common.ask(request))
}

#[derive(Deserialize)]
struct Completion {
    prompt: String,
}

pub(super) fn completion(body: &[u8], model: Described<'_>) -> Result<Asked, Error> {
    let common = Common::read(body, &["prompt"], model)?;
    let asked: Completion = super::parse(body)?;
    Ok(common.ask(GenerateRequest::prompt(asked.prompt)))
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::super::tests::MODEL;
    use super::*;
    use serde_json::Value;

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
        assert_eq!(path(json!({"logit_bias": {"1": [2, {}]}})), "logit_bias");
        assert_eq!(path(json!({"echo": true})), "echo");
        assert_eq!(path(json!({"response_format": {"type": "json_schema"}})), "response_format.json_schema");
        assert_eq!(path(json!({"n": 2})), "n");
        assert_eq!(path(json!({"model": "gpt"})), "model");
        assert_eq!(path(json!({"messages": [{"role": "tool", "content": "a"}]})), "messages[0].role");
        let image = json!([{"type": "image_url", "image_url": {"url": "u"}}]);
        assert_eq!(path(json!({"messages": [{"role": "user", "content": image}]})), "messages[0].content");
    }
}
