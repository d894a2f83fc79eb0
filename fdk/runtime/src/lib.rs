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
//! | a whole reply over `FDK_MAX_REPLY` | 502 | 502 | lives |
//! | a stream that fails, panics, passes `FDK_MAX_REPLY` or meets the deadline | the connection breaks off before the body's end, of which the Fn server makes a 500 | the same | lives |
//! | is not reached: the body is over `FDK_MAX_REQUEST` | 413 and `{"message"}` with both numbers | 502 | lives |
//! | is not reached: the deadline has passed, or passes while another call blocks | 504 | 504 | lives |
//! | is not reached: the state could not be loaded | 502 | 502 | ends |
//!
//! A request body is read to its end before anything is answered, also where it is refused. A reply over 6 MiB, which OCI
//! refuses, is sent and warned of. What is not `POST /call` is no call, and the platform sends no such thing: another path is
//! answered 404, another method 405, what is no HTTP 400, a head of more than 1024 headers or 2 MiB 431.
//!
//! Every call is one line on stderr with its id, outcome, time and sizes; a failure's line says what was wrong. A handler's
//! own `tracing` events carry the call's id.
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
//! | `FDK_MAX_REQUEST`, `FDK_MAX_REPLY` | bytes above which a body is refused; unset or empty is no limit, and what is no number keeps the function from starting |
//! | `FDK_LOG` | a level (`off`, `error`, `warn`, `info`, `debug`, `trace`), or `target=level` pairs with commas between, of which one may be a level alone: that of all other targets, which are off without it; `info` unless set |
//! | `FDK_LOG_FORMAT` | `text` or `json`; unless set, text on a terminal and JSON elsewhere |
//! | `FDK_THREADS` | the inference threads, 1 to 32; unless set, as many as the container may use, at most 7. `RAYON_NUM_THREADS` and `CANDLE_NUM_THREADS` are set to it where they are not set; a process that has other threads before [`run`] is warned instead |
//! | `NO_COLOR` | set and not empty: no colours on a terminal |
//! | any other | configuration of the application or the function: [`Config::get`] |
//!
//! | request header | meaning here |
//! |---|---|
//! | `Fn-Call-Id` | [`Call::id`]; in every log line of the call |
//! | `Fn-Deadline` | RFC 3339 with `Z`, an offset or fractions: [`Call::deadline`]; missing or garbage is no deadline |
//! | `Fn-Intent: httprequest` | a trigger or gateway call: [`Call::http`]; without it every `Fn-Http-*` is a plain header |
//! | `Fn-Http-Method`, `Fn-Http-Request-Url`, `Fn-Http-H-*` | the HTTP request behind it; without method and URL it is `POST /` |
//! | `Fn-Intent: cloudevent`, `ce-*` | plain headers. A handler that takes a `CloudEvent` (feature `events`) reads its event from the body, or from `ce-*` and the body, whatever the intent |
//! | `X-B3-*`, `traceparent`, `tracestate` | [`TraceContext`] |
//! | `Content-Type` | not looked at: the body binds by the handler's type; a `CloudEvent` alone asks it which of its two modes it is in |
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
//! # Secrets
//!
//! Environment and headers may hold credentials. `Debug` of every type here shows their names alone, and the values of
//! [`Call::headers`] and [`Call::envelope`] are marked sensitive. [`Config`] erases its copy of the environment when it is
//! dropped; the environment itself, and what the connection has buffered of a request, are not erased.
//!
//! # Tasks
//!
//! A handler may spawn tasks, `spawn_local` ones too, and at most 16 threads at a time for `spawn_blocking`. Tasks that are
//! not done at the reply are counted in one warning: the platform freezes the container between calls.
//!
//! # Time
//!
//! `Fn-Deadline` gives two instants ([`Deadline`]): at the *soft* one [`Cancellation`] fires, so that work can stop and
//! answer; at the *hard* one the function answers 504 by itself. The platform's own time-out would kill the container,
//! and the loaded model with it. A handler's future is dropped at the hard instant; one that blocks instead keeps its
//! thread, the next call waits for it up to that call's own deadline, and the log says which one it is while it blocks.

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
