//! The Llama family of decoders (Touvron et al., 2023) as fused loops over quantised weights.
//!
//! A token goes through a layer in five products and as many passes between them, all in buffers that are made at start.
//! The same architecture on candle is what it is tested against.

mod attention;
mod cache;
mod elementary;
mod forward;
mod rotary;
mod rows;
#[cfg(test)]
mod tests;

pub use cache::Cache;
pub use forward::{Arena, Decoder, Layer, Shape, Stopped, Wanted};
