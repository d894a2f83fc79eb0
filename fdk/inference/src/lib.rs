//! The inference core on candle: verified model assets, the tasks people deploy, one file per task and per architecture.
//!
//! Without the feature `text` only [`assets`] is here, and nothing of candle is linked.
//!
//! ```no_run
//! # #[cfg(feature = "text")] fn main() -> Result<(), fdk_inference::Error> {
//! use fdk_inference::{Assets, EmbedRequest, Embedder, Interrupt};
//!
//! let model = Embedder::open(Assets::open("model-assets".as_ref(), Some("minilm"))?)?;
//! let reply = model.embed(&EmbedRequest::new(["a text", "another"]), &Interrupt::never())?;
//! assert_eq!(reply.embeddings.len(), 2);
//! # Ok(()) }
//! # #[cfg(not(feature = "text"))] fn main() {}
//! ```

pub mod assets;
pub mod cpu;
mod error;
mod interrupt;
pub mod manifest;
mod timings;

#[cfg(feature = "text")]
mod embed;
#[cfg(feature = "text")]
mod map;
#[cfg(feature = "text")]
mod models;
#[cfg(feature = "text")]
mod pooling;
#[cfg(feature = "text")]
mod tokens;

pub use assets::Assets;
#[cfg(feature = "text")]
pub use embed::{EmbedReply, EmbedRequest, EmbedUsage, Embedder};
pub use error::Error;
pub use interrupt::Interrupt;
pub use timings::Timings;
#[cfg(feature = "text")]
pub use tokens::Tokens;
