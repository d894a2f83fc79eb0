//! The Fn container contract in Rust: what stands between the platform's unix socket and a function.
//!
//! Most functions use the crate `fdk`, which joins this one with resource principals and inference. Here is the
//! contract itself, one file per verb: [`contract`] has its names and rules.
//!
//! # What a caller sees
//!
//! | the handler | gateway caller | direct caller | the container |
//! |---|---|---|---|
//! | `Ok(reply)` | the reply's status, headers, body | 200, headers, body | lives |
//! | `Err`, the caller's fault ([`Error::input`]) | the 4xx status and `{"message"}` | 502 | lives |
//! | `Err`, any other | 502 | 502 | lives |
//! | panics | 502 | 502 | lives |
//! | has not answered when the deadline is near | 504 | 504 | lives |
//!
//! Every call is one line on stderr with its id, outcome, time and sizes; a failure's line says what was wrong.
//!
//! # Time
//!
//! `Fn-Deadline` gives two instants ([`Deadline`]): at the *soft* one [`Cancellation`] fires, so that work can stop and
//! answer; at the *hard* one the function answers 504 by itself. The platform's own time-out would kill the container,
//! and the loaded model with it. A handler's future is dropped at the hard instant; one that blocks instead keeps its
//! thread, and the next call waits for it.

mod body;
mod body_limit;
mod calllog;
mod config;
mod context;
pub mod contract;
mod deadline;
mod dispatch;
mod error;
#[cfg(feature = "events")]
mod event;
mod executor;
mod function;
mod gateway;
mod handler;
mod init;
mod listener;
mod logframe;
mod logs;
mod reply;
#[cfg(feature = "router")]
mod router;
mod server;
mod start;
pub mod testing;
mod trace;
mod wire;

pub use body::{FromBody, IntoReply, Json};
pub use config::Config;
pub use context::{Call, Context, FromContext};
pub use deadline::{Cancellation, Deadline};
pub use error::{Error, Result};
#[cfg(feature = "events")]
pub use event::CloudEvent;
pub use function::{Function, function, run};
pub use gateway::HttpRequest;
pub use handler::{BoxService, Handler, HandlerService, Invocation};
pub use init::{Exit, Init, Refusal};
pub use reply::Reply;
#[cfg(feature = "router")]
pub use router::{RouterArgs, router};
pub use trace::TraceContext;
