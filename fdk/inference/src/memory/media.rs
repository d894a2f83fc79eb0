//! What models of pictures and sound take.

use crate::assets::Assets;

/// The most a request of a picture has: its body, and the file that base64 in it stands for.
#[cfg(feature = "vision")]
const PICTURE_FILE: u64 = 2 * 6 * 1024 * 1024;
/// More than the layers of a network for pictures of 224 × 224 take, whose widest are made in bands.
#[cfg(feature = "vision")]
const PICTURE_LAYERS: u64 = 12 * 1024 * 1024;

/// The weights as they are packed, the layers, and the largest picture while it is decoded.
#[cfg(feature = "vision")]
pub(super) fn picture(assets: &Assets) -> u64 {
    let largest = crate::picture::MAX_PIXELS * crate::picture::BYTES_PER_PIXEL;
    assets.bytes().saturating_add(largest + PICTURE_FILE + PICTURE_LAYERS)
}

/// The features, layers and memories of 30 seconds, and the tables of a tokenizer of 50,000 tokens.
#[cfg(feature = "speech")]
pub(super) const TRANSCRIBING: u64 = 96 * 1024 * 1024;

/// The weights as they are packed, the body twice, and the longest recording as samples of four bytes.
#[cfg(feature = "speech")]
pub(super) fn sound(assets: &Assets) -> u64 {
    let longest = (crate::sound::LONGEST * crate::sound::RATE * 4) as u64;
    assets.bytes().saturating_add(longest + 2 * 6 * 1024 * 1024)
}
