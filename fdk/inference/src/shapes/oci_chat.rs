//! OCI Generative AI inference, version 20231130: `actions/chat`, in the formats `GENERIC` and `COHERE`, whole and streamed.

use super::{Asked, Form};
use crate::chat::{Message, Role};
use crate::error::Error;
use crate::generate::{FinishReason, GenerateReply, GenerateRequest};
use crate::grammar::Schema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// `ChatDetails`. The serving mode and the compartment are the service's to know; here one model is served.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChatDetails {
    chat_request: Request,
}

/// A chat request in either format. Not an enum with a tag, nor a part that is flattened in: what is in one is kept twice
/// while it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    api_format: ApiFormat,
    /// Of `GENERIC`.
    #[serde(default)]
    messages: Vec<Said>,
    #[serde(default)]
    stop: Option<Vec<String>>,
    #[serde(default)]
    max_completion_tokens: Option<usize>,
    /// Of `COHERE`.
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    chat_history: Option<Vec<Turn>>,
    #[serde(default)]
    preamble_override: Option<String>,
    #[serde(default)]
    stop_sequences: Option<Vec<String>>,
    /// Of both.
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    temperature: Option<f32>,
    #[serde(default)]
    top_p: Option<f32>,
    /// −1 and 0 are all.
    #[serde(default)]
    top_k: Option<i64>,
    #[serde(default)]
    seed: Option<i64>,
    #[serde(default)]
    is_stream: Option<bool>,
    #[serde(default)]
    frequency_penalty: Option<f32>,
    #[serde(default)]
    presence_penalty: Option<f32>,
    #[serde(default)]
    num_generations: Option<usize>,
    #[serde(default)]
    tools: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    documents: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    response_format: Option<Format>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum ApiFormat {
    Generic,
    Cohere,
}

#[derive(Deserialize)]
struct Said {
    role: String,
    #[serde(default)]
    content: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    #[serde(default)]
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Format {
    #[serde(rename = "type")]
    kind: FormatKind,
    /// Of `JSON_OBJECT`.
    #[serde(default)]
    schema: Option<Schema>,
    /// Of `JSON_SCHEMA`.
    #[serde(default)]
    json_schema: Option<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum FormatKind {
    Text,
    JsonObject,
    JsonSchema,
}

#[derive(Deserialize)]
struct Named {
    schema: Schema,
}

impl Request {
    fn check(&self) -> Result<(), Error> {
        let absent = |list: Option<&Vec<IgnoredAny>>| list.is_none_or(Vec::is_empty);
        let none = |number: Option<f32>| number.is_none_or(|number| number == 0.0);
        for (name, idle) in [
            ("tools", absent(self.tools.as_ref())),
            ("documents", absent(self.documents.as_ref())),
            ("frequencyPenalty", none(self.frequency_penalty)),
            ("presencePenalty", none(self.presence_penalty)),
            ("numGenerations", self.num_generations.is_none_or(|count| count == 1)),
        ] {
            if !idle {
                return Err(Error::input(
                    format!("chatRequest.{name}"),
                    format!("{name} is not served here"),
                ));
            }
        }
        Ok(())
    }

    /// The request for these messages, sampled as this one says.
    fn ask(self, messages: Vec<Message>) -> Result<Asked, Error> {
        let cohere = self.api_format == ApiFormat::Cohere;
        let mut request = GenerateRequest::conversation(messages);
        request.max_tokens = self.max_completion_tokens.filter(|_| !cohere).or(self.max_tokens);
        request.temperature = self.temperature.unwrap_or(request.temperature);
        request.top_p = self.top_p.unwrap_or(request.top_p);
        request.top_k = self.top_k.and_then(|top_k| usize::try_from(top_k).ok()).unwrap_or(0);
        request.seed = self.seed.map(i64::cast_unsigned);
        request.stop = if cohere { self.stop_sequences } else { self.stop }.unwrap_or_default();
        request.stream = self.is_stream.unwrap_or(false);
        request.schema = match self.response_format {
            None | Some(Format { kind: FormatKind::Text, .. }) => None,
            Some(Format { kind: FormatKind::JsonObject, schema, .. }) => {
                Some(schema.unwrap_or_else(|| json!({"type": "object"}).into()))
            }
            Some(Format { json_schema: Some(named), .. }) => Some(named.schema),
            Some(Format { json_schema: None, .. }) => {
                let place = "chatRequest.responseFormat.jsonSchema";
                return Err(Error::input(place, "it must be there for this type"));
            }
        };
        Ok(Asked::Generate(request, Form { cohere, ..Form::default() }))
    }
}

fn role(name: &str, place: String) -> Result<Role, Error> {
    match name {
        "SYSTEM" | "DEVELOPER" => Ok(Role::System),
        "USER" => Ok(Role::User),
        "ASSISTANT" | "CHATBOT" => Ok(Role::Assistant),
        other => Err(Error::input(place, format!("the role {other} is not served here"))),
    }
}

pub(super) fn chat(asked: ChatDetails) -> Result<Asked, Error> {
    let mut asked = asked.chat_request;
    asked.check()?;
    let messages = match asked.api_format {
        ApiFormat::Generic => generic(std::mem::take(&mut asked.messages))?,
        ApiFormat::Cohere => cohere(&mut asked)?,
    };
    asked.ask(messages)
}

fn generic(said: Vec<Said>) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    for (index, said) in said.into_iter().enumerate() {
        let place = format!("chatRequest.messages[{index}]");
        let mut text = String::new();
        for part in said.content {
            match part.text {
                Some(more) if part.kind == "TEXT" => text += &more,
                _ => {
                    let message = format!("content of type {} is not served: TEXT is", part.kind);
                    return Err(Error::input(place, message));
                }
            }
        }
        messages.push(Message::new(role(&said.role, place)?, text));
    }
    Ok(messages)
}

fn cohere(asked: &mut Request) -> Result<Vec<Message>, Error> {
    let message = asked.message.take();
    let message =
        message.ok_or_else(|| Error::input("chatRequest.message", "it must be there for this format"))?;
    let preamble = asked.preamble_override.take().filter(|text| !text.is_empty());
    let mut messages: Vec<Message> =
        preamble.map(|text| Message::new(Role::System, text)).into_iter().collect();
    for (index, turn) in asked.chat_history.take().unwrap_or_default().into_iter().enumerate() {
        let role = role(&turn.role, format!("chatRequest.chatHistory[{index}]"))?;
        messages.push(Message::new(role, turn.message.unwrap_or_default()));
    }
    messages.push(Message::new(Role::User, message));
    Ok(messages)
}

fn reason(reply: &GenerateReply, cohere: bool) -> &'static str {
    match (reply.finish_reason, cohere) {
        (FinishReason::Stop, true) => "COMPLETE",
        (_, true) => "MAX_TOKENS",
        (FinishReason::Stop, false) => "stop",
        (_, false) => "length",
    }
}

fn usage(reply: &GenerateReply) -> Value {
    json!({
        "promptTokens": reply.usage.prompt_tokens,
        "completionTokens": reply.usage.completion_tokens,
        "totalTokens": reply.usage.prompt_tokens + reply.usage.completion_tokens,
        "promptTokensDetails": {"cachedTokens": reply.usage.cached_tokens},
    })
}

fn said(text: &str) -> Value {
    json!({"role": "ASSISTANT", "content": [{"type": "TEXT", "text": text}]})
}

pub(super) fn generated(reply: &GenerateReply, cohere: bool) -> Value {
    let reason = reason(reply, cohere);
    let response = if cohere {
        json!({"apiFormat": "COHERE", "text": reply.text, "finishReason": reason, "usage": usage(reply)})
    } else {
        let choice =
            json!({"index": 0, "message": said(&reply.text), "finishReason": reason, "usage": usage(reply)});
        json!({"apiFormat": "GENERIC", "choices": [choice], "usage": usage(reply)})
    };
    json!({"modelId": reply.model, "modelVersion": super::oci::VERSION, "chatResponse": response})
}

pub(super) fn piece(text: &str, cohere: bool) -> Value {
    if cohere {
        json!({"apiFormat": "COHERE", "text": text})
    } else {
        json!({"index": 0, "message": said(text)})
    }
}

pub(super) fn end(reply: &GenerateReply, cohere: bool) -> Value {
    if cohere {
        json!({"apiFormat": "COHERE", "text": reply.text, "finishReason": reason(reply, true), "usage": usage(reply)})
    } else {
        json!({"finishReason": reason(reply, false), "usage": usage(reply)})
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::super::tests::MODEL;
    use super::*;

    fn read(request: &Value) -> Result<Asked, Error> {
        let body = json!({"chatRequest": request, "compartmentId": "c", "servingMode": {"servingType": "ON_DEMAND"}});
        Shape::at("/20231130/actions/chat").unwrap().read(body.to_string().as_bytes(), MODEL)
    }

    #[test]
    fn what_the_sdk_sends_is_understood() {
        let content = json!([{"type": "TEXT", "text": "hello"}]);
        let generic = json!({"apiFormat": "GENERIC", "messages": [{"role": "USER", "content": content}], "maxTokens": 9,
            "topK": -1, "frequencyPenalty": 0.0, "isStream": false});
        let Asked::Generate(request, form) = read(&generic).unwrap() else { panic!() };
        assert_eq!(
            (request.messages[0].content.as_str(), request.max_tokens, request.top_k),
            ("hello", Some(9), 0)
        );
        assert!(!form.cohere);
        let cohere = json!({"apiFormat": "COHERE", "message": "now", "preambleOverride": "be short",
            "chatHistory": [{"role": "CHATBOT", "message": "before"}], "stopSequences": ["x"]});
        let Asked::Generate(request, form) = read(&cohere).unwrap() else { panic!() };
        let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::System, Role::Assistant, Role::User]);
        assert!(form.cohere && request.stop == ["x"]);
        let tools = json!({"apiFormat": "GENERIC", "messages": [], "tools": [{"type": "FUNCTION"}]});
        assert_eq!(read(&tools).unwrap_err().path(), Some("chatRequest.tools"));
        let unsaid = json!({"apiFormat": "COHERE"});
        assert_eq!(read(&unsaid).unwrap_err().path(), Some("chatRequest.message"));
        let schema =
            json!({"apiFormat": "GENERIC", "messages": [], "responseFormat": {"type": "JSON_SCHEMA"}});
        assert_eq!(read(&schema).unwrap_err().path(), Some("chatRequest.responseFormat.jsonSchema"));
    }

    #[test]
    fn replies_are_what_the_sdk_reads() {
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 2, "cached_tokens": 3});
        let reply = json!({"text": "hi", "finish_reason": "stop", "usage": usage, "model": "m"});
        let reply: GenerateReply = serde_json::from_value(reply).unwrap();
        let generic = &generated(&reply, false)["chatResponse"];
        assert_eq!(generic["choices"][0]["message"]["content"][0]["text"], "hi");
        let cohere = &generated(&reply, true)["chatResponse"];
        assert_eq!((&cohere["text"], &cohere["finishReason"]), (&json!("hi"), &json!("COMPLETE")));
    }
}
