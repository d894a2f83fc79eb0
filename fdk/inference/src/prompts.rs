//! What a model wants before each text, such as `query: `.

use crate::assets::Assets;
use crate::error::Error;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;

const NAME: &str = "config_sentence_transformers.json";

/// The prompts of `config_sentence_transformers.json`; a model without the file has none.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Prompts {
    #[serde(default)]
    prompts: BTreeMap<String, String>,
    #[serde(default)]
    default_prompt_name: Option<String>,
}

/// What a text is embedded for. Where a model has a prompt for that, it is put before the text; else its default prompt is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Purpose {
    #[default]
    Any,
    /// To look for documents by it.
    Query,
    /// To be found.
    Document,
}

impl Purpose {
    /// What models call its prompt, the first that one has.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Any => &[],
            Self::Query => &["query"],
            Self::Document => &["document", "passage", "corpus"],
        }
    }
}

impl Prompts {
    pub(crate) fn read(assets: &Assets) -> Result<Self, Error> {
        match fs::read(assets.path(NAME)) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::model(&format!("has no readable {NAME}"), error)),
        }
    }

    pub(crate) fn parse(text: &[u8]) -> Result<Self, Error> {
        let prompts: Self = serde_json::from_slice(text)
            .map_err(|error| Error::model(&format!("has a {NAME} that does not parse"), error))?;
        if let Some(name) = &prompts.default_prompt_name
            && !prompts.prompts.contains_key(name)
        {
            let why = format!("its default_prompt_name '{name}' is none of its prompts: {}", prompts.names());
            return Err(Error::model(&format!("has a {NAME} that cannot be used"), why));
        }
        Ok(prompts)
    }

    /// Whether anything is ever put before a text.
    pub(crate) fn is_empty(&self) -> bool {
        self.prompts.values().all(String::is_empty)
    }

    /// The prompt of this name.
    pub(crate) fn named(&self, name: &str) -> Result<&str, Error> {
        self.prompts.get(name).map(String::as_str).ok_or_else(|| {
            let message = format!("the model has no prompt '{name}'; it has: {}", self.names());
            Error::input("prompt_name", message)
        })
    }

    /// The prompt for a purpose, or the default; empty when there is none.
    pub(crate) fn of(&self, purpose: Purpose) -> &str {
        let own = purpose.names().iter().copied().find(|name| self.prompts.contains_key(*name));
        let name = own.or(self.default_prompt_name.as_deref());
        name.and_then(|name| self.prompts.get(name)).map_or("", String::as_str)
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.prompts.keys().map(String::as_str).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_the_models_by_name() {
        let text =
            r#"{"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "query"}"#;
        let prompts = Prompts::parse(text.as_bytes()).unwrap();
        assert_eq!(prompts.of(Purpose::Any), "query: ");
        assert_eq!(prompts.named("passage").unwrap(), "passage: ");
        let error = prompts.named("title").unwrap_err();
        assert_eq!(error.to_string(), "the model has no prompt 'title'; it has: passage, query");
        assert_eq!(error.path(), Some("prompt_name"));
        assert_eq!(Prompts::default().of(Purpose::Any), "");
        assert!(Prompts::default().is_empty() && !prompts.is_empty());
    }

    #[test]
    fn a_purpose_has_its_own_prompt_or_the_default() {
        let of = |text: &str, purpose| Prompts::parse(text.as_bytes()).unwrap().of(purpose).to_owned();
        let both = r#"{"prompts": {"query": "q: ", "corpus": "c: ", "passage": "p: "}}"#;
        let found = [Purpose::Any, Purpose::Query, Purpose::Document].map(|purpose| of(both, purpose));
        assert_eq!(found, ["", "q: ", "p: "]);
        let other = r#"{"prompts": {"title": "t: "}, "default_prompt_name": "title"}"#;
        let found = [Purpose::Any, Purpose::Query, Purpose::Document].map(|purpose| of(other, purpose));
        assert_eq!(found, ["t: ", "t: ", "t: "]);
    }

    #[test]
    fn a_default_that_is_no_prompt_is_refused() {
        let error =
            Prompts::parse(br#"{"prompts": {"query": ""}, "default_prompt_name": "title"}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the model has a config_sentence_transformers.json that cannot be used"
        );
        assert_eq!(
            std::error::Error::source(&error).unwrap().to_string(),
            "its default_prompt_name 'title' is none of its prompts: query"
        );
    }
}
