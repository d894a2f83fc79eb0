//! One file per architecture, and one for what their checkpoints share.

#[cfg(feature = "text")]
pub(crate) mod bert;
#[cfg(feature = "text")]
mod bert_layer;
#[cfg(feature = "text")]
pub(crate) mod checkpoint;
#[cfg(feature = "speech")]
pub(crate) mod conv1d;
#[cfg(feature = "text")]
pub(crate) mod decoder;
#[cfg(feature = "vision")]
pub(crate) mod efficientnet;
#[cfg(any(feature = "text", feature = "vision"))]
pub(crate) mod efficientnet_tables;
#[cfg(feature = "text")]
pub(crate) mod family;
#[cfg(feature = "text")]
pub(crate) mod fused;
#[cfg(all(feature = "text", target_arch = "x86_64"))]
pub(crate) mod fused_llama;
#[cfg(feature = "text")]
pub(crate) mod head;
#[cfg(feature = "text")]
pub(crate) mod llama;
#[cfg(feature = "text")]
pub(crate) mod pack;
#[cfg(any(feature = "text", feature = "vision"))]
pub(crate) mod precision;
pub(crate) mod probability;
#[cfg(feature = "speech")]
pub(crate) mod silero;
#[cfg(feature = "text")]
pub(crate) mod unpack;
#[cfg(feature = "speech")]
pub(crate) mod whisper;
