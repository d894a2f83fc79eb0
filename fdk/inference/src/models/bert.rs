//! BERT (Devlin et al., 2018) as an encoder of texts, on candle; and its kin, DistilBERT (Sanh et al., 2019) and RoBERTa
//! (Liu et al., 2019), whose layers are the same.

use super::bert_layer::BertLayer;
use super::family::Family;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::tokenizer::Input;
use candle_core::{Device, Result, Tensor};
use candle_nn::{Embedding, LayerNorm, Module as _, VarBuilder, embedding, layer_norm};

/// The encoder, without a pooler or a head.
pub(crate) struct Bert {
    words: Embedding,
    positions: Tensor,
    /// One vector for each text of a pair; none in families that do not tell them apart.
    types: Option<Tensor>,
    norm: LayerNorm,
    layers: Vec<BertLayer>,
    width: usize,
}

impl Bert {
    /// Takes the encoder's weights, by BERT's names.
    pub(crate) fn load(weights: &VarBuilder<'_>, family: &Family) -> Result<Self> {
        let config = &family.config;
        let embeddings = weights.pp("embeddings");
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
            layers: (0..config.num_hidden_layers)
                .map(|number| BertLayer::load(&weights.pp(format!("encoder.layer.{number}")), config))
                .collect::<Result<_>>()?,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::Assets;
    use candle_core::DType;
    use candle_transformers::models::bert::{BertModel, Config as TheirConfig};
    use std::path::Path;

    /// `candle-transformers` has a BERT of its own, which reads the same checkpoint.
    #[test]
    fn vectors_are_those_of_candle_transformers() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/inference/checkpoints");
        for name in ["cross", "names"] {
            let family = Family::read(&Assets::unlisted(&folder, name).unwrap().unwrap()).unwrap();
            let file = std::fs::read(folder.join(name).join("model.safetensors")).unwrap();
            let weights = VarBuilder::from_buffered_safetensors(file, DType::F32, &Device::Cpu).unwrap();
            let ours = Bert::load(&family.encoder(&weights), &family).unwrap();
            let length = 9;
            let ids: Vec<u32> = (0..length).map(|at| (at * 7 + 3) % 30).collect();
            let types: Vec<u32> = (0..length).map(|at| u32::from(at > 4)).collect();
            let text = Input { ids: ids.clone(), types: types.clone(), whole: ids.len() };
            let found = ours.forward(&[&text], &Interrupt::never()).unwrap().remove(0);
            let text = std::fs::read(folder.join(name).join("config.json")).unwrap();
            let mut config: serde_json::Value = serde_json::from_slice(&text).unwrap();
            // What training needed, which it asks for.
            config["hidden_dropout_prob"] = 0.0.into();
            config["initializer_range"] = 0.02.into();
            let config: TheirConfig = serde_json::from_value(config).unwrap();
            let theirs = BertModel::load(weights, &config).unwrap();
            let row = |numbers: &[u32]| Tensor::new(numbers, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            let expected = theirs.forward(&row(&ids), &row(&types), None).unwrap();
            let expected: Vec<f32> = expected.flatten_all().unwrap().to_vec1().unwrap();
            assert_eq!(found.len(), expected.len());
            let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-6, "{name}: {worst}");
        }
    }
}
