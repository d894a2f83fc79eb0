//! The task `generate`: a conversation, or the beginning of a text → what a model says next.

use crate::chat::{Message, Role};
use crate::error::Error;
use crate::grammar::Schema;
use crate::models::llama::Precision;
use crate::texts::one_or_many;
use serde::{Deserialize, Serialize};

/// The most strings that end a reply, and the bytes of each.
const STOPS: usize = 16;
const STOP_BYTES: usize = 256;

/// What to say something to: `{"messages": [{"role", "content"}] | "prompt": "…", "max_tokens": 512, "temperature": 0, "top_p": 1,
/// "top_k": 0, "repetition_penalty": 1, "seed": n, "stop": "…" | ["…"], "schema": {…}, "stream": false}`; one of `messages` and `prompt` must be
/// there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GenerateRequest {
    /// A conversation, put into the model's own chat template. Text of it that spells a control token stays text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// A text to go on with, as it is: what spells a control token in it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The most tokens of the reply; 512 unless said, and never more than the context has room for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<usize>,
    /// 0 takes the likeliest token, the same each time; up to 2, less likely ones are taken more often. 0 unless said.
    #[serde(default)]
    pub temperature: f32,
    /// Of the likeliest tokens, those that together have this part of the whole; 1, all of them, unless said.
    #[serde(default = "whole")]
    pub top_p: f32,
    /// Only so many of the likeliest tokens; 0, all of them, unless said.
    #[serde(default)]
    pub top_k: usize,
    /// Over 1, tokens that were said before are less likely; 1 unless said.
    #[serde(default = "whole")]
    pub repetition_penalty: f32,
    /// Repeats a reply of a temperature over 0; another each time unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The reply ends before any of these strings, at most 16 of at most 256 bytes; in JSON one may stand without brackets.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// The reply is JSON that fits this schema, whatever ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
    /// Whether the reply is sent as it is made. It is for whoever sends it: the model does not look at it.
    #[serde(default)]
    pub stream: bool,
}

fn whole() -> f32 {
    1.0
}

impl GenerateRequest {
    fn empty() -> Self {
        Self {
            messages: Vec::new(),
            prompt: None,
            max_tokens: None,
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            repetition_penalty: 1.0,
            seed: None,
            stop: Vec::new(),
            schema: None,
            stream: false,
        }
    }

    /// What the model says to a user's message.
    pub fn chat(content: impl Into<String>) -> Self {
        Self::conversation([Message::new(Role::User, content)])
    }

    /// What the model says next in a conversation.
    pub fn conversation(messages: impl IntoIterator<Item = Message>) -> Self {
        Self { messages: messages.into_iter().collect(), ..Self::empty() }
    }

    /// How a text goes on.
    pub fn prompt(text: impl Into<String>) -> Self {
        Self { prompt: Some(text.into()), ..Self::empty() }
    }

    /// Sets the most tokens of the reply.
    #[must_use]
    pub fn max_tokens(self, tokens: usize) -> Self {
        Self { max_tokens: Some(tokens), ..self }
    }

    /// Holds the reply to a JSON schema.
    #[must_use]
    pub fn schema(self, schema: impl Into<Schema>) -> Self {
        Self { schema: Some(schema.into()), ..self }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let within = |name: &str, number: f32, from: f32, to: f32| {
            if (from..=to).contains(&number) {
                return Ok(());
            }
            Err(Error::input(name, format!("{number} is not from {from} to {to}")))
        };
        within("temperature", self.temperature, 0.0, 2.0)?;
        within("top_p", self.top_p, f32::MIN_POSITIVE, 1.0)
            .map_err(|_| Error::input("top_p", format!("{} is not over 0 and at most 1", self.top_p)))?;
        within("repetition_penalty", self.repetition_penalty, 0.1, 10.0)?;
        if self.max_tokens == Some(0) {
            return Err(Error::input("max_tokens", "a reply has at least 1 token"));
        }
        if self.schema.is_some() && !self.stop.is_empty() {
            return Err(Error::input("stop", "a reply that stops there would not fit its schema"));
        }
        if self.stop.len() > STOPS {
            return Err(Error::input("stop", format!("{} strings are more than {STOPS}", self.stop.len())));
        }
        for (index, stop) in self.stop.iter().enumerate() {
            if stop.is_empty() || stop.len() > STOP_BYTES {
                let message = format!("{} bytes are none of 1 to {STOP_BYTES}", stop.len());
                return Err(Error::input(format!("stop[{index}]"), message));
            }
        }
        Ok(())
    }
}

/// What the model said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GenerateReply {
    /// The text.
    pub text: String,
    /// Why it ends where it does.
    pub finish_reason: FinishReason,
    /// What it took.
    pub usage: GenerateUsage,
    /// The model's name.
    pub model: String,
}

/// Why a reply ends where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FinishReason {
    /// The model was done, or a string of `stop` came.
    Stop,
    /// `max_tokens` or the context's end was reached.
    Length,
    /// There was no time for more.
    Deadline,
}

/// What a reply took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GenerateUsage {
    /// Tokens of the messages or the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the reply.
    pub completion_tokens: usize,
    /// How many of the prompt's tokens had been computed at start.
    pub cached_tokens: usize,
}

/// How a generating model is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GenerateSettings {
    /// What the model is told to be where a conversation does not begin with that itself. It is computed once.
    pub system_prompt: Option<String>,
    /// The most tokens of prompt and reply; the model's own limit, or what the memory holds, unless said.
    pub context: Option<usize>,
    /// The memory that is granted, in bytes: the context is as long as it has room for.
    pub memory: Option<u64>,
    /// In what numbers to compute.
    pub precision: Precision,
}

impl GenerateSettings {
    /// With a system prompt.
    #[must_use]
    pub fn system_prompt(self, text: impl Into<String>) -> Self {
        Self { system_prompt: Some(text.into()), ..self }
    }

    /// With a context of so many tokens.
    #[must_use]
    pub fn context(self, tokens: usize) -> Self {
        Self { context: Some(tokens), ..self }
    }

    /// Within so many bytes of memory.
    #[must_use]
    pub fn memory(self, bytes: u64) -> Self {
        Self { memory: Some(bytes), ..self }
    }

    /// Computing in these numbers.
    #[must_use]
    pub fn precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }
}
