//! What an encoder of texts takes.

use crate::assets::Assets;
use crate::map::map;
use crate::models::family::Family;
use crate::models::pack;
use crate::prepared::{FILE_NAME, Prepared};
use fdk_kernels::Isa;
use fdk_kernels::portions::Room;
use fdk_kernels::team::threads;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::fs;

/// The most tokens, padding included, that go through an encoder at once.
pub(crate) const BATCH_TOKENS: usize = 1024;
/// A text of the largest size takes so much while it is tokenised: 256 KiB at some 128 bytes for each of its own.
const LARGEST_TEXT: u64 = 32 * 1024 * 1024;
/// The tables of a tokenizer, for each byte of its tokenizer.json; 17 measured with MiniLM's.
const TABLES_PER_BYTE: u64 = 20;

/// The bytes of an encoder's weights, tokenizer and largest sub-batch; `None` when the files are not there or are not those
/// of an encoder, whose opening then says what is wrong.
pub(super) fn needed(assets: &Assets) -> Option<u64> {
    if let Some(needed) = prepared(assets) {
        return Some(needed);
    }
    let tokenizer = fs::metadata(assets.path("tokenizer.json")).ok()?.len();
    let config: Value = serde_json::from_slice(&fs::read(assets.path("config.json")).ok()?).ok()?;
    let number = |names: [&str; 2]| names.iter().find_map(|name| config.get(name)?.as_u64());
    let width = number(["hidden_size", "dim"])?;
    let forward = number(["intermediate_size", "hidden_dim"])?;
    let heads = number(["num_attention_heads", "n_heads"])?;
    let longest = number(["max_position_embeddings", "n_positions"])?.min(BATCH_TOKENS as u64);
    // Numbers that are alive at once in candle's graph: a layer's vectors and their projections, the wider layer before and
    // after its activation, and the attention scores before and after theirs.
    let alive = 8_u64
        .saturating_mul(width)
        .saturating_add(2_u64.saturating_mul(forward))
        .saturating_add(2_u64.saturating_mul(heads).saturating_mul(longest));
    let activations = alive.saturating_mul(BATCH_TOKENS as u64).saturating_mul(4);
    let tables = tokenizer.saturating_mul(TABLES_PER_BYTE);
    let weights = weights(assets)?;
    Some(weights.saturating_add(activations).saturating_add(tables).saturating_add(LARGEST_TEXT))
}

/// The same of a model with a prepared file, whose pages are the file's own and shared with other containers.
fn prepared(assets: &Assets) -> Option<u64> {
    let isa = Isa::chosen();
    let file = Prepared::map(&assets.path(FILE_NAME)).ok().filter(|_| isa.is_some())?;
    let family = Family::read(assets).ok()?;
    let shape = pack::shape(&family).ok()?;
    let room = Room::bytes(threads(), shape, family.positions(), BATCH_TOKENS) as u64;
    Some(file.bytes().saturating_add(room).saturating_add(LARGEST_TEXT / 4))
}

/// The bytes of the weights as candle keeps them: every number as f32, on the heap. Only the header is read.
fn weights(assets: &Assets) -> Option<u64> {
    let file = map(&assets.path("model.safetensors")).ok()?;
    let (_, header) = SafeTensors::read_metadata(&file).ok()?;
    let bytes = |info: &safetensors::tensor::TensorInfo| {
        let whole = matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64);
        // Integers are positions and the like, which nothing loads.
        if whole {
            info.shape.iter().fold(4_u64, |bytes, side| bytes.saturating_mul(*side as u64))
        } else {
            0
        }
    };
    Some(header.tensors().values().fold(0, |sum: u64, info| sum.saturating_add(bytes(info))))
}
