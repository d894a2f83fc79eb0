//! Products with quantised weights: `Q4_0`, `Q4_1` and `Q8_0`, whose numbers are exactly those of the GGUF file.
//!
//! Activations are quantised to 8 bits per block of 32, as GGML does, and multiplied in whole numbers; only scales are
//! floats. Every unit of every CPU gives the same bits, because blocks are added up in the same order everywhere.

mod activations;
mod avx2;
mod avx512;
mod avx_vnni;
mod format;
mod isa;
mod level;
mod matrix;
#[cfg(test)]
mod portable;
mod product;
mod rows;
#[cfg(test)]
mod tests;
mod tile;

pub(crate) use activations::{Activations, RowsMut};
pub(crate) use format::ROWS;
pub use format::{BLOCK, Format};
pub(crate) use isa::Isa;
pub use level::Level;
pub(crate) use level::Work;
pub use matrix::{Matrix, Owner};
pub(crate) use product::{Into, multiply, multiply_groups, quantise_rows};
pub(crate) use rows::Rows;
