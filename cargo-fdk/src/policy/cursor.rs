//! The characters of one statement, with their columns: words, quoted texts, patterns and signs.
//!
//! Placeholders are filled here, within the token that they stand in: no value can end a text or begin a clause.

use super::fault::Fault;
use super::variables::nearest;
use std::collections::BTreeMap;

/// What `${name}` stands for; an empty text has to come yet.
pub type Names = BTreeMap<String, String>;

/// How the names of what is made while the platform runs end: one that is not known may be yet.
const COMING: [&str; 4] = ["_function_id", "_application_id", "_secret_id", "_bucket"];

/// What is read where a placeholder has no value, so that the rest of the line is checked all the same: a name or an OCID.
const STAND_IN: &str = "ocid1.unknown.local..unknown";

pub(super) struct Cursor<'a> {
    rest: &'a str,
    names: &'a Names,
    line: usize,
    column: usize,
    /// What is to be said of the placeholders without a value.
    missing: Vec<String>,
    /// Where the words and texts begin that one is in: what is wrong with them is not the file's fault.
    blank: Vec<usize>,
}

/// A word, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) column: usize,
}

impl Word {
    /// Whether it is this keyword; the language's words are the same in capitals.
    pub(super) fn is(&self, keyword: &str) -> bool {
        self.text.eq_ignore_ascii_case(keyword)
    }
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: usize, text: &'a str, names: &'a Names) -> Self {
        Self { rest: text, names, line, column: 1, missing: Vec::new(), blank: Vec::new() }
    }

    pub(super) fn fault(&self, column: usize, message: impl Into<String>) -> Fault {
        Fault { line: self.line, column, message: message.into() }
    }

    /// Which placeholders have no value, and how they get one; `None` when all have.
    pub(super) fn missing(&self) -> Option<String> {
        (!self.missing.is_empty()).then(|| self.missing.join("; "))
    }

    /// Whether what begins in this column holds a placeholder without a value.
    pub(super) fn is_blank(&self, column: usize) -> bool {
        self.blank.contains(&column)
    }

    /// The column of what comes next, after white space.
    pub(super) fn here(&mut self) -> usize {
        while self.rest.starts_with(char::is_whitespace) {
            self.bump();
        }
        // A comment ends the statement.
        if self.rest.starts_with('#') {
            self.rest = "";
        }
        self.column
    }

    /// The next character that is no white space.
    pub(super) fn peek(&mut self) -> Option<char> {
        self.here();
        self.rest.chars().next()
    }

    /// Takes a sign if it is next.
    pub(super) fn take(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(sign);
        if found {
            self.bump();
        }
        found
    }

    pub(super) fn expect(&mut self, sign: char) -> Result<(), Fault> {
        if self.take(sign) { Ok(()) } else { Err(self.expected(&format!("'{sign}'"))) }
    }

    /// Takes a keyword, which is a whole word.
    pub(super) fn keyword(&mut self, keyword: &str) -> Result<(), Fault> {
        if self.take_keyword(keyword)? { Ok(()) } else { Err(self.expected(&format!("'{keyword}'"))) }
    }

    /// Takes a keyword if it is next.
    pub(super) fn take_keyword(&mut self, keyword: &str) -> Result<bool, Fault> {
        let before = (self.rest, self.column);
        let found = self.word()?.is_some_and(|word| word.is(keyword));
        if !found {
            (self.rest, self.column) = before;
        }
        Ok(found)
    }

    /// Says what should be here, and what is.
    pub(super) fn expected(&mut self, what: &str) -> Fault {
        let column = self.here();
        let found: String = self.rest.chars().take_while(|next| !next.is_whitespace()).take(40).collect();
        if found.is_empty() {
            return self.fault(
                column,
                format!("the statement ends where {what} belongs; one line is one statement"),
            );
        }
        // A control character in a message could be taken for two messages.
        self.fault(column, format!("{what} belongs here, not {found:?}"))
    }

    /// A word: a keyword, a name, an OCID, a variable. `None` when something else is next.
    pub(super) fn word(&mut self) -> Result<Option<Word>, Fault> {
        let column = self.here();
        let mut text = String::new();
        while let Some(next) = self.rest.chars().next() {
            if next == '$' {
                let at = self.column;
                let value = self.placeholder(column)?;
                if value.is_empty() || !value.chars().all(is_word) {
                    return Err(self.fault(
                        at,
                        format!("{value:?}, which the placeholder stands for, is no word: put it in quotes"),
                    ));
                }
                text.push_str(&value);
            } else if is_word(next) {
                text.push(next);
                self.bump();
            } else {
                break;
            }
        }
        Ok(Some(Word { text, column }).filter(|word| !word.text.is_empty()))
    }

    /// A text in single quotes; `None` when something else is next.
    pub(super) fn quoted(&mut self) -> Result<Option<Word>, Fault> {
        self.delimited('\'', "quote")
    }

    /// A pattern between slashes, without them; `None` when something else is next.
    pub(super) fn pattern(&mut self) -> Result<Option<Word>, Fault> {
        self.delimited('/', "slash")
    }

    fn delimited(&mut self, sign: char, name: &str) -> Result<Option<Word>, Fault> {
        let column = self.here();
        if !self.take(sign) {
            return Ok(None);
        }
        let mut text = String::new();
        loop {
            match self.rest.chars().next() {
                None => return Err(self.fault(column, format!("the closing {name} is missing"))),
                Some(next) if next == sign => {
                    self.bump();
                    return Ok(Some(Word { text, column }));
                }
                Some('$') if self.rest.starts_with("${") => {
                    let at = self.column;
                    let value = self.placeholder(column)?;
                    if value.contains(|held: char| held == sign || held.is_control()) {
                        return Err(self.fault(
                            at,
                            format!("{value:?}, which the placeholder stands for, holds a {name} or a control character"),
                        ));
                    }
                    text.push_str(&value);
                }
                // In a message it could be taken for the end of one.
                Some(next) if next.is_control() => {
                    return Err(self.fault(self.column, format!("{next:?} has no place in a text")));
                }
                Some(next) => {
                    text.push(next);
                    self.bump();
                }
            }
        }
    }

    /// The value of `${name}`, in the word or text that begins at `within`.
    fn placeholder(&mut self, within: usize) -> Result<String, Fault> {
        let column = self.column;
        let name = self.rest.strip_prefix("${").and_then(|rest| rest.split_once('}')).map(|(name, _)| name);
        let plain = |next: char| next.is_ascii_alphanumeric() || next == '_' || next == '-';
        let written =
            |name: &&str| self.names.contains_key(*name) || (!name.is_empty() && name.chars().all(plain));
        let Some(name) = name.filter(written) else {
            return Err(self.fault(column, "a placeholder is written ${name}"));
        };
        let value = match self.names.get(name) {
            Some(value) if !value.is_empty() => value.clone(),
            found => {
                let missing = if found.is_some() || COMING.iter().any(|end| name.ends_with(end)) {
                    format!(
                        "${{{name}}} stands for nothing yet: there is none, or there are several (--policy-var {name}=VALUE)"
                    )
                } else {
                    let near = nearest(name, self.names.keys().map(String::as_str));
                    format!("${{{name}}} has no value: give one with --policy-var {name}=VALUE{near}")
                };
                // A keyword that is only looked for is read twice.
                if !self.missing.contains(&missing) {
                    self.missing.push(missing);
                }
                self.blank.push(within);
                STAND_IN.to_owned()
            }
        };
        for _ in 0..name.chars().count() + 3 {
            self.bump();
        }
        Ok(value)
    }

    /// That nothing follows.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        if self.peek().is_none() { Ok(()) } else { Err(self.expected("the end of the statement")) }
    }

    fn bump(&mut self) {
        let mut rest = self.rest.chars();
        if rest.next().is_some() {
            self.rest = rest.as_str();
            self.column += 1;
        }
    }
}

fn is_word(next: char) -> bool {
    next.is_alphanumeric() || "-_.@+:*".contains(next)
}
