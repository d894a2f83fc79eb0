//! The Rust of the documentation, which `cargo test --doc` compiles, and runs where it may.

#[doc = include_str!("../../README.md")]
mod readme {}

#[doc = include_str!("../../docs/src/local.md")]
mod local {}

#[doc = include_str!("../../docs/src/principal.md")]
mod principal {}
