//! The task `embed`: texts → vectors.

use crate::assets::Assets;
use crate::encoder::{Encoder, Shortage};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::modules;
use crate::pooling::{Pooling, normalize};
use crate::prompts::{Prompts, Purpose};
use crate::texts::{Usage, one_or_many, yes};
use crate::tokenizer::Input;
use serde::{Deserialize, Serialize};

/// What to embed: `{"inputs": "text" | ["…"], "normalize": true, "truncate": true, "dimensions": n, "prompt_name": "…",
/// "partial": false}`; only `inputs` must be there.
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
    /// Keeps the first so many numbers of each vector, and scales what is left to length 1 if vectors are. Good with models
    /// trained for it (Kusupati et al., 2022, "Matryoshka").
    #[serde(default)]
    pub dimensions: Option<usize>,
    /// Which of the model's prompts (`config_sentence_transformers.json`) is put before each text; its default prompt, or
    /// none, unless said.
    #[serde(default)]
    pub prompt_name: Option<String>,
    /// What the texts are for, where a client's shape says that instead.
    #[serde(skip)]
    pub(crate) purpose: Purpose,
    /// Whether the texts that there is time for are answered when there is not time for all; otherwise such a request fails.
    /// False unless said.
    #[serde(default)]
    pub partial: bool,
}

impl EmbedRequest {
    /// A request for these texts with the defaults.
    pub fn new<T: Into<String>>(inputs: impl IntoIterator<Item = T>) -> Self {
        Self {
            inputs: inputs.into_iter().map(Into::into).collect(),
            normalize: true,
            truncate: true,
            dimensions: None,
            prompt_name: None,
            purpose: Purpose::default(),
            partial: false,
        }
    }
}

/// The vectors, in the order of the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbedReply {
    /// One vector for each text, all of one width; empty for an empty request, and for each of `incomplete`.
    pub embeddings: Vec<Vec<f32>>,
    /// The model's name.
    pub model: String,
    /// What it took.
    pub usage: Usage,
    /// The indices of the texts that there was no time for, where the request asked for a part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<usize>,
}

/// An embedding model, open and warm.
#[derive(Debug)]
pub struct Embedder {
    encoder: Encoder,
    pooling: Pooling,
    prompts: Prompts,
}

impl Embedder {
    /// Opens a sentence-transformers folder of the BERT, DistilBERT or RoBERTa family and runs it once, so that the first
    /// call pays for nothing. One with further modules than a transformer, a pooling and a normalisation is refused.
    #[expect(clippy::needless_pass_by_value, reason = "the files are the model's from here on")]
    pub fn open(assets: Assets) -> Result<Self, Error> {
        modules::check(&assets)?;
        let prompts = Prompts::read(&assets)?;
        let pooling = Pooling::read(&assets, &prompts)?;
        let embedder = Self { encoder: Encoder::open(&assets)?, pooling, prompts };
        let warm_up = EmbedRequest::new(["warm up"]);
        assets.timings().time("warm-up", || embedder.embed(&warm_up, &Interrupt::never()))?;
        Ok(embedder)
    }

    /// The size of a vector.
    pub fn width(&self) -> usize {
        self.encoder.width()
    }

    /// The most tokens a text may have, its prompt included.
    pub fn limit(&self) -> usize {
        self.encoder.tokenizer.limit()
    }

    /// What replies call the model.
    pub fn name(&self) -> &str {
        self.encoder.name()
    }

    /// Embeds the texts of a request.
    ///
    /// An error is the request's fault when a text has over 256 KiB, or more tokens than the model takes and `truncate`
    /// is false; when `dimensions` is more than the model has, or it has no such prompt; and when the texts take far longer
    /// than the interrupt allows. An interrupt is asked before each text is tokenised and before each layer.
    pub fn embed(&self, request: &EmbedRequest, interrupt: &Interrupt<'_>) -> Result<EmbedReply, Error> {
        let width = match request.dimensions {
            Some(dimensions) if dimensions == 0 || dimensions > self.width() => {
                let message =
                    format!("{dimensions} is none of 1 to {}, the dimensions of the model", self.width());
                return Err(Error::input("dimensions", message));
            }
            dimensions => dimensions.unwrap_or(self.width()),
        };
        let prompt = match &request.prompt_name {
            Some(name) => self.prompts.named(name)?,
            None => self.prompts.of(request.purpose),
        };
        let texts = self.encoder.tokenise("inputs", prompt, &request.inputs, request.truncate, interrupt)?;
        let shortage = if request.partial { Shortage::Stop } else { Shortage::Refuse("inputs") };
        let mut embeddings = vec![Vec::new(); texts.len()];
        let incomplete = self.encoder.run(&texts, shortage, interrupt, |index, tokens| {
            let mut vector = self.pooling.pool(tokens, self.width());
            vector.truncate(width);
            if request.normalize {
                normalize(&mut vector);
            }
            embeddings[index] = vector;
            Ok(())
        })?;
        let usage = Usage::of(&texts, &incomplete);
        Ok(EmbedReply { embeddings, model: self.name().to_owned(), usage, incomplete })
    }

    /// The vectors of texts, of length 1, cut to the model's limit, each text behind the model's prompt for the purpose;
    /// `place` is where the request has them.
    pub(crate) fn vectors<'t>(
        &self,
        place: &'static str,
        texts: impl IntoIterator<Item = &'t String>,
        purpose: Purpose,
        interrupt: &Interrupt<'_>,
    ) -> Result<(Vec<Vec<f32>>, Vec<Input>), Error> {
        let prompt = self.prompts.of(purpose);
        let texts = self.encoder.tokenise(place, prompt, texts, true, interrupt)?;
        let mut vectors = vec![Vec::new(); texts.len()];
        self.encoder.run(&texts, Shortage::Refuse(place), interrupt, |index, tokens| {
            vectors[index] = self.pooling.pool(tokens, self.width());
            normalize(&mut vectors[index]);
            Ok(())
        })?;
        Ok((vectors, texts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
