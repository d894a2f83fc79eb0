//! What a decoder takes, and how long a conversation it leaves room for.

use crate::assets::Assets;
use crate::completion::CHUNK;
use crate::decoder_file::DecoderFile;
use crate::error::Error;
use crate::generate::GenerateSettings;
use crate::generator::LEAST_CONTEXT;
use crate::gguf::{Gguf, Tensor};
use crate::models::llama::{Config, Precision};
use candle_core::quantized::GgmlDType;
use fdk_kernels::team::threads;

/// The tables of a vocabulary, for each token and each merge; 75 to 100 measured.
const TABLES_PER_TOKEN: u64 = 150;
/// A text of the largest size while it is tokenised: 256 KiB, each a token by itself, of which 91 MB were measured.
const LARGEST_TEXT: u64 = 96 * 1024 * 1024;

/// The bytes of a decoder with the least context that is served; `None` when the file is not there or is none of a decoder.
pub(super) fn needed(assets: &Assets) -> Option<u64> {
    let file = DecoderFile::look(assets).ok()?;
    let needs = Decoder::of(&file, &file.gguf().ok()?, Precision::Quantised).ok()?;
    Some(needs.with(LEAST_CONTEXT.min(needs.longest)))
}

/// What a decoder takes: so much for itself, and so much for each token of its context.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder {
    /// Weights and tables, at any time.
    fixed: u64,
    /// More while it is loaded.
    loading: u64,
    /// More while it computes, whatever the context.
    computing: u64,
    /// More while it computes, for each token.
    per_token: u64,
    /// Of that, what is kept of the token.
    kept_per_token: u64,
    longest: usize,
}

impl Decoder {
    pub(crate) fn of(file: &DecoderFile, gguf: &Gguf<'_>, precision: Precision) -> Result<Self, Error> {
        let config = Config::read(gguf)?;
        let entries = |key: &str| gguf.list(key).map_or(0, |list| list.len() as u64);
        let tables = (entries("tokenizer.ggml.tokens") + entries("tokenizer.ggml.merges")) * TABLES_PER_TOKEN;
        let own = precision == Precision::Quantised && is_fused(gguf, &config);
        let each = |bytes: &dyn Fn(&str, &Tensor<'_>) -> u64| {
            gguf.tensors().fold(0, |sum: u64, (name, tensor)| sum.saturating_add(bytes(name, tensor)))
        };
        let in_file = |tensor: &Tensor<'_>| tensor.place().len() as u64;
        let on_heap = |_: &str, tensor: &Tensor<'_>| {
            // candle widens what is not in blocks.
            let whole = matches!(tensor.dtype(), Some(GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16));
            if whole || precision == Precision::Full {
                (tensor.numbers() as u64).saturating_mul(4)
            } else {
                in_file(tensor)
            }
        };
        let head_of_its_own = gguf.tensor("output.weight").is_some();
        let packed = |name: &str, tensor: &Tensor<'_>| {
            let rows = match name {
                "token_embd.weight" if head_of_its_own => Rows::None,
                "token_embd.weight" | "output.weight" => Rows::One,
                _ => Rows::Many,
            };
            if own || precision == Precision::Full { 0 } else { packed_by_candle(tensor, rows) }
        };
        let prepared = file.precision().is_some();
        // For candle the GGUF is made anew of a prepared file, and copied.
        let loading = if prepared && !own {
            each(&|_: &str, tensor: &Tensor<'_>| in_file(tensor)).saturating_mul(2)
        } else {
            0
        };
        let numbers = |count: usize| (count as u64).saturating_mul(4);
        // Alive at once in a layer: vectors and their projections, the wider layer before and after its gate.
        let alive = numbers(CHUNK).saturating_mul((8 * config.width + 3 * config.forward) as u64);
        // The numbers for each token, with what sampling sorts and what a schema is looked up in.
        let vocabulary = numbers(config.vocabulary).saturating_mul(8);
        let kept = config.bytes_per_token();
        let (kept, more) = if own {
            // Of 16 bits; and each thread's scores.
            (kept / 2, numbers(8 * threads()))
        } else {
            // Scores before and after their softmax, and candle's copy of one layer's keys and values.
            let scores = numbers(3 * CHUNK).saturating_mul(config.heads as u64);
            (kept, scores.saturating_add(numbers(2 * config.kv_heads * config.head_width)))
        };
        Ok(Self {
            fixed: each(&on_heap).saturating_add(tables),
            loading,
            computing: each(&packed).saturating_add(alive).saturating_add(vocabulary),
            per_token: kept.saturating_add(more),
            kept_per_token: kept,
            longest: config.context,
        })
    }

    /// As it is beside so many tokens of another conversation.
    pub(crate) fn beside(self, tokens: usize) -> Self {
        let theirs = self.kept_per_token.saturating_mul(tokens as u64);
        Self { fixed: self.fixed.saturating_add(theirs), ..self }
    }

    /// The bytes with a context of so many tokens.
    fn with(&self, context: usize) -> u64 {
        let conversation = self.per_token.saturating_mul(context as u64).max(LARGEST_TEXT);
        self.fixed.saturating_add(self.loading.max(self.computing.saturating_add(conversation)))
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
        let least = settings.context.unwrap_or(LEAST_CONTEXT.min(self.longest));
        let needs = crate::assets::PROCESS.saturating_add(self.with(least));
        if memory < needs {
            let mb = |bytes: u64| bytes.div_ceil(1024 * 1024);
            return Err(Error::assets(format!(
                "a context of {least} tokens needs about {} MB and FN_MEMORY grants {}: raise `memory` in func.yaml",
                mb(needs),
                mb(memory),
            )));
        }
        let without = crate::assets::PROCESS.saturating_add(self.fixed).saturating_add(self.computing);
        let room = memory.saturating_sub(without) / self.per_token.max(1);
        Ok(asked.min(usize::try_from(room).unwrap_or(usize::MAX)))
    }
}

/// Whether the kernels run it: what [`FusedLlama`](crate::models::fused_llama::FusedLlama) takes.
#[cfg(target_arch = "x86_64")]
fn is_fused(gguf: &Gguf<'_>, config: &Config) -> bool {
    let takes = |(name, tensor): (&str, &Tensor<'_>)| {
        let odd = [".bias", "_q_norm.weight", "_k_norm.weight"].iter().any(|end| name.ends_with(end));
        let kept = match tensor.dtype() {
            Some(GgmlDType::Q4_0 | GgmlDType::Q4_1 | GgmlDType::Q8_0) => tensor.dimensions().len() == 2,
            Some(GgmlDType::F32) => tensor.dimensions().len() == 1,
            _ => false,
        };
        kept && !odd
    };
    fdk_kernels::quantised::Level::chosen().is_ok_and(|level| level.is_some())
        && !config.halves
        && gguf.tensors().all(takes)
}

#[cfg(not(target_arch = "x86_64"))]
fn is_fused(_: &Gguf<'_>, _: &Config) -> bool {
    false
}

/// With how many rows of numbers a matrix is multiplied at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    None,
    One,
    Many,
}

/// The bytes that candle takes for a matrix once more, in an order of its own, when it first multiplies with it
/// (`repack_x86.rs` of candle-core 0.11).
#[cfg(target_arch = "x86_64")]
fn packed_by_candle(tensor: &Tensor<'_>, multiplied: Rows) -> u64 {
    /// Rows that go together, and numbers of a block.
    const TILE: (usize, usize) = (16, 256);
    let &[rows, columns] = tensor.dimensions() else { return 0 };
    let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    if !has || multiplied == Rows::None || !rows.is_multiple_of(TILE.0) || !columns.is_multiple_of(TILE.1) {
        return 0;
    }
    let quick = is_x86_feature_detected!("avxvnni")
        || (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni"));
    // Of 256 numbers.
    let bytes = match tensor.dtype() {
        // With AMX many rows are multiplied with another copy than one is.
        Some(GgmlDType::Q4K) if multiplied == Rows::Many && has_amx() => 192 + 320,
        Some(GgmlDType::Q4K) => 192,
        Some(GgmlDType::Q6K) if multiplied == Rows::Many => 320,
        Some(GgmlDType::Q8_0) if quick => 272,
        _ => 0,
    };
    (tensor.numbers() as u64 / 256).saturating_mul(bytes)
}

#[cfg(target_arch = "x86_64")]
fn has_amx() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains(" amx_int8"))
}

/// As much as the file has (`repack.rs`).
#[cfg(not(target_arch = "x86_64"))]
fn packed_by_candle(tensor: &Tensor<'_>, multiplied: Rows) -> u64 {
    let packed = matches!(
        tensor.dtype(),
        Some(GgmlDType::Q4_0 | GgmlDType::Q4K | GgmlDType::Q5K | GgmlDType::Q6K | GgmlDType::Q8_0)
    );
    if packed && multiplied != Rows::None { tensor.place().len() as u64 } else { 0 }
}
