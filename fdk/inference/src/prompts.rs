//! What a model wants before each text, such as `query: `.

use crate::assets::Assets;
use crate::error::Error;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;

/// The prompts of `config_sentence_transformers.json`; a model without the file has none.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Prompts {
    #[serde(default)]
    prompts: BTreeMap<String, String>,
    #[serde(default)]
    default_prompt_name: Option<String>,
}

impl Prompts {
    pub(crate) fn read(assets: &Assets) -> Result<Self, Error> {
        let name = "config_sentence_transformers.json";
        let Ok(text) = fs::read(assets.path(name)) else { return Ok(Self::default()) };
        serde_json::from_slice(&text)
            .map_err(|error| Error::model(&format!("has a {name} that does not parse"), error))
    }

    /// The prompt of this name, or the default; empty when there is none.
    pub(crate) fn get(&self, name: Option<&str>) -> Result<&str, Error> {
        let Some(wanted) = name.or(self.default_prompt_name.as_deref()) else { return Ok("") };
        self.prompts.get(wanted).map(String::as_str).ok_or_else(|| {
            let names: Vec<&str> = self.prompts.keys().map(String::as_str).collect();
            let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Error::input("prompt_name", format!("the model has no prompt '{wanted}'; it has: {has}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_the_models_by_name() {
        let text =
            r#"{"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "query"}"#;
        let prompts: Prompts = serde_json::from_str(text).unwrap();
        assert_eq!(prompts.get(None).unwrap(), "query: ");
        assert_eq!(prompts.get(Some("passage")).unwrap(), "passage: ");
        let error = prompts.get(Some("title")).unwrap_err();
        assert_eq!(error.to_string(), "the model has no prompt 'title'; it has: passage, query");
        assert_eq!(error.path(), Some("prompt_name"));
        assert_eq!(Prompts::default().get(None).unwrap(), "");
    }
}
