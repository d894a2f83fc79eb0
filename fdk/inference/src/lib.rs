//! The inference core on candle: verified model assets, the tasks people deploy, one file per task and per architecture.
//!
//! Three features bring the tasks: `text`, `vision` (pictures) and `speech` (sound); each links what it needs and no more.
//! Without any of them only [`assets`] and the readers of [`formats`] are here, and nothing of candle is linked.
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
// With all features, as the lints run, there is none; a function that does one kind of task has no use for what others share.
#![cfg_attr(
    not(all(feature = "text", feature = "vision", feature = "speech")),
    allow(dead_code, reason = "what the tasks share is more than each of them needs")
)]

pub mod assets;
pub mod cpu;
mod error;
pub mod formats;
mod interrupt;
pub mod manifest;
mod obtain;
mod timings;
pub mod verified;

#[cfg(any(feature = "core", feature = "prepared"))]
mod map;
#[cfg(feature = "core")]
mod memory;
#[cfg(feature = "core")]
mod models;
#[cfg(feature = "core")]
mod prediction;
#[cfg(feature = "prepared")]
pub mod prepared;
#[cfg(feature = "prepared")]
mod wordpiece;

#[cfg(feature = "text")]
mod bpe;
#[cfg(feature = "text")]
mod chat;
#[cfg(feature = "text")]
mod classify;
#[cfg(feature = "text")]
mod completion;
#[cfg(feature = "text")]
mod decoder_file;
#[cfg(feature = "text")]
mod embed;
#[cfg(feature = "text")]
mod encoder;
#[cfg(feature = "text")]
mod fit;
#[cfg(feature = "text")]
mod fit_zero_shot;
#[cfg(feature = "text")]
mod generate;
#[cfg(feature = "text")]
mod generator;
#[cfg(feature = "text")]
pub mod gguf;
#[cfg(feature = "text")]
mod grammar;
#[cfg(feature = "text")]
mod linear_head;
#[cfg(feature = "text")]
mod modules;
#[cfg(feature = "text")]
mod pooling;
#[cfg(feature = "text")]
mod prepare;
#[cfg(feature = "text")]
mod prompts;
#[cfg(feature = "text")]
mod rerank;
#[cfg(feature = "text")]
mod sampling;
#[cfg(feature = "text")]
pub mod shapes;
#[cfg(feature = "text")]
mod task;
#[cfg(feature = "text")]
mod texts;
#[cfg(feature = "text")]
mod tokenizer;
#[cfg(feature = "text")]
mod tokens;
#[cfg(feature = "text")]
mod wording;

#[cfg(any(feature = "vision", feature = "speech"))]
mod body;
#[cfg(feature = "vision")]
mod classify_image;
#[cfg(feature = "speech")]
mod decoding;
#[cfg(feature = "speech")]
mod detect_speech;
#[cfg(feature = "speech")]
mod mel;
#[cfg(feature = "speech")]
pub mod openai_audio;
#[cfg(feature = "vision")]
mod picture;
#[cfg(any(feature = "text", feature = "vision"))]
mod picture_file;
#[cfg(feature = "speech")]
mod sound;
#[cfg(feature = "speech")]
mod speech;
#[cfg(feature = "speech")]
mod transcribe;

pub use assets::Assets;
#[cfg(feature = "text")]
pub use chat::{Message, Role};
#[cfg(feature = "text")]
pub use classify::{Classifier, ClassifyReply, ClassifyRequest};
#[cfg(feature = "vision")]
pub use classify_image::{ClassifyImageReply, ClassifyImageRequest, ImageClassifier};
#[cfg(feature = "text")]
pub use completion::Completion;
#[cfg(feature = "speech")]
pub use detect_speech::{DetectSpeechReply, DetectSpeechRequest, SpeechDetector, Stretch};
#[cfg(feature = "text")]
pub use embed::{EmbedReply, EmbedRequest, Embedder};
pub use error::Error;
#[cfg(feature = "text")]
pub use fit::{Example, Fit, fit};
#[cfg(feature = "text")]
pub use fit_zero_shot::{ZeroShotFit, fit_zero_shot};
#[cfg(feature = "text")]
pub use generate::{FinishReason, GenerateReply, GenerateRequest, GenerateSettings, GenerateUsage};
#[cfg(feature = "text")]
pub use generator::Generator;
#[cfg(feature = "text")]
pub use grammar::Schema;
pub use interrupt::Interrupt;
#[cfg(feature = "text")]
pub use linear_head::LinearHead;
#[cfg(feature = "text")]
pub use models::llama::Precision as DecoderPrecision;
#[cfg(any(feature = "text", feature = "vision"))]
pub use models::precision::Precision;
#[cfg(feature = "core")]
pub use prediction::Prediction;
#[cfg(feature = "text")]
pub use prepare::{Report, prepare};
#[cfg(feature = "text")]
pub use rerank::{Ranked, RerankReply, RerankRequest, Reranker};
#[cfg(feature = "text")]
pub use task::Task;
#[cfg(feature = "text")]
pub use texts::Usage;
pub use timings::Timings;
#[cfg(feature = "text")]
pub use tokenizer::Tokenizer;
#[cfg(feature = "text")]
pub use tokens::{Entity, Tagger, TokensReply, TokensRequest};
#[cfg(feature = "speech")]
pub use transcribe::{Found, Segment, TranscribeReply, TranscribeRequest, Transcriber};
