//! What must hold for any input from a hostile peer, file or environment: a module for each place where such input comes in, whose
//! `run` takes one and panics where the property does not hold.
//!
//! `tests/fuzz` looks for inputs that break one; its seeds, past findings among them, are taken through by this crate's test. Inputs
//! are text where they can be, so that a seed and a finding can be read.

pub mod api;
pub mod authorization;
pub mod chat;
pub mod content;
pub mod deadline;
pub mod exchange;
pub mod folder;
pub mod gateway;
pub mod gguf;
pub mod listener;
pub mod multipart;
pub mod policy;
pub mod prepared;
pub mod principal;
pub mod request;
pub mod schema;
pub mod sealed;
pub mod small_decoder;
pub mod vocabulary;
pub mod weights;

use fdk_runtime::testing::{TestCall, TestReply};
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The test keys, tokens and signed requests of the principal's own tests.
pub static VECTORS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../principal/vectors/signing.json")).expect("the vectors are JSON")
});

/// When they were made.
pub fn vectors_time() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(VECTORS["now"].as_u64().expect("a time"))
}

/// What stands before the first blank line, and what follows it.
pub fn split_head(input: &[u8]) -> (&[u8], &[u8]) {
    match input.windows(2).position(|pair| pair == b"\n\n") {
        Some(end) => (&input[..end], &input[end + 2..]),
        None => (input, b""),
    }
}

/// The lines `name: value` that HTTP allows.
pub fn headers(lines: &[u8]) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    lines.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(line[..colon].trim_ascii()).ok()?;
        Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
    })
}

/// Adds a header to a call, where it is ASCII: the test double takes no other.
pub fn add<'a>(call: TestCall<'a>, name: &HeaderName, value: &HeaderValue) -> TestCall<'a> {
    match value.to_str() {
        Ok(value) => call.header(name.as_str(), value),
        Err(_) => call,
    }
}

/// Makes the call.
pub fn answer(call: TestCall<'_>) -> TestReply {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let reply = RUNTIME
        .get_or_init(|| {
            log_to_nowhere();
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
        })
        .block_on(call.call());
    // With any other the agent kills the container.
    assert!(matches!(reply.wire_status(), 200 | 502 | 504), "{reply:?}");
    reply
}

/// A folder above that of a model, which is `m`; it goes with the directory for temporary files.
pub(crate) fn folder_for(name: &str) -> PathBuf {
    let above = std::env::temp_dir().join(format!("fuzz-{name}-{}", std::process::id()));
    std::fs::create_dir_all(above.join("m")).expect("a folder");
    above
}

/// Log lines are made, since outside text is in them, and thrown away. A subscriber in place also keeps the runtime
/// from replacing the panic hook, by which a panic on any thread is a finding.
pub fn log_to_nowhere() {
    let lines =
        tracing_subscriber::fmt().json().with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG);
    let _ = lines.with_writer(std::io::sink).try_init();
}

/// A message or a log line with a control character could be taken for two.
pub fn assert_one_line(message: &str) {
    assert!(!message.is_empty() && !message.chars().any(char::is_control), "{message:?}");
}

/// A server may hang up whenever it has had enough; only a wait without an end is a fault.
pub fn assert_no_hang(result: std::io::Result<()>) {
    if let Err(error) = result {
        let hangs = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
        assert!(!hangs, "the server hangs");
    }
}
