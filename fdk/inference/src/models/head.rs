//! The classification heads of encoders: hidden vectors → one number for each class.

use super::family::{Family, Kind};
use candle_core::{Device, Result, Tensor};
use candle_nn::{Linear, Module as _, VarBuilder, linear};

/// A head, over a whole text or over each token.
pub(crate) struct Head {
    /// A layer before the classes, and how it ends.
    dense: Option<(Linear, Activation)>,
    classes: Linear,
    /// A text is judged by the vector of its first token.
    first_only: bool,
}

#[derive(Clone, Copy)]
enum Activation {
    Tanh,
    Relu,
}

impl Head {
    /// The head of a checkpoint that has one.
    pub(crate) fn of(weights: &VarBuilder<'_>, family: &Family) -> Result<Option<Self>> {
        if family.is_sequence_classifier() {
            Self::sequence(weights, family).map(Some)
        } else if family.is_token_classifier() {
            Self::tokens(weights, family).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The head of a checkpoint for whole texts, whose parts each family names otherwise.
    fn sequence(weights: &VarBuilder<'_>, family: &Family) -> Result<Self> {
        let (width, classes) = (family.config.hidden_size, family.labels().len());
        let square = |name: &str| linear(width, width, weights.pp(name));
        let (dense, name) = match family.kind {
            Kind::Bert => ((square("bert.pooler.dense")?, Activation::Tanh), "classifier"),
            Kind::DistilBert => ((square("pre_classifier")?, Activation::Relu), "classifier"),
            Kind::Roberta => ((square("classifier.dense")?, Activation::Tanh), "classifier.out_proj"),
        };
        Ok(Self { dense: Some(dense), classes: linear(width, classes, weights.pp(name))?, first_only: true })
    }

    /// The head of a checkpoint for tokens.
    fn tokens(weights: &VarBuilder<'_>, family: &Family) -> Result<Self> {
        let classes = linear(family.config.hidden_size, family.labels().len(), weights.pp("classifier"))?;
        Ok(Self { dense: None, classes, first_only: false })
    }

    /// The numbers of each row: of the first token, or of every one. `hidden` is `tokens × width` in rows.
    pub(crate) fn logits(&self, hidden: &[f32], width: usize) -> Result<Vec<Vec<f32>>> {
        let hidden = if self.first_only { &hidden[..width] } else { hidden };
        let mut rows = Tensor::from_slice(hidden, (hidden.len() / width, width), &Device::Cpu)?;
        if let Some((dense, activation)) = &self.dense {
            rows = dense.forward(&rows)?;
            rows = match activation {
                Activation::Tanh => rows.tanh()?,
                Activation::Relu => rows.relu()?,
            };
        }
        self.classes.forward(&rows)?.to_vec2()
    }
}
