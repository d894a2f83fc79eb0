//! BERT (Devlin et al., 2018) as an encoder of texts, on candle's own layers.

use crate::assets::Assets;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::map::map;
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Embedding, LayerNorm, Module as _, VarBuilder, embedding, layer_norm};
use candle_transformers::models::bert::{BertEncoder, Config};
use std::fs;

/// The encoder, without a pooler or a head.
pub(crate) struct Bert {
    words: Embedding,
    positions: Tensor,
    types: Tensor,
    norm: LayerNorm,
    /// One encoder for each layer: candle's runs all of its layers in one call, and an interrupt must be asked between.
    layers: Vec<BertEncoder>,
    width: usize,
}

impl Bert {
    /// Opens `config.json` and `model.safetensors`. Weights stored in half precision are widened: candle's mask makes
    /// NaN of f16.
    pub(crate) fn open(assets: &Assets) -> std::result::Result<Self, Error> {
        let text = fs::read(assets.path("config.json"))
            .map_err(|error| Error::model("has no readable config.json", error))?;
        let config: Config = serde_json::from_slice(&text)
            .map_err(|error| Error::model("has a config.json that is not BERT's", error))?;
        let weights = assets
            .timings()
            .time("read", || map(&assets.path("model.safetensors")))
            .map_err(|error| Error::model("has no readable model.safetensors", error))?;
        let weights = VarBuilder::from_slice_safetensors(&weights, DType::F32, &Device::Cpu)
            .map_err(|error| Error::model("has a model.safetensors that does not parse", error))?;
        Self::load(&weights, &config)
            .map_err(|error| Error::model("has a model.safetensors that does not fit its config.json", error))
    }

    fn load(weights: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        // A checkpoint with a head keeps the encoder under the name of its family.
        let prefixed = weights.contains_tensor("bert.embeddings.word_embeddings.weight");
        let weights = if prefixed { weights.pp("bert") } else { weights.clone() };
        let embeddings = weights.pp("embeddings");
        let encoder = BertEncoder::load(weights.pp("encoder"), config)?;
        let single = |layer| {
            let mut single = encoder.clone();
            single.layers = vec![layer];
            single
        };
        Ok(Self {
            words: embedding(config.vocab_size, config.hidden_size, embeddings.pp("word_embeddings"))?,
            positions: embeddings
                .pp("position_embeddings")
                .get((config.max_position_embeddings, config.hidden_size), "weight")?,
            // A text by itself is all of the first type.
            types: embeddings
                .pp("token_type_embeddings")
                .get((config.type_vocab_size, config.hidden_size), "weight")?
                .narrow(0, 0, 1)?,
            norm: layer_norm(config.hidden_size, config.layer_norm_eps, embeddings.pp("LayerNorm"))?,
            layers: encoder.layers.iter().cloned().map(single).collect(),
            width: config.hidden_size,
        })
    }

    /// The size of a token's vector.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Encodes a batch of texts, each given by its ids. Returns each text's vectors, `tokens × width` in rows.
    pub(crate) fn forward(
        &self,
        batch: &[&[u32]],
        interrupt: &Interrupt<'_>,
    ) -> std::result::Result<Vec<Vec<f32>>, Error> {
        let fails = |error| Error::model("could not be run", error);
        let longest = batch.iter().map(|ids| ids.len()).max().unwrap_or_default();
        let mask = Self::mask(batch, longest).map_err(fails)?;
        let mut hidden = self.embed(batch, longest).map_err(fails)?;
        for layer in &self.layers {
            interrupt.check()?;
            hidden = layer.forward(&hidden, &mask).map_err(fails)?;
        }
        batch
            .iter()
            .enumerate()
            .map(|(row, ids)| hidden.get(row)?.narrow(0, 0, ids.len())?.flatten_all()?.to_vec1())
            .collect::<Result<_>>()
            .map_err(fails)
    }

    /// The sum of word, position and type vectors, normalised; texts are padded with id 0 to the longest.
    fn embed(&self, batch: &[&[u32]], longest: usize) -> Result<Tensor> {
        let mut ids = vec![0; batch.len() * longest];
        for (row, text) in ids.chunks_exact_mut(longest).zip(batch) {
            row[..text.len()].copy_from_slice(text);
        }
        let ids = Tensor::from_vec(ids, (batch.len(), longest), &Device::Cpu)?;
        let places = self.positions.narrow(0, 0, longest)?.broadcast_add(&self.types)?;
        self.norm.forward(&self.words.forward(&ids)?.broadcast_add(&places)?)
    }

    /// What is added to attention scores: nothing for a token, the lowest number for padding, `batch × 1 × 1 × longest`.
    fn mask(batch: &[&[u32]], longest: usize) -> Result<Tensor> {
        let row = |ids: &&[u32]| {
            let length = ids.len();
            (0..longest).map(move |position| if position < length { 0.0 } else { f32::MIN })
        };
        let mask: Vec<f32> = batch.iter().flat_map(row).collect();
        Tensor::from_vec(mask, (batch.len(), 1, 1, longest), &Device::Cpu)
    }
}

impl std::fmt::Debug for Bert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bert")
            .field("layers", &self.layers.len())
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}
