//! What the probe can show of itself, and what it can use up.

use crate::State;
use fdk::{Context, Error, Result};
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::time::SystemTime;

pub(crate) fn show(what: &str, cx: &Context<State>, calls: u64) -> Result<Value> {
    match what {
        "env" => Ok(cx
            .config()
            .iter()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect::<Map<_, _>>()
            .into()),
        "headers" => Ok(headers(cx)),
        "context" => Ok(context(cx, calls)),
        "threads" => Ok(json!({"threads": std::fs::read_dir("/proc/self/task")?.count()})),
        "principal" => principal(cx),
        other => Err(Error::input(format!("'{other}' is none of env, headers, context, threads, principal"))
            .at("show")),
    }
}

fn headers(cx: &Context<State>) -> Value {
    let values = |name: &str| -> Vec<_> {
        cx.headers().get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect()
    };
    cx.headers()
        .keys()
        .map(|name| (name.to_string(), json!(values(name.as_str()))))
        .collect::<Map<_, _>>()
        .into()
}

fn context(cx: &Context<State>, calls: u64) -> Value {
    let deadline = cx
        .deadline()
        .map(|deadline| deadline.at().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs());
    let trace = cx.trace();
    json!({
        "calls": calls,
        "call_id": cx.id(),
        "deadline": deadline,
        "app_id": cx.config().app_id(),
        "fn_id": cx.config().fn_id(),
        "app_name": cx.config().app_name(),
        "fn_name": cx.config().fn_name(),
        "memory": cx.config().memory(),
        "http": cx.http().map(|http| json!({
            "method": http.method().as_str(),
            "url": http.url(),
            "path": http.path(),
            "query": http.query().collect::<Vec<_>>(),
        })),
        "trace": {
            "enabled": trace.enabled,
            "collector_url": trace.collector_url,
            "service_name": trace.service_name,
            "trace_id": trace.trace_id,
            "span_id": trace.span_id,
            "parent_span_id": trace.parent_span_id,
            "sampled": trace.sampled,
            "flags": trace.flags,
            "traceparent": trace.traceparent,
        },
    })
}

/// The identity as of now, and nothing secret; null where there is none.
fn principal(cx: &Context<State>) -> Result<Value> {
    let Some(principal) = cx.principal() else { return Ok(Value::Null) };
    let identity = principal.current()?;
    Ok(json!({
        "tenancy": identity.tenancy(),
        "compartment": identity.compartment(),
        "resource_id": identity.resource_id(),
        "resource_type": identity.resource_type(),
        "region": identity.region(),
        "realm_domain": identity.realm_domain(),
        "expires": identity.expires_at().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
        "issuer": identity.claim("iss"),
    }))
}

pub(crate) fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Memory that is really used: the kernel grants what is never touched for nothing.
pub(crate) fn allocate(megabytes: u64) -> Vec<u8> {
    let bytes = usize::try_from(megabytes.saturating_mul(1024 * 1024)).unwrap_or(usize::MAX);
    vec![1; bytes]
}
