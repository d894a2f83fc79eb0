//! Text → token ids.

use crate::assets::Assets;
use crate::error::Error;
use serde::Deserialize;
use std::fs;
use tokenizers::Tokenizer;

/// A model's tokenizer, with the model's own limit of tokens.
#[derive(Debug)]
pub struct Tokens {
    tokenizer: Tokenizer,
    limit: usize,
    /// How many special tokens end a text; a cut text keeps them.
    closing: usize,
}

/// One text's ids, special tokens included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) ids: Vec<u32>,
    /// How many tokens the text had before it was cut to the limit.
    pub(crate) whole: usize,
}

impl Ids {
    pub(crate) fn is_truncated(&self) -> bool {
        self.whole > self.ids.len()
    }
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: usize,
}

impl Tokens {
    /// Opens a model's tokenizer: `tokenizer.json`, and the limit from `sentence_bert_config.json`.
    ///
    /// The padding and truncation that `tokenizer.json` itself carries are those of somebody's training run (128 for
    /// `MiniLM`) and are not used.
    pub fn open(assets: &Assets) -> Result<Self, Error> {
        let path = assets.path("tokenizer.json");
        let mut tokenizer = Tokenizer::from_file(&path)
            .map_err(|error| Error::model("has no usable tokenizer.json", error))?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| Error::model("has a tokenizer that cannot be used", error))?;
        let closing =
            closing(&tokenizer).map_err(|error| Error::model("has a tokenizer that does not work", error))?;
        let limit = max_seq_length(assets)?;
        if limit <= closing {
            return Err(Error::model(
                "cannot be served",
                format!("max_seq_length {limit} leaves no room for a text"),
            ));
        }
        Ok(Self { tokenizer, limit, closing })
    }

    /// The most tokens a text may have, special tokens included.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The ids of a text, cut to the limit.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.ids(text).map(|ids| ids.ids)
    }

    pub(crate) fn ids(&self, text: &str) -> Result<Ids, Error> {
        let encoding = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|error| Error::model("cannot tokenise a text", error))?;
        let mut ids = encoding.get_ids().to_vec();
        let whole = ids.len();
        if whole > self.limit {
            ids.drain(self.limit - self.closing..whole - self.closing);
        }
        Ok(Ids { ids, whole })
    }
}

/// The number of special tokens after a text's own, found by tokenising one with and without them.
fn closing(tokenizer: &Tokenizer) -> tokenizers::Result<usize> {
    let bare = tokenizer.encode_fast("a", false)?;
    let whole = tokenizer.encode_fast("a", true)?;
    let at = whole.get_ids().windows(bare.len().max(1)).position(|ids| ids == bare.get_ids());
    Ok(at.map_or(0, |at| whole.len() - at - bare.len()))
}

fn max_seq_length(assets: &Assets) -> Result<usize, Error> {
    let name = "sentence_bert_config.json";
    let text = fs::read(assets.path(name))
        .map_err(|error| Error::model(&format!("has no readable {name}"), error))?;
    let config: SentenceConfig = serde_json::from_slice(&text)
        .map_err(|error| Error::model(&format!("has a {name} that does not parse"), error))?;
    Ok(config.max_seq_length)
}
