//! Messages → the text that a model was trained to answer, by the chat template that its GGUF carries (Jinja, as Hugging
//! Face's libraries run it).

use crate::bpe::Bpe;
use crate::error::Error;
use crate::gguf::Gguf;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, ErrorKind, context};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Steps of a template before it is taken for one without an end.
const FUEL: u64 = 1_000_000;
const TEMPLATE: &str = "chat";

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// Who speaks in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// What the model is told to be.
    System,
    /// Who asks.
    User,
    /// The model.
    Assistant,
}

impl Message {
    /// A message.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// A model's chat template.
pub(crate) struct Chat {
    environment: Environment<'static>,
    begin: String,
    end: String,
}

/// A conversation as the model takes it, and the character that was put into what only looks like a control token.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub(crate) text: String,
    pub(crate) guard: Option<char>,
}

impl Chat {
    /// The template of a GGUF; `None` of a model that was not trained to chat.
    pub(crate) fn read(gguf: &Gguf<'_>, bpe: &Bpe) -> Result<Option<Self>, Error> {
        let Some(template) = gguf.text("tokenizer.chat_template") else { return Ok(None) };
        let mut environment = Environment::new();
        // As Hugging Face's libraries set Jinja up.
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .map_err(|error| Error::model("has a chat template that cannot be used", error))?,
        );
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment
            .add_template_owned(TEMPLATE, template.to_owned())
            .map_err(|error| Error::model("has a chat template that does not parse", error))?;
        let (begin, end) = bpe.marks();
        Ok(Some(Self { environment, begin: begin.into(), end: end.into() }))
    }

    /// The text of a conversation, ready for the model's reply. Where a message spells a control token, it stays text.
    pub(crate) fn prompt(&self, messages: &[Message], bpe: &Bpe) -> Result<Prompt, Error> {
        let spells = messages.iter().any(|message| bpe.controls(&message.content).next().is_some());
        let guard = spells.then(|| guard(messages)).flatten();
        let guarded: Vec<Message>;
        let messages = match guard {
            None => messages,
            Some(guard) => {
                let content = |message: &Message| disarm(&message.content, guard, bpe);
                guarded =
                    messages.iter().map(|message| Message::new(message.role, content(message))).collect();
                &guarded
            }
        };
        let template = self.environment.get_template(TEMPLATE);
        let text = template.and_then(|template| {
            template.render(context! {
                messages => Value::from(Serde(messages)),
                add_generation_prompt => true,
                bos_token => self.begin.as_str(),
                eos_token => self.end.as_str(),
            })
        });
        // Templates refuse what they were not made for, such as two messages of the user in a row.
        let text = text.map_err(|error| {
            let why = error.detail().map_or_else(|| error.to_string(), ToOwned::to_owned);
            Error::input("messages", format!("the model's chat template refuses them: {why}"))
        })?;
        Ok(Prompt { text, guard })
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat").finish_non_exhaustive()
    }
}

/// A character that means nothing and is in no message: one of those that Unicode sets apart for a program's own use. There
/// are more of them than a request's texts can hold.
fn guard(messages: &[Message]) -> Option<char> {
    let free = |guard: &char| messages.iter().all(|message| !message.content.contains(*guard));
    ('\u{FDD0}'..='\u{FDEF}').chain('\u{F0000}'..='\u{FFFFD}').chain('\u{100000}'..='\u{10FFFD}').find(free)
}

/// The text, with the guard after the first character of each control token that it spells.
fn disarm(text: &str, guard: char, bpe: &Bpe) -> String {
    let mut disarmed = String::with_capacity(text.len() + 8);
    let mut at = 0;
    for found in bpe.controls(text) {
        let first = text[found.clone()].chars().next().map_or(0, char::len_utf8);
        disarmed.push_str(&text[at..found.start + first]);
        disarmed.push(guard);
        at = found.start + first;
    }
    disarmed.push_str(&text[at..]);
    disarmed
}
