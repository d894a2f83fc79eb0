//! Logs on stderr, as text or JSON. Nothing here may fail a call: a closed or full stream loses lines, not replies.

use crate::config::Config;
use serde_json::{Map, Value, json};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

/// The format in force; unset where another subscriber than ours is.
static FORMAT: OnceLock<Format> = OnceLock::new();

/// The target of the span that carries the call id: one of its own, so that it can be let through by itself.
pub(crate) const CALL_SPAN: &str = "fdk::span";

/// Sets up `tracing` as `FDK_LOG` and `FDK_LOG_FORMAT` say, unless the program has a subscriber of its own. The error
/// names the variable.
pub(crate) fn init(config: &Config) -> Result<(), String> {
    let filter = config.get("FDK_LOG").filter(|filter| !filter.is_empty()).unwrap_or("info");
    let filter: Targets = filter.parse().map_err(|error| {
        format!("FDK_LOG is '{filter}': {error}; use a level such as info, or target=level pairs such as fdk=debug,info")
    })?;
    let filter = with_call_span(filter);
    let terminal = std::io::stderr().is_terminal();
    let format = match config.get("FDK_LOG_FORMAT") {
        Some("text") => Format::Text,
        None | Some("") if terminal => Format::Text,
        None | Some("" | "json") => Format::Json,
        Some(other) => return Err(format!("FDK_LOG_FORMAT is '{other}': use text or json")),
    };
    let colour = terminal && config.get("NO_COLOR").is_none_or(str::is_empty);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        // A failed write must not print about itself: the stream it would print to is the one that failed.
        .log_internal_errors(false);
    let ours = match format {
        Format::Text => registry.with(lines).try_init(),
        Format::Json => registry.with(lines.json()).try_init(),
    };
    if ours.is_ok() {
        let _ = FORMAT.set(format);
        std::panic::set_hook(Box::new(|panic| {
            let location = panic.location().map(ToString::to_string).unwrap_or_default();
            let message = panic.payload_as_str().unwrap_or("(no message)");
            // Captured only where RUST_BACKTRACE asks for it.
            let backtrace = Backtrace::capture();
            let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
            tracing::error!(target: "fdk::panic", location, backtrace, "panicked: {message}");
        }));
    }
    Ok(())
}

/// Lets the call's span through wherever anything is logged: a filter such as `myfn=debug` names the events that are wanted,
/// and must not take the call id from them.
fn with_call_span(filter: Targets) -> Targets {
    let off = |level: LevelFilter| level == LevelFilter::OFF;
    if filter.default_level().is_none_or(off) && filter.iter().all(|(_, level)| off(level)) {
        return filter;
    }
    filter.with_target(CALL_SPAN, LevelFilter::ERROR)
}

/// Says on stderr why the function does not run, whether or not logs are set up.
pub(crate) fn refusal(message: &str) {
    // A level filter must not make a function end without a reason.
    if FORMAT.get().is_some() && tracing::enabled!(target: "fdk::start", Level::ERROR) {
        tracing::error!(target: "fdk::start", "{message}");
    } else {
        let _ = writeln!(std::io::stderr(), "fdk: {message}");
    }
}

/// The start report: one line at level info. Its fields vary with the function, which `tracing`'s static fields cannot
/// say, so the JSON line is made here in the same shape.
pub(crate) fn start_report(total_ms: &Value, phases: &Map<String, Value>, facts: &Map<String, Value>) {
    if !tracing::enabled!(target: "fdk::start", Level::INFO) {
        return;
    }
    let Some(Format::Json) = FORMAT.get() else {
        let pairs = |map: &Map<String, Value>, unit: &str| {
            let pair = |(name, value): (&String, &Value)| match value {
                Value::String(text) => format!("{name} {text}"),
                other => format!("{name} {other}{unit}"),
            };
            map.iter().map(pair).collect::<Vec<_>>().join(", ")
        };
        tracing::info!(target: "fdk::start", "ready in {total_ms} ms ({}); {}", pairs(phases, " ms"), pairs(facts, ""));
        return;
    };
    let mut fields = facts.clone();
    fields.insert("message".into(), "ready".into());
    fields.insert("total_ms".into(), total_ms.clone());
    fields.insert("phases_ms".into(), phases.clone().into());
    let timestamp = jiff::Timestamp::now().to_string();
    let line = json!({"timestamp": timestamp, "level": "INFO", "fields": fields, "target": "fdk::start"});
    let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_filter_but_off_takes_the_call_id_from_events() {
        for (text, enabled) in [
            ("info", true),
            ("myfn=debug", true),
            ("fdk=off,myfn=debug", true),
            ("fdk::span=off,info", true),
            ("off,myfn=trace", true),
            ("off", false),
            ("myfn=off", false),
        ] {
            let filter = with_call_span(text.parse().unwrap());
            assert_eq!(filter.would_enable(CALL_SPAN, &Level::ERROR), enabled, "{text}");
            assert!(!filter.would_enable("fdk::call", &Level::TRACE), "{text}: more than was asked for");
        }
    }
}
