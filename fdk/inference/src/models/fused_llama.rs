//! The Llama family on the fused kernels, behind the trait that the candle graph is behind.

use super::decoder::{Cache, Decoder, Logits};
use super::llama::{Config, tensors};
use crate::decoder_file::DecoderFile;
use crate::error::Error;
use crate::gguf::Gguf;
use crate::interrupt::Interrupt;
use fdk_kernels::decoder::{self as kernels, Arena, Layer, Shape, Wanted};
use fdk_kernels::quantised::Level;
use fdk_kernels::team;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// A decoder, its weights interleaved for the kernels.
pub(crate) struct FusedLlama {
    decoder: kernels::Decoder,
    /// One call at a time computes.
    arena: Mutex<Arena>,
}

impl FusedLlama {
    /// Takes a file's weights, interleaved where it is not prepared. An error says why the kernels cannot run the model: then
    /// candle does.
    pub(crate) fn load(
        level: Option<Level>,
        file: &DecoderFile,
        gguf: &Gguf<'_>,
        config: &Config,
    ) -> Result<Self, String> {
        let level = level.ok_or("the CPU has no AVX2, or FDK_KERNELS says so")?;
        if config.halves {
            return Err("its positions turn the halves of heads".into());
        }
        if let Some(odd) = tensors::for_candle_alone(gguf) {
            return Err(format!("it has {odd}"));
        }
        let shape = Shape {
            hidden: config.width,
            layers: config.layers,
            heads: config.heads,
            key_heads: config.kv_heads,
            width: config.head_width,
            inner: config.forward,
            vocabulary: config.vocabulary,
            epsilon: config.epsilon,
        };
        let (queries, keys) = (shape.heads * shape.width, shape.key_heads * shape.width);
        // The largest first, while nothing is beside what it is copied from.
        let table = file.matrix(gguf, "token_embd.weight", shape.vocabulary, shape.hidden)?;
        let mut layers = Vec::with_capacity(shape.layers);
        for layer in 0..shape.layers {
            let name = |part: &str| format!("blk.{layer}.{part}");
            let matrix = |part: &str, rows, columns| file.matrix(gguf, &name(part), rows, columns);
            layers.push(Layer {
                attention_norm: file.vector(gguf, &name("attn_norm.weight"))?,
                query: matrix("attn_q.weight", queries, shape.hidden)?,
                key: matrix("attn_k.weight", keys, shape.hidden)?,
                value: matrix("attn_v.weight", keys, shape.hidden)?,
                output: matrix("attn_output.weight", shape.hidden, queries)?,
                inner_norm: file.vector(gguf, &name("ffn_norm.weight"))?,
                gate: matrix("ffn_gate.weight", shape.inner, shape.hidden)?,
                up: matrix("ffn_up.weight", shape.inner, shape.hidden)?,
                down: matrix("ffn_down.weight", shape.hidden, shape.inner)?,
            });
        }
        let head = gguf
            .tensor("output.weight")
            .map(|_| file.matrix(gguf, "output.weight", shape.vocabulary, shape.hidden));
        let factors = gguf.tensor("rope_freqs.weight").map(|_| file.vector(gguf, "rope_freqs.weight"));
        let turns = config.turns(factors.transpose()?.as_deref());
        let norm = file.vector(gguf, "output_norm.weight")?;
        let decoder = kernels::Decoder::new(level, shape, turns, (table, head.transpose()?), layers, norm);
        let decoder = decoder.ok_or("its sizes are not those that the kernels take")?;
        let arena = Mutex::new(decoder.arena(team::threads(), config.context));
        Ok(Self { decoder, arena })
    }

    /// The vector unit, and how many threads compute.
    pub(crate) fn means(&self) -> (&'static str, usize) {
        (self.decoder.level().name(), team::threads())
    }
}

impl Decoder for FusedLlama {
    fn vocabulary(&self) -> usize {
        self.decoder.vocabulary()
    }

    fn start(&self) -> Cache {
        Cache::Fused(self.decoder.cache())
    }

    fn reserve(&self, cache: &mut Cache, tokens: usize) {
        if let Cache::Fused(cache) = cache {
            cache.reserve(tokens);
        }
    }

    fn forward(
        &self,
        cache: &mut Cache,
        tokens: &[u32],
        wanted: Logits,
        interrupt: &Interrupt<'_>,
    ) -> Result<Vec<f32>, Error> {
        let Cache::Fused(cache) = cache else {
            return Err(Error::model("could not be run", "the conversation is another model's"));
        };
        let mut logits = Vec::new();
        if tokens.is_empty() {
            return Ok(logits);
        }
        let wanted = match wanted {
            Logits::None => Wanted::Nothing,
            Logits::Last => Wanted::Last,
            Logits::All => Wanted::All,
        };
        let mut arena = self.arena.lock().unwrap_or_else(PoisonError::into_inner);
        let go_on = || interrupt.check().is_ok();
        self.decoder
            .read(&mut arena, cache, tokens, wanted, &mut logits, &go_on)
            .map_err(|kernels::Stopped| Error::interrupted())?;
        Ok(logits)
    }
}

impl fmt::Debug for FusedLlama {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FusedLlama").field("unit", &self.decoder.level().name()).finish_non_exhaustive()
    }
}
