//! BERT (Devlin et al., 2018) as an encoder of texts, on candle's own layers; and its kin, DistilBERT (Sanh et al., 2019)
//! and RoBERTa (Liu et al., 2019), whose layers are the same.

use super::family::{Family, Kind, distilbert_name};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::tokenizer::Input;
use candle_core::{Device, Result, Tensor};
use candle_nn::{Embedding, LayerNorm, Module as _, VarBuilder, embedding, layer_norm};
use candle_transformers::models::bert::BertEncoder;

/// The encoder, without a pooler or a head.
pub(crate) struct Bert {
    words: Embedding,
    positions: Tensor,
    /// One vector for each text of a pair; none in families that do not tell them apart.
    types: Option<Tensor>,
    norm: LayerNorm,
    /// One encoder for each layer: candle's runs all of its layers in one call, and an interrupt must be asked between.
    layers: Vec<BertEncoder>,
    width: usize,
}

impl Bert {
    /// Takes the encoder's weights out of a checkpoint, with or without a head.
    pub(crate) fn load(weights: &VarBuilder<'_>, family: &Family) -> Result<Self> {
        let config = &family.config;
        let weights = match family.kind {
            Kind::DistilBert => &weights.clone().rename_f(distilbert_name),
            Kind::Bert | Kind::Roberta => weights,
        };
        // A checkpoint with a head keeps the encoder under the name of its family.
        let prefixed =
            weights.contains_tensor(&format!("{}.embeddings.word_embeddings.weight", family.prefix()));
        let weights = if prefixed { weights.pp(family.prefix()) } else { weights.clone() };
        let embeddings = weights.pp("embeddings");
        let encoder = BertEncoder::load(weights.pp("encoder"), config)?;
        let single = |layer| {
            let mut single = encoder.clone();
            single.layers = vec![layer];
            single
        };
        let positions = embeddings
            .pp("position_embeddings")
            .get((config.max_position_embeddings, config.hidden_size), "weight")?;
        let types = (config.type_vocab_size > 0).then(|| {
            embeddings.pp("token_type_embeddings").get((config.type_vocab_size, config.hidden_size), "weight")
        });
        Ok(Self {
            words: embedding(config.vocab_size, config.hidden_size, embeddings.pp("word_embeddings"))?,
            positions: positions.narrow(0, family.first_position(), family.positions())?,
            types: types.transpose()?,
            norm: layer_norm(config.hidden_size, config.layer_norm_eps, embeddings.pp("LayerNorm"))?,
            layers: encoder.layers.iter().cloned().map(single).collect(),
            width: config.hidden_size,
        })
    }

    /// The size of a token's vector.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Encodes a batch of texts. Returns each text's vectors, `tokens × width` in rows.
    pub(crate) fn forward(
        &self,
        batch: &[&Input],
        interrupt: &Interrupt<'_>,
    ) -> std::result::Result<Vec<Vec<f32>>, Error> {
        let fails = |error| Error::model("could not be run", error);
        let longest = batch.iter().map(|text| text.ids.len()).max().unwrap_or_default();
        let mask = Self::mask(batch, longest).map_err(fails)?;
        let mut hidden = self.embed(batch, longest).map_err(fails)?;
        for layer in &self.layers {
            interrupt.check()?;
            hidden = layer.forward(&hidden, &mask).map_err(fails)?;
        }
        batch
            .iter()
            .enumerate()
            .map(|(row, text)| hidden.get(row)?.narrow(0, 0, text.ids.len())?.flatten_all()?.to_vec1())
            .collect::<Result<_>>()
            .map_err(fails)
    }

    /// The sum of word, position and type vectors, normalised; texts are padded with id 0 to the longest.
    fn embed(&self, batch: &[&Input], longest: usize) -> Result<Tensor> {
        let padded = |of: fn(&Input) -> &[u32]| {
            let mut rows = vec![0; batch.len() * longest];
            for (row, text) in rows.chunks_exact_mut(longest).zip(batch) {
                let of = of(text);
                row[..of.len()].copy_from_slice(of);
            }
            Tensor::from_vec(rows, (batch.len(), longest), &Device::Cpu)
        };
        let mut sum = self.words.forward(&padded(|text| &text.ids)?)?;
        sum = sum.broadcast_add(&self.positions.narrow(0, 0, longest)?)?;
        if let Some(types) = &self.types {
            sum = if batch.iter().all(|text| text.types.is_empty()) {
                // A text by itself is all of the first type.
                sum.broadcast_add(&types.narrow(0, 0, 1)?)?
            } else {
                let rows = types.index_select(&padded(|text| &text.types)?.flatten_all()?, 0)?;
                (sum + rows.reshape((batch.len(), longest, self.width))?)?
            };
        }
        self.norm.forward(&sum)
    }

    /// What is added to attention scores: nothing for a token, the lowest number for padding, `batch × 1 × 1 × longest`.
    fn mask(batch: &[&Input], longest: usize) -> Result<Tensor> {
        let row = |text: &&Input| {
            let length = text.ids.len();
            (0..longest).map(move |position| if position < length { 0.0 } else { f32::MIN })
        };
        let mask: Vec<f32> = batch.iter().flat_map(row).collect();
        Tensor::from_vec(mask, (batch.len(), 1, 1, longest), &Device::Cpu)
    }
}
