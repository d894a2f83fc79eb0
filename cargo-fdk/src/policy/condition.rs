//! `where` conditions, and the matching rules of dynamic groups, which are conditions too.

use super::cursor::{Cursor, Word};
use super::fault::Fault;
use super::variables::{Known, Vocabulary};
use std::fmt;

/// What must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    All(Vec<Self>),
    Any(Vec<Self>),
    Compare {
        /// In lower case.
        variable: String,
        test: Test,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    Equal(Value),
    Unequal(Value),
    In(Vec<Value>),
    /// A comparison that is read and never holds: of times, and whether a tag is there.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    /// The middle of a pattern, and whether anything may be before and after it.
    Pattern {
        before: bool,
        text: String,
        after: bool,
    },
}

/// How deep conditions may be in one another; Oracle's examples go to two.
const DEPTH: usize = 8;

impl Condition {
    /// Reads a condition. `unknown` is told of variables that are documented and have no value here.
    pub(super) fn parse(
        cursor: &mut Cursor<'_>,
        vocabulary: &Vocabulary,
        unknown: &mut dyn FnMut(&str),
    ) -> Result<Self, Fault> {
        Self::nested(cursor, vocabulary, unknown, 0)
    }

    fn nested(
        cursor: &mut Cursor<'_>,
        vocabulary: &Vocabulary,
        unknown: &mut dyn FnMut(&str),
        depth: usize,
    ) -> Result<Self, Fault> {
        let Some(word) = cursor.word()? else { return Err(cursor.expected("a condition")) };
        let all = word.is("all");
        if !(all || word.is("any")) {
            return Self::comparison(cursor, &word, vocabulary, unknown);
        }
        if depth == DEPTH {
            return Err(cursor.fault(word.column, format!("conditions may be {DEPTH} deep in one another")));
        }
        cursor.expect('{')?;
        let mut parts = vec![Self::nested(cursor, vocabulary, unknown, depth + 1)?];
        while cursor.take(',') {
            parts.push(Self::nested(cursor, vocabulary, unknown, depth + 1)?);
        }
        cursor.expect('}')?;
        Ok(if all { Self::All(parts) } else { Self::Any(parts) })
    }

    fn comparison(
        cursor: &mut Cursor<'_>,
        name: &Word,
        vocabulary: &Vocabulary,
        unknown: &mut dyn FnMut(&str),
    ) -> Result<Self, Fault> {
        let variable = name.text.to_ascii_lowercase();
        let known = vocabulary.find(&variable);
        match known {
            Some(Known::Evaluated) => {}
            Some(Known::Documented | Known::Time | Known::Tag) => unknown(&name.text),
            None => {
                let message =
                    format!("no variable {:?} is documented{}", name.text, vocabulary.near(&variable));
                return Err(cursor.fault(name.column, message));
            }
        }
        let test = if cursor.take('=') {
            Test::Equal(Value::parse(cursor, vocabulary)?)
        } else if cursor.take('!') {
            cursor.expect('=')?;
            Test::Unequal(Value::parse(cursor, vocabulary)?)
        } else if vocabulary.has_lists() && cursor.take_keyword("in")? {
            cursor.expect('(')?;
            let mut values = vec![Value::parse(cursor, vocabulary)?];
            while cursor.take(',') {
                values.push(Value::parse(cursor, vocabulary)?);
            }
            cursor.expect(')')?;
            Test::In(values)
        } else if known == Some(Known::Time)
            && (cursor.take_keyword("before")? || cursor.take_keyword("after")?)
        {
            Value::parse(cursor, vocabulary)?;
            Test::Unknown
        } else if known == Some(Known::Time) && cursor.take_keyword("between")? {
            Value::parse(cursor, vocabulary)?;
            cursor.keyword("and")?;
            Value::parse(cursor, vocabulary)?;
            Test::Unknown
        } else if known == Some(Known::Tag) && vocabulary.has_bare_tags() {
            Test::Unknown
        } else {
            let lists = if vocabulary.has_lists() { "'=', '!=' or 'in'" } else { "'=' or '!='" };
            return Err(cursor.expected(lists));
        };
        Ok(Self::Compare { variable, test })
    }

    /// Whether it holds. A variable without a value makes a comparison false, whichever: OCI declines a request to which
    /// a variable does not apply.
    pub(super) fn holds<'v>(&self, values: &dyn Fn(&str) -> Vec<&'v str>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(values)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(values)),
            Self::Compare { variable, test } => {
                let found = values(variable);
                let equals = |value: &Value| found.iter().any(|found| value.matches(found));
                !found.is_empty()
                    && match test {
                        Test::Equal(value) => equals(value),
                        Test::Unequal(value) => !equals(value),
                        Test::In(values) => values.iter().any(equals),
                        Test::Unknown => false,
                    }
            }
        }
    }

    /// The first comparison because of which it does not hold, and the values at hand.
    pub(super) fn why_not<'v>(&self, values: &dyn Fn(&str) -> Vec<&'v str>) -> Option<String> {
        match self {
            _ if self.holds(values) => None,
            Self::All(parts) => parts.iter().find_map(|part| part.why_not(values)),
            Self::Any(parts) => {
                let reasons: Vec<_> = parts.iter().filter_map(|part| part.why_not(values)).collect();
                Some(reasons.join("; "))
            }
            Self::Compare { variable, test } => {
                let found = values(variable);
                let found = if found.is_empty() {
                    "does not apply to this request".into()
                } else {
                    format!(
                        "is {}",
                        found.iter().map(|found| format!("'{found}'")).collect::<Vec<_>>().join(", ")
                    )
                };
                Some(format!("{variable} {test}, and {variable} {found}"))
            }
        }
    }
}

impl Value {
    fn parse(cursor: &mut Cursor<'_>, vocabulary: &Vocabulary) -> Result<Self, Fault> {
        if let Some(text) = cursor.quoted()? {
            if text.text.is_empty() {
                return Err(cursor.fault(text.column, "a value may not be empty"));
            }
            return Ok(Self::Text(text.text));
        }
        let what =
            if vocabulary.has_lists() { "a 'text' in quotes or a /pattern/" } else { "a 'text' in quotes" };
        match cursor.pattern()? {
            Some(pattern) if vocabulary.has_lists() => {
                let (before, rest) =
                    pattern.text.strip_prefix('*').map_or((false, &*pattern.text), |rest| (true, rest));
                let (after, text) = rest.strip_suffix('*').map_or((false, rest), |text| (true, text));
                if text.is_empty() || text.contains('*') || !(before || after) {
                    let message =
                        "a pattern has a '*' at its beginning, its end, or both: /A-*/, /*-B/, /*-C-*/";
                    return Err(cursor.fault(pattern.column, message));
                }
                Ok(Self::Pattern { before, text: text.to_owned(), after })
            }
            Some(pattern) => Err(cursor.fault(pattern.column, format!("{what} belongs here, not a pattern"))),
            None => Err(cursor.expected(what)),
        }
    }

    /// Conditions do not tell capitals from small letters.
    fn matches(&self, found: &str) -> bool {
        let found = found.to_lowercase();
        match self {
            Self::Text(text) => found == text.to_lowercase(),
            Self::Pattern { before, text, after } => {
                let text = text.to_lowercase();
                match (before, after) {
                    (true, true) => found.contains(&text),
                    (true, false) => found.ends_with(&text),
                    _ => found.starts_with(&text),
                }
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = |there: bool| if there { "*" } else { "" };
        match self {
            Self::Text(text) => write!(f, "'{text}'"),
            Self::Pattern { before, text, after } => write!(f, "/{}{text}{}/", star(*before), star(*after)),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(value) => write!(f, "must be {value}"),
            Self::Unequal(value) => write!(f, "must not be {value}"),
            Self::In(values) => {
                let values = values.iter().map(ToString::to_string).collect::<Vec<_>>();
                write!(f, "must be one of {}", values.join(", "))
            }
            Self::Unknown => f.write_str("is compared as nothing here is"),
        }
    }
}
