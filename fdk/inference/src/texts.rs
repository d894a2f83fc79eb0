//! The texts of a request.

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The most texts of one request: what is made of them must fit beside the model.
pub(crate) const MAX_TEXTS: usize = 4096;

/// What a task took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens computed, special tokens included.
    pub tokens: usize,
    /// The indices of the texts that were cut to the model's limit; empty when none was.
    pub truncated: Vec<usize>,
}

impl Usage {
    /// Of texts, less those that were not computed.
    pub(crate) fn of(texts: &[crate::tokenizer::Input], skipped: &[usize]) -> Self {
        let computed = || texts.iter().enumerate().filter(|(index, _)| skipped.binary_search(index).is_err());
        Self {
            tokens: computed().map(|(_, text)| text.ids.len()).sum(),
            truncated: computed().filter(|(_, text)| text.is_truncated()).map(|(index, _)| index).collect(),
        }
    }
}

pub(crate) fn yes() -> bool {
    true
}

/// A text or a list of texts. Written out rather than untagged, so that an error still names the place in the list.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(Texts { one: true })
}

/// As [`one_or_many`], and whether it was a single text without brackets.
pub(crate) fn told_apart<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<(Vec<String>, bool), D::Error> {
    deserializer.deserialize_any(Apart)
}

/// A list of texts.
pub(crate) fn many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(Texts { one: false })
}

struct Texts {
    /// Whether a single text may stand without brackets.
    one: bool,
}

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.one { "a text or a list of texts" } else { "a list of texts" })
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Self::Value, E> {
        if self.one { Ok(vec![text]) } else { Err(E::invalid_type(serde::de::Unexpected::Str(&text), &self)) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element()? {
            if texts.len() == MAX_TEXTS {
                let message = format_args!("more than {MAX_TEXTS} texts: send them in several calls");
                return Err(A::Error::custom(message));
            }
            texts.push(text);
        }
        Ok(texts)
    }
}

struct Apart;

impl<'de> Visitor<'de> for Apart {
    type Value = (Vec<String>, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Texts { one: true }.expecting(f)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok((vec![text.to_owned()], true))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Ok((Texts { one: true }.visit_seq(list)?, false))
    }
}
