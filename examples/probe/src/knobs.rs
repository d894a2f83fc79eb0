//! What can be asked of the probe.

use fdk::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A request: every field may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Knobs {
    /// Waits, and can be cancelled.
    pub(crate) sleep_ms: Option<u64>,
    /// Blocks the thread, and cannot be cancelled.
    pub(crate) block_ms: Option<u64>,
    /// Panics with this message.
    pub(crate) panic: Option<String>,
    /// Fails with this message, by its own fault.
    pub(crate) error: Option<String>,
    /// Ends the process with this code.
    pub(crate) exit: Option<i32>,
    /// The reply's HTTP status.
    pub(crate) status: Option<u16>,
    /// Headers of the reply.
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    /// The reply's content type.
    pub(crate) content_type: Option<String>,
    /// Replies with the whole request body, knobs included.
    pub(crate) echo: bool,
    /// Request headers to send back.
    pub(crate) echo_headers: Vec<String>,
    /// The size of the reply, or of each chunk.
    pub(crate) body_bytes: Option<u64>,
    /// Streams this many chunks.
    pub(crate) stream_chunks: Option<u64>,
    /// Holds this much memory while it answers.
    pub(crate) allocate_mb: Option<u64>,
    /// Prints this line on stdout and stderr.
    pub(crate) log: Option<String>,
    /// Says this in a `tracing` event of level info.
    pub(crate) event: Option<String>,
    /// Replies with `env`, `headers`, `context` or `threads`.
    pub(crate) show: Option<String>,
}

impl Knobs {
    /// `None` for a body that is no JSON object.
    pub(crate) fn read(body: &[u8]) -> Result<Option<Self>> {
        match serde_json::from_slice::<serde_json::Value>(body) {
            Ok(value @ serde_json::Value::Object(_)) => serde_json::from_value(value)
                .map(Some)
                .map_err(|error| Error::input(error.to_string()).status(422)),
            _ => Ok(None),
        }
    }
}
