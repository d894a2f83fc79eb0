//! The task `embed`: texts → vectors.

use crate::assets::Assets;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::models::bert::Bert;
use crate::pooling::{Pooling, normalize};
use crate::tokens::{Ids, Tokens};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The most tokens, padding included, that go through the model at once. It bounds the memory of activations, and the
/// time until an interrupt is noticed.
const BATCH_TOKENS: usize = 1024;
/// The most bytes of one text: the tokenizer takes over a hundred bytes of memory for each. A text of the model's limit
/// has a few thousand.
const MAX_TEXT: usize = 256 * 1024;
/// The most texts of one request: their vectors must fit beside the model.
const MAX_INPUTS: usize = 4096;

/// What to embed: `{"inputs": "text" | ["…"], "normalize": true, "truncate": true}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EmbedRequest {
    /// The texts, at most 4,096 of at most 256 KiB each; in JSON a single text may stand without brackets. An empty text
    /// has an embedding like any other.
    #[serde(deserialize_with = "one_or_many")]
    pub inputs: Vec<String>,
    /// Whether vectors are scaled to length 1, so that their dot product is their cosine. True unless said.
    #[serde(default = "yes")]
    pub normalize: bool,
    /// Whether a text over the model's limit is cut to it, and reported in the reply; otherwise it is refused. True
    /// unless said.
    #[serde(default = "yes")]
    pub truncate: bool,
}

impl EmbedRequest {
    /// A request for these texts with the defaults.
    pub fn new<T: Into<String>>(inputs: impl IntoIterator<Item = T>) -> Self {
        Self { inputs: inputs.into_iter().map(Into::into).collect(), normalize: true, truncate: true }
    }
}

/// The vectors, in the order of the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbedReply {
    /// One vector for each text, all of the model's width; empty for an empty request.
    pub embeddings: Vec<Vec<f32>>,
    /// The model's name.
    pub model: String,
    /// What it took.
    pub usage: EmbedUsage,
}

/// What an embedding took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbedUsage {
    /// Tokens computed, special tokens included.
    pub tokens: usize,
    /// The indices of the texts that were cut to the model's limit; empty when none was.
    pub truncated: Vec<usize>,
}

/// An embedding model, open and warm.
#[derive(Debug)]
pub struct Embedder {
    name: String,
    tokens: Tokens,
    model: Bert,
    pooling: Pooling,
}

impl Embedder {
    /// Opens a BERT-class sentence-transformers folder and runs it once, so that the first call pays for nothing.
    #[expect(clippy::needless_pass_by_value, reason = "the files are the model's from here on")]
    pub fn open(assets: Assets) -> Result<Self, Error> {
        let timings = assets.timings().clone();
        let tokens = timings.time("tokenizer", || Tokens::open(&assets))?;
        let model = timings.time("build", || Bert::open(&assets))?;
        let embedder =
            Self { name: assets.model().name.clone(), tokens, model, pooling: Pooling::read(&assets)? };
        let warm_up = EmbedRequest::new(["warm up"]);
        timings.time("warm-up", || embedder.embed(&warm_up, &Interrupt::never()))?;
        Ok(embedder)
    }

    /// The size of a vector.
    pub fn width(&self) -> usize {
        self.model.width()
    }

    /// The most tokens a text may have.
    pub fn limit(&self) -> usize {
        self.tokens.limit()
    }

    /// Embeds the texts of a request.
    ///
    /// An error is the request's fault when a text has over 256 KiB, or more tokens than the model takes and `truncate`
    /// is false. An interrupt is asked before each text is tokenised and before each layer.
    pub fn embed(&self, request: &EmbedRequest, interrupt: &Interrupt<'_>) -> Result<EmbedReply, Error> {
        let texts = self.tokenise(request, interrupt)?;
        let mut embeddings = vec![Vec::new(); texts.len()];
        for batch in batches(&texts) {
            let ids: Vec<&[u32]> = batch.iter().map(|index| texts[*index].ids.as_slice()).collect();
            let hidden = self.model.forward(&ids, interrupt)?;
            for (index, tokens) in batch.into_iter().zip(hidden) {
                let mut vector = self.pooling.pool(&tokens, self.model.width());
                if request.normalize {
                    normalize(&mut vector);
                }
                embeddings[index] = vector;
            }
        }
        let truncated =
            texts.iter().enumerate().filter(|(_, text)| text.is_truncated()).map(|(index, _)| index);
        let usage = EmbedUsage {
            tokens: texts.iter().map(|text| text.ids.len()).sum(),
            truncated: truncated.collect(),
        };
        Ok(EmbedReply { embeddings, model: self.name.clone(), usage })
    }

    fn tokenise(&self, request: &EmbedRequest, interrupt: &Interrupt<'_>) -> Result<Vec<Ids>, Error> {
        let one = |(index, text): (usize, &String)| {
            interrupt.check()?;
            if text.len() > MAX_TEXT {
                let message = format!("the text has {} bytes and may have {MAX_TEXT}: split it", text.len());
                return Err(Error::input(format!("inputs[{index}]"), message));
            }
            let ids = self.tokens.ids(text)?;
            if ids.is_truncated() && !request.truncate {
                let message = format!(
                    "the text has {} tokens and the model takes {}: shorten it, or set truncate to true",
                    ids.whole,
                    self.limit()
                );
                return Err(Error::input(format!("inputs[{index}]"), message));
            }
            Ok(ids)
        };
        request.inputs.iter().enumerate().map(one).collect()
    }
}

/// Groups texts of like length, so that little is padded, within [`BATCH_TOKENS`].
fn batches(texts: &[Ids]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|index| texts[*index].ids.len());
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for index in order {
        let length = texts[index].ids.len();
        match batches.last_mut() {
            // Sorted: this text is the longest of its batch.
            Some(batch) if (batch.len() + 1) * length <= BATCH_TOKENS => batch.push(index),
            _ => batches.push(vec![index]),
        }
    }
    batches
}

fn yes() -> bool {
    true
}

/// A text or a list of texts. Written out rather than untagged, so that an error still names the place in the list.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
            Ok(vec![text])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = list.next_element()? {
                if texts.len() == MAX_INPUTS {
                    let message = format_args!("more than {MAX_INPUTS} texts: send them in several calls");
                    return Err(serde::de::Error::custom(message));
                }
                texts.push(text);
            }
            Ok(texts)
        }
    }

    deserializer.deserialize_any(OneOrMany)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(length: usize) -> Ids {
        Ids { ids: vec![0; length], whole: length }
    }

    #[test]
    fn batches_hold_each_text_once_within_the_budget() {
        let texts: Vec<Ids> = [256, 3, 256, 17, 256, 3, 256, 256, 90].map(text).into();
        let batches = batches(&texts);
        let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..texts.len()).collect::<Vec<_>>());
        for batch in &batches {
            let longest = batch.iter().map(|index| texts[*index].ids.len()).max().unwrap();
            assert!(batch.len() * longest <= BATCH_TOKENS);
        }
        assert!(super::batches(&[]).is_empty());
    }

    #[test]
    fn a_single_text_needs_no_brackets() {
        let parse = |json: &str| serde_json::from_str::<EmbedRequest>(json);
        assert_eq!(parse(r#"{"inputs": "a"}"#).unwrap(), EmbedRequest::new(["a"]));
        assert_eq!(parse(r#"{"inputs": []}"#).unwrap().inputs, Vec::<String>::new());
        let message = parse(r#"{"inputs": ["a", 3]}"#).unwrap_err().to_string();
        assert_eq!(message, "invalid type: integer `3`, expected a string at line 1 column 18");
        let message = parse(r#"{"inputs": 3}"#).unwrap_err().to_string();
        assert_eq!(
            message,
            "invalid type: integer `3`, expected a text or a list of texts at line 1 column 12"
        );
        let message = parse(r#"{"inputs": [], "normalise": true}"#).unwrap_err().to_string();
        assert!(
            message
                .starts_with("unknown field `normalise`, expected one of `inputs`, `normalize`, `truncate`")
        );
    }
}
