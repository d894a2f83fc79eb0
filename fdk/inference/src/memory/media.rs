//! What models of pictures and sound take.

use super::Needs;
use crate::assets::Assets;
#[cfg(feature = "vision")]
use crate::prepared::{FILE_NAME, Prepared};

/// A request's body, and the file in it, which is copied.
const REQUEST: u64 = 2 * 6 * 1024 * 1024;
/// More than the layers of a network for pictures of 224 × 224 take, whose widest are made in bands.
#[cfg(feature = "vision")]
const PICTURE_LAYERS: u64 = 12 * 1024 * 1024;

/// The weights as they are packed, the layers, and the largest picture while it is decoded.
#[cfg(feature = "vision")]
pub(super) fn picture(assets: &Assets) -> u64 {
    let computing = crate::picture::MAX_PIXELS * crate::picture::BYTES_PER_PIXEL + REQUEST + PICTURE_LAYERS;
    let needs = match Prepared::map(&assets.path(FILE_NAME)) {
        Ok(file) => Needs { fixed: file.bytes(), loading: 0, computing },
        // What is read, and what is made of it.
        Err(_) => Needs { fixed: assets.bytes(), loading: assets.bytes(), computing },
    };
    needs.most()
}

/// The features, layers and memories of 30 seconds, and the tables of a tokenizer of 50,000 tokens.
#[cfg(feature = "speech")]
pub(super) const TRANSCRIBING: u64 = 96 * 1024 * 1024;

/// The weights as they are packed, the body twice, and the longest recording as samples of four bytes.
#[cfg(feature = "speech")]
pub(super) fn sound(assets: &Assets, more: u64) -> u64 {
    let longest = (crate::sound::LONGEST * crate::sound::RATE * 4) as u64;
    let weights = assets.bytes();
    Needs { fixed: weights, loading: weights, computing: longest + REQUEST + more }.most()
}
