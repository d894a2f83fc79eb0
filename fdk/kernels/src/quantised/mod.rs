//! Products with quantised weights: `Q4_0`, `Q4_1` and `Q8_0`, whose numbers are exactly those of the GGUF file.
//!
//! Activations are quantised to 8 bits per block of 32, as GGML does, and multiplied in whole numbers; only scales are
//! floats. Every unit of every CPU gives the same bits, because blocks are added up in the same order everywhere.
//!
//! The products are for x86-64. The formats are for any CPU, so that a file that was prepared for the kernels can be read anywhere.

#[cfg(target_arch = "x86_64")]
mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
mod format;
#[cfg(target_arch = "x86_64")]
mod isa;
#[cfg(target_arch = "x86_64")]
mod level;
mod matrix;
#[cfg(all(test, target_arch = "x86_64"))]
mod portable;
#[cfg(target_arch = "x86_64")]
mod product;
#[cfg(target_arch = "x86_64")]
mod rows;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tile;

#[cfg(target_arch = "x86_64")]
pub(crate) use activations::{Activations, RowsMut};
#[cfg(target_arch = "x86_64")]
pub(crate) use format::ROWS;
pub use format::{BLOCK, Format};
#[cfg(target_arch = "x86_64")]
pub(crate) use isa::Isa;
#[cfg(target_arch = "x86_64")]
pub use level::Level;
#[cfg(target_arch = "x86_64")]
pub(crate) use level::Work;
pub use matrix::{Matrix, Owner};
#[cfg(target_arch = "x86_64")]
pub(crate) use product::{Into, multiply, multiply_groups, quantise_rows};
#[cfg(target_arch = "x86_64")]
pub(crate) use rows::Rows;
