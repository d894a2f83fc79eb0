//! A linear head on embeddings: a label for a text, from what somebody's own examples taught it.

use crate::error::Error;
use crate::rerank::dot;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::path::Path;

/// What the file's metadata calls the labels, a JSON list of texts.
const LABELS: &str = "labels";

/// For each label a weight for each number of an embedding, and a bias.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearHead {
    labels: Vec<String>,
    width: usize,
    /// `labels × width`, in rows.
    weight: Vec<f32>,
    /// `labels`.
    bias: Vec<f32>,
}

impl LinearHead {
    /// A head of `labels × width` weights in rows, and a bias for each label.
    pub(crate) fn new(labels: Vec<String>, width: usize, weight: Vec<f32>, bias: Vec<f32>) -> Self {
        debug_assert!(weight.len() == labels.len() * width && bias.len() == labels.len());
        Self { labels, width, weight, bias }
    }

    /// Reads a head that [`LinearHead::save`] wrote: safetensors with `weight` (labels × width) and `bias` (labels) in f32,
    /// and the labels in the metadata.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let refuse = |what: &str| {
            Error::assets(format!(
                "{} is no head for classifying: {what}; make one with `cargo fdk assets fit-head`",
                path.display()
            ))
        };
        let bytes = std::fs::read(path).map_err(|error| refuse(&error.to_string()))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| refuse(&error.to_string()))?;
        let labels = header.metadata().as_ref().and_then(|metadata| metadata.get(LABELS));
        let labels: Vec<String> = labels
            .and_then(|labels| serde_json::from_str(labels).ok())
            .filter(|labels: &Vec<String>| !labels.is_empty())
            .ok_or_else(|| refuse("its metadata has no list of labels"))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| refuse(&error.to_string()))?;
        if let Some(odd) = tensors.names().into_iter().find(|name| !["weight", "bias"].contains(name)) {
            return Err(refuse(&format!("it has the tensor {odd:?}")));
        }
        let tensor = |name: &str| tensors.tensor(name).map_err(|error| refuse(&error.to_string()));
        let (weight, bias) = (tensor("weight")?, tensor("bias")?);
        let width = match (weight.dtype(), weight.shape(), bias.dtype(), bias.shape()) {
            (Dtype::F32, [rows, width], Dtype::F32, [biases])
                if *rows == labels.len() && *biases == labels.len() =>
            {
                *width
            }
            _ => return Err(refuse("its weight and bias do not fit its labels")),
        };
        Ok(Self { labels, width, weight: numbers(weight.data()), bias: numbers(bias.data()) })
    }

    /// Writes the head as a file that [`LinearHead::open`] reads, whole or not at all.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        let bytes =
            |numbers: &[f32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
        let (weight, bias) = (bytes(&self.weight), bytes(&self.bias));
        let view = |shape, data| TensorView::new(Dtype::F32, shape, data).map_err(std::io::Error::other);
        let tensors = [
            ("weight", view(vec![self.labels.len(), self.width], &weight)?),
            ("bias", view(vec![self.labels.len()], &bias)?),
        ];
        let metadata = HashMap::from([(LABELS.to_owned(), serde_json::to_string(&self.labels)?)]);
        let file = safetensors::serialize(tensors, Some(metadata)).map_err(std::io::Error::other)?;
        let partial = path.with_extension("part");
        std::fs::write(&partial, file)?;
        std::fs::rename(partial, path)
    }

    /// The labels, in the order of the numbers.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// How many numbers an embedding must have.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A number for each label; the largest is the likeliest.
    pub(crate) fn logits(&self, embedding: &[f32]) -> Vec<f32> {
        let rows = self.weight.chunks_exact(self.width).zip(&self.bias);
        rows.map(|(row, bias)| dot(row, embedding) + bias).collect()
    }
}

fn numbers(bytes: &[u8]) -> Vec<f32> {
    let number = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    bytes.chunks_exact(4).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_what_is_opened_and_anything_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h.safetensors");
        let labels = vec!["billing".to_owned(), "it's \"broken\"".to_owned()];
        let head = LinearHead::new(labels, 3, vec![1.0, 0.0, 0.0, 0.0, -2.0, 0.5], vec![0.25, -0.25]);
        head.save(&path).unwrap();
        assert_eq!(LinearHead::open(&path).unwrap(), head);
        assert_eq!(head.logits(&[1.0, 1.0, 2.0]), [1.25, -1.25]);

        let refusal =
            || LinearHead::open(&path).unwrap_err().to_string().replace(&path.display().to_string(), "H");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(refusal().starts_with("H is no head for classifying: "), "{}", refusal());
        let weight = vec![0; 4];
        let tensors = [("weight", TensorView::new(Dtype::F32, vec![1, 1], &weight).unwrap())];
        std::fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
        assert_eq!(
            refusal(),
            "H is no head for classifying: its metadata has no list of labels; make one with `cargo fdk assets fit-head`"
        );
        let tensors = [("scale", TensorView::new(Dtype::F32, vec![1, 1], &weight).unwrap())];
        let metadata = HashMap::from([(LABELS.to_owned(), "[\"a\"]".to_owned())]);
        std::fs::write(&path, safetensors::serialize(tensors, Some(metadata)).unwrap()).unwrap();
        assert_eq!(
            refusal(),
            "H is no head for classifying: it has the tensor \"scale\"; make one with `cargo fdk assets fit-head`"
        );
    }
}
