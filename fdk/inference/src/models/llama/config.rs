//! What a GGUF's metadata says of a model of the Llama family, and which of these are served.

use super::tensors;
use crate::error::Error;
use crate::gguf::{Gguf, Value};

/// The architectures that are served, as `general.architecture` has them.
pub(crate) const SUPPORTED: &str = "llama, qwen2, qwen3";

/// What the metadata says of a model.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) layers: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_width: usize,
    pub(crate) forward: usize,
    pub(crate) context: usize,
    pub(crate) vocabulary: usize,
    pub(crate) epsilon: f32,
    base: f64,
    /// Whether positions turn a head's halves against each other (`NeoX`), or neighbours.
    pub(crate) halves: bool,
}

impl Config {
    /// What the metadata says, which the file's tensors must bear out.
    pub(crate) fn read(gguf: &Gguf<'_>) -> Result<Self, Error> {
        let architecture = gguf.text("general.architecture").unwrap_or("(no general.architecture)");
        if !SUPPORTED.split(", ").any(|supported| supported == architecture) {
            let what = format!(
                "is of an architecture that does not generate here, {architecture}: served are {SUPPORTED}"
            );
            return Err(Error::model(&what, "the GGUF file"));
        }
        let lacks = |why| Error::model("has a GGUF file that lacks something", why);
        let config = Self::of(gguf, architecture).map_err(lacks)?;
        tensors::check(gguf, config.layers)?;
        Ok(config)
    }

    fn of(gguf: &Gguf<'_>, architecture: &str) -> Result<Self, String> {
        let key = |name: &str| format!("{architecture}.{name}");
        let count = |name: &str| {
            let count = gguf.count(&key(name)).filter(|count| (1..1 << 24).contains(count));
            count.ok_or_else(|| format!("{} is absent or no count", key(name)))
        };
        let optional = |name: &str| gguf.count(&key(name));
        let float = |name: &str| match gguf.get(&key(name)) {
            Some(Value::Float(number)) => Some(number),
            _ => None,
        };
        if optional("expert_count").is_some_and(|experts| experts > 1) {
            return Err("a mixture of experts is not served".into());
        }
        if let Some(scaling) = gguf.text(&key("rope.scaling.type")).filter(|kind| *kind != "none") {
            return Err(format!("positions scaled as '{scaling}' has it are not served"));
        }
        let (width, heads) = (count("embedding_length")?, count("attention.head_count")?);
        let kv_heads = count("attention.head_count_kv").unwrap_or(heads);
        let head_width = count("attention.key_length").unwrap_or(width / heads);
        let fits = heads.is_multiple_of(kv_heads)
            && head_width > 0
            && head_width.is_multiple_of(2)
            && optional("attention.value_length").is_none_or(|value| value == head_width)
            && optional("rope.dimension_count").is_none_or(|turned| turned == head_width);
        if !fits {
            return Err("the counts and sizes of its attention heads do not go together".into());
        }
        let table = gguf.tensor("token_embd.weight").ok_or("there is no tensor token_embd.weight")?;
        let &[vocabulary, columns] = table.dimensions() else {
            return Err("token_embd.weight is no table".into());
        };
        if columns != width {
            return Err(format!("token_embd.weight has {columns} columns, and the width is {width}"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "it was an f32")]
        let epsilon = float("attention.layer_norm_rms_epsilon").unwrap_or(1e-5) as f32;
        Ok(Self {
            layers: count("block_count")?,
            width,
            heads,
            kv_heads,
            head_width,
            forward: count("feed_forward_length")?,
            context: count("context_length")?,
            vocabulary,
            epsilon,
            base: float("rope.freq_base").unwrap_or(10_000.0),
            halves: architecture != "llama",
        })
    }

    /// How far a position turns each pair of a head's numbers; `factors` slow some of them.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "angles")]
    pub(crate) fn turns(&self, factors: Option<&[f32]>) -> Vec<f32> {
        let head = self.head_width;
        let turn = |pair: usize| {
            let factor = factors.and_then(|factors| factors.get(pair)).copied().unwrap_or(1.0);
            (self.base.powf(-2.0 * pair as f64 / head as f64) / f64::from(factor)) as f32
        };
        (0..head / 2).map(turn).collect()
    }

    /// The bytes that a token of a conversation takes.
    pub(crate) fn bytes_per_token(&self) -> u64 {
        let numbers =
            self.layers.saturating_mul(self.kv_heads).saturating_mul(self.head_width).saturating_mul(2);
        (numbers as u64).saturating_mul(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A GGUF that has its architecture's name and nothing else.
    fn gguf(architecture: &str) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        let text = |file: &mut Vec<u8>, text: &str| {
            file.extend((text.len() as u64).to_le_bytes());
            file.extend(text.as_bytes());
        };
        file.extend(3_u32.to_le_bytes());
        file.extend(0_u64.to_le_bytes());
        file.extend(1_u64.to_le_bytes());
        text(&mut file, "general.architecture");
        file.extend(8_u32.to_le_bytes());
        text(&mut file, architecture);
        file
    }

    #[test]
    fn an_architecture_that_is_not_served_is_named() {
        let message = |architecture: &str| {
            let file = gguf(architecture);
            Config::read(&Gguf::parse(&file).unwrap()).unwrap_err().to_string()
        };
        assert_eq!(
            message("gemma2"),
            "the model is of an architecture that does not generate here, gemma2: served are llama, qwen2, qwen3"
        );
        assert_eq!(message("qwen3"), "the model has a GGUF file that lacks something");
    }
}
