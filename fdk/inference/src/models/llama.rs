//! The Llama family (Touvron et al., 2023) from a GGUF: the graph of Llama, `SmolLM2`, and Qwen 2 and 3, which differ in
//! biases, in norms of their heads and in how positions turn them. On candle, with the weights as they are quantised.
//!
//! Which of these models are served the vocabulary decides as well (`bpe.rs`): Llama 3, `SmolLM2`, Qwen 2, 2.5 and 3 carry
//! one of byte-level BPE that is read. That of Llama 1 and 2 and of Mistral is `SentencePiece`'s, and is refused.

mod config;
pub(crate) mod tensors;

pub(crate) use config::{Config, SUPPORTED};

use crate::error::Error;
use crate::gguf::Gguf;
use crate::interrupt::Interrupt;
use crate::models::decoder::{Cache, Decoder, Graph, Logits};
use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{D, Device, Module as _, Result, Tensor};
use candle_nn::ops::{rms_norm, silu, softmax_last_dim};
use candle_nn::rotary_emb::{rope, rope_i};
use std::fmt;
use std::sync::Arc;

/// In what numbers a model computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// With the weights as the file has them, activations rounded to 8 bits: what serves.
    #[default]
    Quantised,
    /// With every weight widened to f32, four to seven times as large: what quantisation is held against.
    Full,
}

/// A model, its weights on the heap.
pub(crate) struct Llama {
    config: Config,
    table: QMatMul,
    layers: Vec<Block>,
    norm: Tensor,
    head: QMatMul,
    /// How far a position turns each pair of a head's numbers.
    turns: Vec<f32>,
}

struct Block {
    attention_norm: Tensor,
    query: Projection,
    key: Projection,
    value: Projection,
    query_norm: Option<Tensor>,
    key_norm: Option<Tensor>,
    output: Projection,
    forward_norm: Tensor,
    gate: QMatMul,
    up: QMatMul,
    down: QMatMul,
}

struct Projection {
    weight: QMatMul,
    bias: Option<Tensor>,
}

impl Projection {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.weight.forward(x)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

/// Takes tensors out of a file, each held against the shape that it must have.
struct Loader<'g, 'a> {
    gguf: &'g Gguf<'a>,
    precision: Precision,
    /// Told of each tensor's bytes that are not read again.
    done: &'g dyn Fn(&[u8]),
}

impl Loader<'_, '_> {
    fn quantised(&self, name: &str, shape: &[usize]) -> std::result::Result<Arc<QTensor>, String> {
        let tensor = self.gguf.tensor(name).ok_or_else(|| format!("there is no tensor {name}"))?;
        if tensor.dimensions() != shape {
            return Err(format!("tensor {name} is {:?} and should be {shape:?}", tensor.dimensions()));
        }
        let loaded = tensor.load().map(Arc::new).map_err(|why| format!("tensor {name}: {why}"));
        (self.done)(tensor.bytes());
        loaded
    }

    fn matrix(&self, name: &str, rows: usize, columns: usize) -> std::result::Result<QMatMul, String> {
        self.product(self.quantised(name, &[rows, columns])?)
    }

    fn product(&self, weight: Arc<QTensor>) -> std::result::Result<QMatMul, String> {
        let product = match self.precision {
            Precision::Quantised => QMatMul::from_arc(weight),
            Precision::Full => weight.dequantize(&Device::Cpu).map(QMatMul::Tensor),
        };
        product.map_err(|error| error.to_string())
    }

    fn vector(&self, name: &str, length: usize) -> std::result::Result<Tensor, String> {
        let weight = self.quantised(name, &[length])?;
        weight.dequantize(&Device::Cpu).map_err(|error| error.to_string())
    }

    fn optional(&self, name: &str, length: usize) -> std::result::Result<Option<Tensor>, String> {
        self.gguf.tensor(name).map(|_| self.vector(name, length)).transpose()
    }

    fn projection(&self, name: &str, rows: usize, columns: usize) -> std::result::Result<Projection, String> {
        let weight = self.matrix(&format!("{name}.weight"), rows, columns)?;
        Ok(Projection { weight, bias: self.optional(&format!("{name}.bias"), rows)? })
    }
}

impl Llama {
    /// Copies a file's weights, and tells `done` of the bytes of each.
    pub(crate) fn load(
        gguf: &Gguf<'_>,
        precision: Precision,
        done: &dyn Fn(&[u8]),
    ) -> std::result::Result<Self, Error> {
        let config = Config::read(gguf)?;
        let loader = Loader { gguf, precision, done };
        Self::build(&loader, config)
            .map_err(|why| Error::model("has a GGUF file that does not fit its own header", why))
    }

    fn build(loader: &Loader<'_, '_>, config: Config) -> std::result::Result<Self, String> {
        let (width, forward, head) = (config.width, config.forward, config.head_width);
        let (queries, keys) = (config.heads * head, config.kv_heads * head);
        // The largest first, while nothing is beside what it is copied from.
        let table = loader.product(loader.quantised("token_embd.weight", &[config.vocabulary, width])?)?;
        let mut layers = Vec::new();
        for layer in 0..config.layers {
            let name = |part: &str| format!("blk.{layer}.{part}");
            layers.push(Block {
                attention_norm: loader.vector(&name("attn_norm.weight"), width)?,
                query: loader.projection(&name("attn_q"), queries, width)?,
                key: loader.projection(&name("attn_k"), keys, width)?,
                value: loader.projection(&name("attn_v"), keys, width)?,
                query_norm: loader.optional(&name("attn_q_norm.weight"), head)?,
                key_norm: loader.optional(&name("attn_k_norm.weight"), head)?,
                output: loader.projection(&name("attn_output"), width, queries)?,
                forward_norm: loader.vector(&name("ffn_norm.weight"), width)?,
                gate: loader.matrix(&name("ffn_gate.weight"), forward, width)?,
                up: loader.matrix(&name("ffn_up.weight"), forward, width)?,
                down: loader.matrix(&name("ffn_down.weight"), width, forward)?,
            });
        }
        // Without a head of its own the model's is the table.
        let head_of_its_own = loader.gguf.tensor("output.weight").is_some();
        let product = if head_of_its_own {
            loader.matrix("output.weight", config.vocabulary, width)?
        } else {
            table.clone()
        };
        // Llama 3.1 and later slow the slowest turns, by factors in the file.
        let factors = loader.optional("rope_freqs.weight", head / 2)?;
        let factors = factors.map(|factors| factors.to_vec1::<f32>()).transpose();
        let factors = factors.map_err(|error| error.to_string())?;
        Ok(Self {
            turns: config.turns(factors.as_deref()),
            norm: loader.vector("output_norm.weight", width)?,
            layers,
            table,
            head: product,
            config,
        })
    }

    /// The cosines and sines of positions, a row of half a head's width for each.
    fn angles(&self, first: usize, count: usize) -> Result<(Tensor, Tensor)> {
        let mut angles = Vec::with_capacity(count * self.turns.len());
        for position in first..first + count {
            #[expect(clippy::cast_precision_loss, reason = "no context has so many positions")]
            angles.extend(self.turns.iter().map(|turn| position as f32 * turn));
        }
        let angles = Tensor::from_vec(angles, (count, self.turns.len()), &Device::Cpu)?;
        Ok((angles.cos()?, angles.sin()?))
    }

    fn run(
        &self,
        cache: &mut Graph,
        tokens: &[u32],
        wanted: Logits,
        interrupt: &Interrupt<'_>,
    ) -> std::result::Result<Vec<f32>, Error> {
        let fails = |error| Error::model("could not be run", error);
        let (before, count) = (cache.tokens, tokens.len());
        let angles = self.angles(before, count).map_err(fails)?;
        let mask = (count > 1).then(|| mask(before, count)).transpose().map_err(fails)?;
        let ids = Tensor::new(tokens, &Device::Cpu);
        let mut x = ids.and_then(|ids| self.table.embedding(&ids)).map_err(fails)?;
        for (block, layer) in self.layers.iter().zip(&mut cache.layers) {
            interrupt.check()?;
            x = self.block(block, &x, &angles, mask.as_ref(), layer).map_err(fails)?;
        }
        cache.tokens += count;
        let logits = || {
            let x = match wanted {
                Logits::None => return Ok(Vec::new()),
                Logits::Last => x.narrow(0, count - 1, 1)?,
                Logits::All => x.clone(),
            };
            let x = rms_norm(&x.contiguous()?, &self.norm, self.config.epsilon)?;
            self.head.forward(&x)?.flatten_all()?.to_vec1::<f32>()
        };
        logits().map_err(fails)
    }

    fn block(
        &self,
        block: &Block,
        x: &Tensor,
        angles: &(Tensor, Tensor),
        mask: Option<&Tensor>,
        layer: &mut crate::models::decoder::Layer,
    ) -> Result<Tensor> {
        let epsilon = self.config.epsilon;
        let normed = rms_norm(x, &block.attention_norm, epsilon)?;
        let x = (x + self.attention(block, &normed, angles, mask, layer)?)?;
        let normed = rms_norm(&x, &block.forward_norm, epsilon)?;
        let gated = (silu(&block.gate.forward(&normed)?)? * block.up.forward(&normed)?)?;
        x + block.down.forward(&gated)?
    }

    /// `x`: tokens × width. Keys and values are appended to the layer's, which are tokens × key heads × head width.
    fn attention(
        &self,
        block: &Block,
        x: &Tensor,
        angles: &(Tensor, Tensor),
        mask: Option<&Tensor>,
        layer: &mut crate::models::decoder::Layer,
    ) -> Result<Tensor> {
        let Config { heads, kv_heads, head_width: head, epsilon, halves, .. } = self.config;
        let count = x.dim(0)?;
        // heads × tokens × head width, turned by position
        let placed = |projection: &Projection, heads: usize, norm: Option<&Tensor>| {
            let mut x = projection.forward(x)?.reshape((count, heads, head))?;
            if let Some(norm) = norm {
                x = rms_norm(&x.contiguous()?, norm, epsilon)?;
            }
            let x = x.transpose(0, 1)?.contiguous()?.unsqueeze(0)?;
            let turn = if halves { rope } else { rope_i };
            turn(&x, &angles.0, &angles.1)?.squeeze(0)
        };
        let query = placed(&block.query, heads, block.query_norm.as_ref())?;
        let key = placed(&block.key, kv_heads, block.key_norm.as_ref())?;
        let key = key.transpose(0, 1)?.flatten_all()?.to_vec1::<f32>()?;
        layer.keys.extend(key);
        layer.values.extend(block.value.forward(x)?.flatten_all()?.to_vec1::<f32>()?);
        let rows_held = layer.keys.len() / (kv_heads * head);
        let rows = |numbers: &[f32]| Tensor::from_slice(numbers, (rows_held, kv_heads, head), &Device::Cpu);
        let keys = rows(&layer.keys)?.transpose(0, 1)?.transpose(1, 2)?;
        let values = rows(&layer.values)?.transpose(0, 1)?;
        // The query heads that share a key head are rows of one product with it.
        let shared = heads / kv_heads * count;
        #[expect(clippy::cast_precision_loss, reason = "a head has a hundred numbers")]
        let scale = 1.0 / (head as f64).sqrt();
        let scores = (query.reshape((kv_heads, shared, head))?.matmul(&keys)? * scale)?;
        let mut scores = scores.reshape((heads, count, rows_held))?;
        if let Some(mask) = mask {
            scores = scores.broadcast_add(mask)?;
        }
        let weights = softmax_last_dim(&scores)?.reshape((kv_heads, shared, rows_held))?;
        let mixed = weights.matmul(&values)?.reshape((heads, count, head))?;
        block.output.forward(&mixed.transpose(0, 1)?.contiguous()?.flatten_from(D::Minus2)?)
    }
}

impl Decoder for Llama {
    fn vocabulary(&self) -> usize {
        self.config.vocabulary
    }

    fn start(&self) -> Cache {
        Cache::new(self.config.layers)
    }

    fn reserve(&self, cache: &mut Cache, tokens: usize) {
        let numbers = tokens * self.config.kv_heads * self.config.head_width;
        for layer in cache.graph().into_iter().flat_map(|graph| &mut graph.layers) {
            layer.keys.reserve_exact(numbers);
            layer.values.reserve_exact(numbers);
        }
    }

    fn forward(
        &self,
        cache: &mut Cache,
        tokens: &[u32],
        wanted: Logits,
        interrupt: &Interrupt<'_>,
    ) -> std::result::Result<Vec<f32>, Error> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let Some(cache) = cache.graph() else {
            return Err(Error::model("could not be run", "the conversation is another model's"));
        };
        let before = cache.tokens;
        let result = self.run(cache, tokens, wanted, interrupt);
        if result.is_err() {
            let numbers = before * self.config.kv_heads * self.config.head_width;
            for layer in &mut cache.layers {
                layer.keys.truncate(numbers);
                layer.values.truncate(numbers);
            }
            cache.tokens = before;
        }
        result
    }
}

impl fmt::Debug for Llama {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Llama").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What is added to the scores of tokens after `before` others: nothing for what came before each, −∞ for the rest.
fn mask(before: usize, count: usize) -> Result<Tensor> {
    let held = before + count;
    let score = |row: usize, column: usize| if column <= before + row { 0.0 } else { f32::NEG_INFINITY };
    let scores = (0..count).flat_map(|row| (0..held).map(move |column| score(row, column))).collect();
    Tensor::from_vec(scores, (count, held), &Device::Cpu)
}
