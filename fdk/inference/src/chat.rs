//! Messages → the text that a model was trained to answer, by the chat template that its GGUF carries (Jinja, as Hugging
//! Face's libraries run it).

use crate::bpe::Bpe;
use crate::error::Error;
use crate::gguf::Gguf;
use crate::interrupt::Interrupt;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, ErrorKind, context};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::{fmt, io};

/// Steps of a template before it is taken for one without an end.
const FUEL: u64 = 1_000_000;
const TEMPLATE: &str = "chat";
/// The most bytes that a template may make of messages, which have a quarter of that themselves.
const PROMPT_BYTES: usize = 1024 * 1024;

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

    /// The text of a conversation, ready for the model's reply. Where a message spells a control token, it stays text. The
    /// interrupt is asked whenever the template writes.
    pub(crate) fn prompt(
        &self,
        messages: &[Message],
        bpe: &Bpe,
        interrupt: &Interrupt<'_>,
    ) -> Result<Prompt, Error> {
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
        let mut paper = Paper { text: Vec::new(), interrupt };
        let rendered = template.and_then(|template| {
            let context = context! {
                messages => Value::from(Serde(messages)),
                add_generation_prompt => true,
                bos_token => self.begin.as_str(),
                eos_token => self.end.as_str(),
            };
            template.render_captured_to(context, &mut paper).map(drop)
        });
        interrupt.check()?;
        if paper.text.len() > PROMPT_BYTES {
            let message = format!(
                "the model's chat template makes over {PROMPT_BYTES} bytes of them: send fewer or shorter ones"
            );
            return Err(Error::input("messages", message));
        }
        // Templates refuse what they were not made for, such as two messages of the user in a row.
        rendered.map_err(|error| {
            let why = error.detail().map_or_else(|| error.to_string(), ToOwned::to_owned);
            Error::input("messages", format!("the model's chat template refuses them: {why}"))
        })?;
        let text = String::from_utf8(paper.text)
            .map_err(|error| Error::model("has a chat template that writes no text", error))?;
        Ok(Prompt { text, guard })
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat").finish_non_exhaustive()
    }
}

/// What a template writes on, as long as somebody waits for it and there is room.
struct Paper<'a> {
    text: Vec<u8>,
    interrupt: &'a Interrupt<'a>,
}

impl io::Write for Paper<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.interrupt.check().map_err(io::Error::other)?;
        if self.text.len() > PROMPT_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A character that means nothing and is in no message: one of those that Unicode sets apart for a program's own use. There
/// are more of them than a request's texts can hold.
fn guard(messages: &[Message]) -> Option<char> {
    let own = |c: &char| matches!(c, '\u{FDD0}'..='\u{FDEF}' | '\u{F0000}'..='\u{FFFFD}' | '\u{100000}'..='\u{10FFFD}');
    let taken: HashSet<char> =
        messages.iter().flat_map(|message| message.content.chars().filter(own)).collect();
    let mut guards =
        ('\u{FDD0}'..='\u{FDEF}').chain('\u{F0000}'..='\u{FFFFD}').chain('\u{100000}'..='\u{10FFFD}');
    guards.find(|guard| !taken.contains(guard))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_is_the_first_character_that_no_message_has() {
        let guard_of = |texts: &[&str]| {
            let messages: Vec<Message> = texts.iter().map(|text| Message::new(Role::User, *text)).collect();
            guard(&messages)
        };
        assert_eq!(guard_of(&["a", ""]), Some('\u{FDD0}'));
        assert_eq!(guard_of(&["\u{FDD0}", "b\u{FDD1}\u{FDD3}"]), Some('\u{FDD2}'));
        // As many of them as the texts of a request hold: each is looked for once.
        let all: String = ('\u{FDD0}'..='\u{FDEF}').chain('\u{F0000}'..='\u{FFFFD}').collect();
        assert_eq!(guard_of(&[&all]), Some('\u{100000}'));
    }

    #[test]
    fn a_template_writes_while_somebody_waits_and_there_is_room() {
        use std::io::Write as _;
        let late = || true;
        let interrupt = Interrupt::when(&late);
        assert!(Paper { text: Vec::new(), interrupt: &interrupt }.write(b"a").is_err());
        let never = Interrupt::never();
        let mut paper = Paper { text: Vec::new(), interrupt: &never };
        assert_eq!(paper.write(&vec![b'a'; PROMPT_BYTES + 1]).unwrap(), PROMPT_BYTES + 1);
        assert!(paper.write(b"a").is_err());
    }
}
