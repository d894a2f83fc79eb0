//! What a decoder takes, and how long a conversation it leaves room for.

use crate::assets::Assets;
use crate::completion::CHUNK;
use crate::decoder_file::DecoderFile;
use crate::error::Error;
use crate::generate::GenerateSettings;
use crate::generator::LEAST_CONTEXT;
use crate::gguf::Gguf;
use crate::models::llama::{Config, Precision};
use candle_core::quantized::GgmlDType;

/// The tables of a vocabulary, for each token and each merge.
const TABLES_PER_TOKEN: u64 = 400;

/// The bytes of a decoder with the least context that is served; `None` when the file is not there or is none of a decoder.
pub(super) fn needed(assets: &Assets) -> Option<u64> {
    let file = DecoderFile::look(assets).ok()?;
    let needs = Decoder::of(&file.gguf().ok()?, Precision::Quantised).ok()?;
    Some(needs.fixed.saturating_add(needs.per_token.saturating_mul(LEAST_CONTEXT as u64)))
}

/// What a decoder takes: so much for itself, and so much for each token of its context.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder {
    fixed: u64,
    per_token: u64,
    longest: usize,
}

impl Decoder {
    pub(crate) fn of(gguf: &Gguf<'_>, precision: Precision) -> Result<Self, Error> {
        let config = Config::read(gguf)?;
        let bytes = |tensor: &crate::gguf::Tensor<'_>| {
            // candle widens what is not in blocks.
            let whole = matches!(tensor.dtype(), Some(GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16));
            if whole || precision == Precision::Full {
                (tensor.numbers() as u64).saturating_mul(4)
            } else {
                tensor.place().len() as u64
            }
        };
        let weights = gguf.tensors().fold(0, |sum: u64, (_, tensor)| sum.saturating_add(bytes(tensor)));
        let numbers = |count: usize| (count as u64).saturating_mul(4);
        let entries = |key: &str| gguf.list(key).map_or(0, |list| list.len() as u64);
        let tables = (entries("tokenizer.ggml.tokens") + entries("tokenizer.ggml.merges")) * TABLES_PER_TOKEN;
        // Alive at once in a layer: vectors and their projections, the wider layer before and after its gate; and the numbers
        // for each token, twice, with what sampling sorts.
        let alive = numbers(CHUNK).saturating_mul((8 * config.width + 3 * config.forward) as u64);
        let vocabulary = numbers(config.vocabulary).saturating_mul(6);
        // Scores before and after their softmax, and candle's copy of one layer's keys and values.
        let scores = numbers(3 * CHUNK).saturating_mul(config.heads as u64);
        let copies = numbers(2 * config.kv_heads * config.head_width);
        Ok(Self {
            fixed: weights.saturating_add(tables).saturating_add(alive).saturating_add(vocabulary),
            per_token: config.bytes_per_token().saturating_add(scores).saturating_add(copies),
            longest: config.context,
        })
    }

    /// As it is beside so many tokens of another conversation.
    pub(crate) fn beside(self, tokens: usize) -> Self {
        let theirs = self.per_token.saturating_mul(tokens as u64);
        Self { fixed: self.fixed.saturating_add(theirs), ..self }
    }

    /// The tokens that a conversation can have: as many as the model has positions, or as the settings say, or as there is
    /// memory for.
    pub(crate) fn context(&self, settings: &GenerateSettings) -> Result<usize, Error> {
        if let Some(asked) = settings.context.filter(|asked| *asked > self.longest || *asked == 0) {
            let message =
                format!("FDK_CONTEXT is {asked}, none of 1 to {}, the model's positions", self.longest);
            return Err(Error::assets(message));
        }
        let asked = settings.context.unwrap_or(self.longest);
        let Some(memory) = settings.memory else { return Ok(asked) };
        let fixed = self.fixed.saturating_add(crate::assets::PROCESS);
        let room = memory.saturating_sub(fixed) / self.per_token.max(1);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let least = settings.context.unwrap_or(LEAST_CONTEXT.min(self.longest));
        if room < least {
            let mb = |bytes: u64| bytes.div_ceil(1024 * 1024);
            let needs = fixed.saturating_add(self.per_token.saturating_mul(least as u64));
            return Err(Error::assets(format!(
                "a context of {least} tokens needs about {} MB and FN_MEMORY grants {}: raise `memory` in func.yaml",
                mb(needs),
                mb(memory),
            )));
        }
        Ok(asked.min(room))
    }
}
