//! Messages → the text that a model was trained to answer, by the chat template that its GGUF carries (Jinja, as Hugging
//! Face's libraries run it).

use crate::bpe::Bpe;
use crate::error::Error;
use crate::gguf::Gguf;
use crate::interrupt::Interrupt;
use jiff::Timestamp;
use jiff::fmt::strtime::{BrokenDownTime, Config};
use jiff::tz::TimeZone;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, ErrorKind, context};
use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use std::collections::HashSet;
use std::error::Error as StdError;
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
        Self::new(template, bpe.marks(), Timestamp::now).map(Some)
    }

    fn new(template: &str, (begin, end): (&str, &str), now: fn() -> Timestamp) -> Result<Self, Error> {
        let mut environment = Environment::new();
        // As transformers sets Jinja up (`render_jinja_template`).
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .map_err(|error| Error::model("has a chat template that cannot be used", error))?,
        );
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: Value| -> Result<Value, minijinja::Error> {
            // A message of ours is one line.
            let why = message.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            Err(failed("the messages are refused", Refused(why)))
        });
        environment.add_function("strftime_now", move |format: String| {
            // A function's container has no other zone.
            let now = BrokenDownTime::from(&now().to_zoned(TimeZone::UTC));
            // As in C, what is no directive stays as it is.
            now.to_string_with_config(&Config::new().lenient(true), format)
                .map_err(|error| failed("the time cannot be written", error))
        });
        environment.add_filter("tojson", to_json);
        environment
            .add_template_owned(TEMPLATE, without_generation(template))
            .map_err(|error| Error::model("has a chat template that does not parse", error))?;
        Ok(Self { environment, begin: begin.into(), end: end.into() })
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
        Ok(Prompt { text: self.render(messages, interrupt)?, guard })
    }

    fn render(&self, messages: &[Message], interrupt: &Interrupt<'_>) -> Result<String, Error> {
        let template = self.environment.get_template(TEMPLATE);
        let mut output = Output { text: Vec::new(), interrupt };
        let rendered = template.and_then(|template| {
            let context = context! {
                messages => Value::from(Serde(messages)),
                tools => Value::from(()),
                documents => Value::from(()),
                add_generation_prompt => true,
                bos_token => self.begin.as_str(),
                eos_token => self.end.as_str(),
            };
            template.render_captured_to(context, &mut output).map(drop)
        });
        interrupt.check()?;
        if output.text.len() > PROMPT_BYTES {
            let message = format!(
                "the model's chat template makes over {PROMPT_BYTES} bytes of them: send fewer or shorter ones"
            );
            return Err(Error::input("messages", message));
        }
        rendered.map_err(|error| {
            let first: &(dyn StdError + 'static) = &error;
            let mut causes = std::iter::successors(Some(first), |&cause| cause.source());
            // Templates refuse what they were not made for, such as two messages of the user in a row.
            if let Some(Refused(why)) = causes.find_map(|cause| cause.downcast_ref::<Refused>()) {
                return Error::input("messages", format!("the model's chat template refuses them: {why}"));
            }
            // One without an end has none for the first conversation either, which is computed at start.
            if error.kind() == ErrorKind::OutOfFuel {
                let why =
                    "the model's chat template takes too many steps over them: send fewer or shorter ones";
                return Error::input("messages", why);
            }
            Error::model("has a chat template that fails", error)
        })?;
        String::from_utf8(output.text)
            .map_err(|error| Error::model("has a chat template that writes no text", error))
    }
}

/// What a template says of messages that it does not take.
#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Refused {}

fn failed(what: &'static str, source: impl StdError + Send + Sync + 'static) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, what).with_source(source)
}

/// JSON as Python writes it: minijinja's own filter escapes what HTML would misread.
#[expect(clippy::needless_pass_by_value, reason = "filters of minijinja take their options so")]
fn to_json(value: &Value, options: Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<u8> = options.get("indent")?;
    // The only one that is written.
    if options.get::<Option<bool>>("ensure_ascii")? == Some(true) {
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, "tojson escapes no letters"));
    }
    options.assert_all_used()?;
    let mut json = Vec::new();
    let written = match indent {
        None => value.serialize(&mut Serializer::with_formatter(&mut json, Spaced)),
        Some(indent) => {
            let indent = " ".repeat(indent.into());
            let pretty = PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut json, pretty))
        }
    };
    written.map_err(|error| failed("the value is no JSON", error))?;
    String::from_utf8(json).map_err(|error| failed("the value is no JSON", error))
}

/// A space after each comma and colon.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.begin_array_value(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// The template, with blocks that do nothing for `{% generation %}`: by those transformers finds what the assistant said.
fn without_generation(template: &str) -> String {
    let mut parts = template.split("{%");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (tag, after) = part.split_at(part.find("%}").unwrap_or_default());
        let name = tag.trim_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '+'));
        plain.push_str("{%");
        if matches!(name, "generation" | "endgeneration") {
            plain.push_str(&tag.replace("generation", "with"));
        } else {
            plain.push_str(tag);
        }
        plain.push_str(after);
    }
    plain
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat").finish_non_exhaustive()
    }
}

/// What a template writes, as long as somebody waits for it and there is room.
struct Output<'a> {
    text: Vec<u8>,
    interrupt: &'a Interrupt<'a>,
}

impl io::Write for Output<'_> {
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
    use std::sync::LazyLock;

    #[derive(Deserialize)]
    struct Golden {
        now: String,
        begin: String,
        end: String,
        templates: Vec<Template>,
    }

    #[derive(Deserialize)]
    struct Template {
        name: String,
        #[serde(rename = "template")]
        source: String,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        messages: Vec<Message>,
        /// What transformers makes of them …
        text: Option<String>,
        /// … or says of them; of neither the template fails.
        refused: Option<String>,
    }

    /// `reference/chat_templates.py` made it.
    static GOLDEN: LazyLock<Golden> = LazyLock::new(|| {
        serde_json::from_str(include_str!("../../../tests/inference/golden/chat_templates.json")).unwrap()
    });

    fn chat(template: &str) -> Chat {
        Chat::new(template, (&GOLDEN.begin, &GOLDEN.end), || GOLDEN.now.parse().unwrap()).unwrap()
    }

    #[test]
    fn templates_make_what_transformers_makes_of_them() {
        assert!(GOLDEN.templates.len() > 8);
        for Template { name, source, cases } in &GOLDEN.templates {
            for case in cases {
                match (chat(source).render(&case.messages, &Interrupt::never()), &case.text, &case.refused) {
                    (Ok(found), Some(text), None) => assert_eq!(&found, text, "{name}"),
                    (Err(error), None, Some(why)) => {
                        assert_eq!(error.path(), Some("messages"), "{name}");
                        let message = format!("the model's chat template refuses them: {why}");
                        assert_eq!(error.to_string(), message);
                    }
                    (Err(error), None, None) => {
                        assert!(!error.is_input(), "{name}: {error}");
                        assert_eq!(error.to_string(), "the model has a chat template that fails");
                    }
                    (found, _, _) => panic!("{name}: {found:?}"),
                }
            }
        }
    }

    #[test]
    fn a_failure_says_where_in_the_template_it_is() {
        let error = chat("a\n{{ nothing(messages) }}").render(&[], &Interrupt::never()).unwrap_err();
        let why = error.source().unwrap().to_string();
        assert_eq!(why, "unknown function: nothing is unknown (in chat:2)");
    }

    #[test]
    fn a_conversation_may_be_too_long_for_a_template() {
        let template =
            "{% for one in messages %}{% for other in messages %}{{ one.role }}{% endfor %}{% endfor %}";
        let error = chat(template)
            .render(&vec![Message::new(Role::User, ""); 2000], &Interrupt::never())
            .unwrap_err();
        assert_eq!(error.path(), Some("messages"));
        assert_eq!(
            error.to_string(),
            "the model's chat template takes too many steps over them: send fewer or shorter ones"
        );
    }

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
        assert!(Output { text: Vec::new(), interrupt: &interrupt }.write(b"a").is_err());
        let never = Interrupt::never();
        let mut output = Output { text: Vec::new(), interrupt: &never };
        assert_eq!(output.write(&vec![b'a'; PROMPT_BYTES + 1]).unwrap(), PROMPT_BYTES + 1);
        assert!(output.write(b"a").is_err());
    }
}
