//! A function that misbehaves on demand, to test a platform with, or an FDK.
//!
//! A body that is no JSON object is echoed byte for byte with its content type. An object asks for what [`Knobs`] has.
//! At start: `PROBE_BIND_DELAY_MS` waits before the socket, `PROBE_INIT_SLEEP_MS` while the state loads, and
//! `PROBE_INIT_FAIL` is the message that loading fails with.

mod knobs;
mod show;

use fdk::{Bytes, Context, Error, Init, IntoReply as _, Reply, Result};
use futures_util::stream;
use knobs::Knobs;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What must outlive every fault: a call that finds it at zero again has met another process.
#[derive(Default)]
struct State {
    calls: AtomicU64,
}

fn main() -> ExitCode {
    if let Some(delay) = milliseconds(std::env::var("PROBE_BIND_DELAY_MS").ok().as_deref()) {
        std::thread::sleep(delay);
    }
    fdk::function().state(load).run(probe)
}

fn load(init: &Init) -> Result<State> {
    if let Some(pause) = milliseconds(init.config().get("PROBE_INIT_SLEEP_MS")) {
        std::thread::sleep(pause);
    }
    match init.config().get("PROBE_INIT_FAIL") {
        Some(message) if !message.is_empty() => Err(Error::new(message)),
        _ => Ok(State::default()),
    }
}

async fn probe(cx: Context<State>, body: Bytes) -> Result<Reply> {
    let calls = cx.state().calls.fetch_add(1, Ordering::Relaxed) + 1;
    let Some(knobs) = Knobs::read(&body)? else { return echo(&cx, body) };
    if let Some(line) = &knobs.log {
        show::print(line);
    }
    if let Some(message) = &knobs.event {
        tracing::info!("{message}");
    }
    if let Some(pause) = knobs.sleep_ms {
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    if let Some(pause) = knobs.block_ms {
        std::thread::sleep(Duration::from_millis(pause));
    }
    let _held = knobs.allocate_mb.map(show::allocate);
    if let Some(code) = knobs.exit {
        end(code);
    }
    #[expect(clippy::panic, reason = "it was asked for")]
    if let Some(message) = &knobs.panic {
        panic!("{message}");
    }
    if let Some(message) = knobs.error {
        return Err(Error::new(message));
    }
    let mut reply = match (&knobs.show, knobs.body_bytes, knobs.stream_chunks) {
        _ if knobs.echo => echo(&cx, body)?,
        (Some(what), _, _) => {
            let shown = show::show(what, &cx, calls)?;
            Reply::new(shown.to_string()).header("content-type", "application/json")?
        }
        (None, bytes, Some(chunks)) => {
            let size = usize::try_from(bytes.unwrap_or(1024))?;
            Reply::stream(stream::iter((0..chunks).map(move |_| Ok::<_, Error>(vec![b'x'; size]))))
        }
        (None, Some(bytes), None) => vec![b'x'; usize::try_from(bytes)?].into_reply()?,
        (None, None, None) => Reply::new("{\"ok\":true}").header("content-type", "application/json")?,
    };
    for name in &knobs.echo_headers {
        for value in cx.headers().get_all(name.as_str()) {
            reply = reply.header(name, value)?;
        }
    }
    for (name, values) in &knobs.headers {
        for value in values {
            reply = reply.header(name, value)?;
        }
    }
    if let Some(content_type) = &knobs.content_type {
        reply = reply.header("content-type", content_type)?;
    }
    reply.status(knobs.status.unwrap_or(200))
}

fn echo(cx: &Context<State>, body: Bytes) -> Result<Reply> {
    let content_type = cx.header("content-type").unwrap_or("application/octet-stream");
    Reply::new(body).header("content-type", content_type)
}

#[expect(clippy::exit, reason = "it was asked for")]
fn end(code: i32) -> ! {
    std::process::exit(code)
}

fn milliseconds(text: Option<&str>) -> Option<Duration> {
    text?.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::{load, probe};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn what_is_no_object_is_echoed() {
        let function = fdk::function().state(load).test(probe);
        let bytes: Vec<u8> = (0..=255).collect();
        let reply = function.body(bytes.clone()).header("content-type", "foo/bar").call().await;
        assert_eq!((&reply.bytes()[..], reply.header("content-type")), (&bytes[..], Some("foo/bar")));
    }

    #[tokio::test]
    async fn the_state_survives_a_panic() {
        let function = fdk::function().state(load).test(probe);
        assert_eq!(function.json(json!({"panic": "ouch"})).call().await.wire_status(), 502);
        let context = function.json(json!({"show": "context"})).call().await.json::<Value>();
        assert_eq!(context["calls"], 2);
    }

    #[tokio::test]
    async fn an_unknown_knob_is_the_callers_fault() {
        let reply =
            fdk::function().state(load).test(probe).http("POST", "/").body("{\"slepp_ms\":1}").call().await;
        assert_eq!(reply.status(), 422);
    }
}
