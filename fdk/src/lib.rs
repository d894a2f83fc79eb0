//! A function development kit for AI functions on [Fn](https://fnproject.io) and OCI Functions.
//!
//! A function is an async function of two arguments:
//!
//! ```no_run
//! use fdk::{Context, Json, Result};
//!
//! #[derive(serde::Deserialize)]
//! struct In {
//!     name: String,
//! }
//! #[derive(serde::Serialize)]
//! struct Out {
//!     message: String,
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     fdk::run(hello)
//! }
//!
//! async fn hello(_cx: Context, Json(input): Json<In>) -> Result<Json<Out>> {
//!     Ok(Json(Out { message: format!("Hello {}", input.name) }))
//! }
//! ```
//!
//! An AI function has a model as its state, loaded once; `infer` runs it and stops it at the deadline:
//!
//! ```no_run
//! # #[cfg(feature = "inference")] mod example {
//! use fdk::{Context, EmbedReply, EmbedRequest, Embedder, Json, Result};
//!
//! fn main() -> std::process::ExitCode {
//!     fdk::function().state(|init| Embedder::open(init.assets("minilm")?)).run(embed)
//! }
//!
//! async fn embed(cx: Context<Embedder>, Json(q): Json<EmbedRequest>) -> Result<Json<EmbedReply>> {
//!     cx.infer(move |model, interrupt| model.embed(&q, interrupt)).await
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! This crate is the front door. Behind it are three rooms that do not know each other: `fdk-runtime` speaks the
//! platform's contract, `fdk-principal` verifies who the function is, `fdk-inference` runs models on candle. What a
//! caller sees of each outcome, and what each header means, is told in [`fdk_runtime`].

mod caller;
mod context;
#[cfg(feature = "model")]
mod fault;
mod function;
mod init;
mod principal;
#[cfg(feature = "inference")]
mod serve;
#[cfg(feature = "inference")]
mod shaped;
#[cfg(feature = "inference")]
mod stream;
pub mod testing;
#[cfg(feature = "speech")]
mod transcribe;

pub use caller::{AllowCaller, Caller};
pub use context::Context;
pub use fdk_principal::{ApiKey, Identity, Payload, Principal, Refusal, SignLayer, Signer};
#[cfg(feature = "client")]
pub use fdk_principal::{Client, ClientError, Object, Secret};
pub use fdk_runtime::{
    BoxService, Call, Cancellation, Config, Deadline, Error, FromBody, Handler, HttpRequest, IntoReply,
    Invocation, Json, Reply, Result, TraceContext,
};
pub use function::{Function, function, run};
pub use init::Init;
#[cfg(feature = "inference")]
pub use serve::{Served, answer, serve_assets, served};
#[cfg(feature = "inference")]
pub use shaped::{classify, rerank};
#[cfg(feature = "speech")]
pub use transcribe::transcribe;

pub use bytes::Bytes;
#[cfg(feature = "model")]
pub use fdk_inference::{self as inference, Assets, Interrupt};
#[cfg(feature = "inference")]
pub use fdk_inference::{
    Classifier, ClassifyReply, ClassifyRequest, EmbedReply, EmbedRequest, Embedder, GenerateReply,
    GenerateRequest, GenerateSettings, Generator, RerankReply, RerankRequest, Reranker, Tagger, TokensReply,
    TokensRequest,
};
#[cfg(feature = "vision")]
pub use fdk_inference::{ClassifyImageReply, ClassifyImageRequest, ImageClassifier};
#[cfg(feature = "speech")]
pub use fdk_inference::{
    DetectSpeechReply, DetectSpeechRequest, SpeechDetector, TranscribeReply, TranscribeRequest, Transcriber,
};
#[cfg(feature = "events")]
pub use fdk_runtime::CloudEvent;
#[cfg(feature = "router")]
pub use fdk_runtime::{RouterArgs, router};
