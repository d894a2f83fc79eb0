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
//! # What the platform says
//!
//! | variable | meaning here |
//! |---|---|
//! | `FN_LISTENER` | `unix:` and the socket's absolute path, at most 107 bytes; without it the function does not start |
//! | `FN_FORMAT` | unset, empty or `http-stream`; another value and the function does not start |
//! | `FN_MEMORY` | the memory granted, in MB ([`Config::memory`]) |
//! | `FN_APP_ID`, `FN_FN_ID`, `FN_APP_NAME`, `FN_FN_NAME` | who the function is ([`Config`]); the names only on OCI |
//! | `FN_LOGFRAME_NAME`, `FN_LOGFRAME_HDR` | both set: before each call `\nNAME=VALUE\n` on stderr and stdout, where VALUE is that of the request's header |
//! | `OCI_TRACING_ENABLED`, `OCI_TRACE_COLLECTOR_URL` | [`TraceContext`] |
//! | any other | configuration of the application or the function: [`Config::get`] |
//!
//! | request header | meaning here |
//! |---|---|
//! | `Fn-Call-Id` | [`Call::id`]; in every log line of the call |
//! | `Fn-Deadline` | RFC 3339 with `Z`, an offset or fractions: [`Call::deadline`]; missing or garbage is no deadline |
//! | `Fn-Intent: httprequest` | a trigger or gateway call: [`Call::http`]; without it every `Fn-Http-*` is a plain header |
//! | `Fn-Http-Method`, `Fn-Http-Request-Url`, `Fn-Http-H-*` | the HTTP request behind it; without method and URL it is `POST /` |
//! | `X-B3-*`, `traceparent`, `tracestate` | [`TraceContext`] |
//! | `Content-Type` | not looked at: the body binds by the handler's type |
//!
//! | reply header | |
//! |---|---|
//! | `Fn-Http-Status` | the reply's status: always to a gateway, and to a direct caller when it is not 200 |
//! | `Fn-Http-H-*` | to a gateway: every header but `Content-Type` and those that begin with `Fn-` |
//! | `Fn-Fdk-Version`, `Fn-Fdk-Runtime` | this crate and its compiler |
//! | `Fn-Call-Id`, hop-by-hop headers, `Content-Length` | never the handler's: they are the agent's and the connection's |
//!
//! A function that cannot start says why in one line on stderr, publishes no socket and exits 2 to 5 ([`Exit`]); a state
//! that cannot be loaded answers the calls that wait 502 first.
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
mod reactor;
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
