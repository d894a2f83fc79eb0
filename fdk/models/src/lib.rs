//! The model tool: it fetches the models that `models.toml` lists, prepares them for a fast start, and fits heads on them.
//!
//! The library fetches and links no candle: `cargo fdk` uses it as it is. With the feature `tool` it also prepares and fits, and
//! the binary `fdk-models` offers all three. An image build uses that binary alone.

pub mod cli;
mod error;
pub mod fetch;
#[cfg(feature = "tool")]
mod fit_head;
mod func_yaml;
mod hub;
mod object_storage;
mod place;
#[cfg(feature = "tool")]
mod prepare;
pub mod prepared;
mod progress;
mod wheel;

pub use error::{Error, Result};
pub use fetch::{fetch, folder_for, obtain, task};
