//! The Llama family of decoders (Touvron et al., 2023) as fused loops over quantised weights.
//!
//! A token goes through a layer in five products and as many passes between them, all in buffers that are made at start.
//! The same architecture on candle is what it is tested against.
#![expect(
    clippy::inline_always,
    reason = "a loop is compiled for a vector unit by being inlined where that is enabled"
)]

mod attention;
mod cache;
mod elementary;
mod forward;
mod rotary;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use cache::Cache;
pub(crate) use forward::{Arena, Decoder, Layer, Shape, Wanted};
