//! What an encoder of texts takes.

use super::Needs;
use crate::assets::Assets;
use crate::map::map;
use crate::models::family::Family;
use crate::models::pack;
use crate::prepared::{ENCODER, FILE_NAME, Prepared};
use crate::tokenizer;
use crate::wordpiece;
use fdk_kernels::Isa;
use fdk_kernels::encoder::Shape;
use fdk_kernels::portions::Room;
use fdk_kernels::team::threads;
use safetensors::{Dtype, SafeTensors};
use std::fs;

/// The most tokens, padding included, that go through an encoder at once.
pub(crate) const BATCH_TOKENS: usize = 1024;
/// The most texts of a request, and the bytes of a number in a reply: as a float, and as it is written.
const TEXTS: u64 = 4096;
const PER_NUMBER: u64 = 4 + 13;
const MB: u64 = 1024 * 1024;
/// A request's body, and the texts in it.
const REQUEST: u64 = 14 * MB;
/// A text of the largest size while the `tokenizers` crate tokenises it: 256 KiB, each a token by itself, of which 111 MB were
/// measured, and 160 where it says where each token stands.
const LARGEST_TEXT: u64 = 116 * MB;
const LARGEST_TEXT_PLACED: u64 = 164 * MB;
/// The same where the tokenizer is our own.
const LARGEST_TEXT_OWN: u64 = 2 * MB;
/// The crate's tables, for each byte of a tokenizer.json; 17 measured with MiniLM's.
const TABLES_PER_BYTE: u64 = 20;
/// What a tokenizer.json takes while our own tables are made of it.
const PARSED_PER_BYTE: u64 = 8;

/// The bytes of an encoder's weights, tokenizer and largest requests; `None` when the files are not there or are not those of
/// an encoder, whose opening then says what is wrong.
pub(super) fn needed(assets: &Assets) -> Option<u64> {
    let family = Family::read(assets).ok()?;
    let prepared = Prepared::map(&assets.path(FILE_NAME)).ok().filter(|file| file.kind() == ENCODER);
    let in_file = prepared.as_ref().map_or(0, Prepared::bytes);
    // What names no kernels is refused when the model is opened.
    let shape = Isa::chosen().ok().flatten().and_then(|_| pack::shape(&family).ok());
    let longest = tokenizer::limit(assets).ok()?;
    let json = fs::metadata(assets.path("tokenizer.json")).map_or(0, |file| file.len());
    let mut needs = match (shape, &prepared) {
        (Some(shape), Some(_)) => Needs { fixed: in_file, loading: 0, computing: room(shape, longest) },
        (Some(shape), None) => {
            let Checkpoint { numbers, largest, bytes } = Checkpoint::look(assets)?;
            let fixed = numbers.saturating_mul(4);
            // What is read and what is made of it, then that twice while it is put together; but the largest table thrice.
            let loading = bytes.max(fixed).max(largest.saturating_mul(8));
            // A layer's matrix is there thrice as well while it is packed.
            let matrix = (shape.width as u64).saturating_mul(shape.forward as u64 * 12);
            let parsed = json.saturating_mul(PARSED_PER_BYTE);
            let loading = loading.saturating_add(parsed).saturating_add(matrix);
            Needs { fixed, loading, computing: room(shape, longest) }
        }
        (None, _) => {
            let found =
                Checkpoint::look(assets).or_else(|| prepared.as_ref().map(|_| Checkpoint::unpacked(&family)));
            let Checkpoint { numbers, bytes, .. } = found?;
            let fixed = numbers.saturating_mul(4).saturating_add(in_file);
            Needs { fixed, loading: bytes, computing: activations(&family, longest) }
        }
    };
    let is_own = match &prepared {
        Some(file) => file.about().get(wordpiece::ABOUT).is_some_and(|rules| !rules.is_null()),
        None => shape.is_some() && is_wordpiece(assets),
    };
    // Where tokens stand in a text the crate says.
    let text = if family.is_token_classifier() {
        LARGEST_TEXT_PLACED
    } else if is_own {
        LARGEST_TEXT_OWN
    } else {
        LARGEST_TEXT
    };
    if !is_own || family.is_token_classifier() {
        needs.fixed = needs.fixed.saturating_add(json.saturating_mul(TABLES_PER_BYTE));
    }
    // What a text took is free when the model runs, though in pieces of which some are too small.
    let (more, less) = (text.max(needs.computing), text.min(needs.computing));
    needs.computing = more.saturating_add(if is_own { less } else { less / 8 }).saturating_add(REQUEST);
    if shape.is_some() && !family.is_sequence_classifier() && !family.is_token_classifier() {
        // Vectors, which are a reply's largest part; on candle more is taken before.
        let reply = (family.config.hidden_size as u64).saturating_mul(TEXTS * PER_NUMBER);
        needs.computing = needs.computing.saturating_add(reply.saturating_sub(text));
    }
    Some(needs.most())
}

/// The memory in which the kernels compute.
fn room(shape: Shape, longest: usize) -> u64 {
    Room::bytes(threads(), shape, longest, BATCH_TOKENS) as u64
}

/// Numbers that are alive at once in candle's graph: a layer's vectors and their projections, the wider layer before and after
/// its activation, and the attention scores before and after theirs.
fn activations(family: &Family, longest: usize) -> u64 {
    let config = &family.config;
    let scores = config.num_attention_heads.saturating_mul(longest.min(BATCH_TOKENS));
    let alive = [(12, config.hidden_size), (4, config.intermediate_size), (4, scores)];
    let alive = alive
        .iter()
        .fold(0, |sum: u64, (times, size)| sum.saturating_add((*size as u64).saturating_mul(*times)));
    alive.saturating_mul(BATCH_TOKENS as u64 * 4)
}

/// Whether a prepared file would have our own tokenizer's tables.
fn is_wordpiece(assets: &Assets) -> bool {
    let name = b"\"WordPiece\"";
    fs::read(assets.path("tokenizer.json"))
        .is_ok_and(|text| text.windows(name.len()).any(|window| window == name))
}

/// What the header of `model.safetensors` says: the numbers that are loaded, those of the largest tensor, and the file's length.
struct Checkpoint {
    numbers: u64,
    largest: u64,
    bytes: u64,
}

impl Checkpoint {
    fn look(assets: &Assets) -> Option<Self> {
        let file = map(&assets.path("model.safetensors")).ok()?;
        let (_, header) = SafeTensors::read_metadata(&file).ok()?;
        let (mut numbers, mut largest) = (0_u64, 0);
        for info in header.tensors().values() {
            // Integers are positions and the like, which nothing loads.
            if matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64) {
                let count = info.shape.iter().fold(1_u64, |count, side| count.saturating_mul(*side as u64));
                largest = largest.max(count);
                numbers = numbers.saturating_add(count);
            }
        }
        Some(Self { numbers, largest, bytes: file.len() as u64 })
    }

    /// The same of tensors that are made of a prepared file: nothing else is read.
    fn unpacked(family: &Family) -> Self {
        let config = &family.config;
        let product = |of: &[usize]| of.iter().fold(1_u64, |all, size| all.saturating_mul(*size as u64));
        let (width, wider) = (config.hidden_size, config.intermediate_size);
        // Of each layer four matrices as wide as they are high, two of the wider layer, and as much as thirteen rows.
        let layer = product(&[4, width]).saturating_add(product(&[2, wider])).saturating_add(13);
        let tables = [config.vocab_size, config.max_position_embeddings, config.type_vocab_size];
        let tables = tables.iter().fold(0_u64, |rows, table| rows.saturating_add(*table as u64));
        let rows = tables.saturating_add(layer.saturating_mul(config.num_hidden_layers as u64));
        let largest = product(&[config.vocab_size, width]);
        Self { numbers: rows.saturating_mul(width as u64), largest, bytes: 0 }
    }
}
