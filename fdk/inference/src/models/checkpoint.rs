//! An encoder's checkpoint, a file of safetensors: each of its tensors is computed with, or is one that the family can do without,
//! or is refused by name. One that was passed over would make the model another than it was trained to be.

use super::family::Family;
use crate::error::Error;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use safetensors::SafeTensors;
use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};

/// The tensors of a file, and which of them have been asked for.
pub(crate) struct Checkpoint<'a> {
    weights: VarBuilder<'a>,
    names: BTreeSet<String>,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl<'a> Checkpoint<'a> {
    /// Reads the file's header. Weights stored in half precision are widened: candle's mask makes NaN of f16.
    pub(crate) fn parse(file: &'a [u8]) -> Result<Self, Error> {
        fn fails(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
            Error::model("has a model.safetensors that does not parse", error)
        }
        let (_, header) = SafeTensors::read_metadata(file).map_err(fails)?;
        let weights = VarBuilder::from_slice_safetensors(file, DType::F32, &Device::Cpu).map_err(fails)?;
        let asked: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let noted = asked.clone();
        let weights = weights.rename_f(move |name| {
            noted.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
            name.to_owned()
        });
        Ok(Self { weights, names: header.tensors().into_keys().collect(), asked })
    }

    /// The tensors, by the file's own names.
    pub(crate) fn weights(&self) -> &VarBuilder<'a> {
        &self.weights
    }

    /// The names of the tensors that have been asked for.
    pub(crate) fn used(&self) -> BTreeSet<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        self.names.intersection(&asked).cloned().collect()
    }

    /// Refuses a tensor that has not been asked for, now that the model is made, and that the family needs.
    pub(crate) fn check(&self, family: &Family) -> Result<(), Error> {
        let used = self.used();
        match self.names.difference(&used).find(|name| !family.does_without(name)) {
            None => Ok(()),
            Some(odd) => {
                let what =
                    format!("has a tensor that nothing here computes with, {odd:?}: it cannot be served");
                Err(Error::model(&what, "model.safetensors"))
            }
        }
    }
}
