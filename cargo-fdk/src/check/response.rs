//! Replies: statuses, errors, framing, headers (cases 52 to 64).

use super::case::{Case, Stop, Verdict, ensure, same};
use super::function::Function;
use super::launch::Subject;
use super::wire::{self, Request, Response};
use serde_json::json;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case::required(52, "status-only-200-502-504", |subject| Box::pin(statuses(subject))),
    Case::required(53, "user-error", |subject| Box::pin(user_error(subject))).with_probe(),
    Case::required(54, "panic", |subject| Box::pin(panics(subject))).with_probe(),
    Case::required(55, "empty-result", |subject| Box::pin(empty_result(subject))).with_probe(),
    Case::required(56, "drain-before-head", |subject| Box::pin(drain_first(subject))),
    Case::required(57, "no-call-id-echo", |subject| Box::pin(no_call_id(subject))),
    Case::required(58, "no-hop-headers", |subject| Box::pin(no_hop_headers(subject))),
    Case::recommended(59, "no-redirect", |subject| Box::pin(no_redirect(subject))).with_probe(),
    Case::recommended(60, "content-type-default", |subject| Box::pin(content_type(subject))).with_probe(),
    Case::required(61, "invalid-header", |subject| Box::pin(invalid_header(subject))).with_probe(),
    Case::required(62, "framing-correct", |subject| Box::pin(framing(subject))),
    Case::required(63, "client-gone", |subject| Box::pin(client_gone(subject))),
    Case::recommended(64, "big-response", |subject| Box::pin(big_reply(subject))).with_probe(),
];

/// Any other status costs the container its life.
async fn statuses(subject: &Subject) -> Verdict {
    let mut function = subject.launch()?.serve().await?;
    let mut requests = vec![
        subject.request(),
        Request::new("application/json", ""),
        Request::new("application/json", "{"),
        Request::new("application/json", "[1, null]"),
        Request::new("text/plain", "text"),
        Request::new("application/octet-stream", [0xff, 0xfe]),
    ];
    if subject.probe {
        let inner = [100, 199, 200, 201, 204, 301, 304, 400, 404, 418, 500, 503, 599];
        requests.extend(inner.map(|status| Request::ask(json!({"status": status}))));
        requests.push(Request::ask(json!({"error": "boom"})));
        requests.push(Request::ask(json!({"panic": "boom"})));
        requests.push(Request::ask(json!({"no_such_knob": 1})));
        let soon = wire::deadline(Duration::from_secs(1));
        requests.push(Request::ask(json!({"sleep_ms": 3000})).with("Fn-Deadline", soon));
    }
    for request in &requests {
        let body = String::from_utf8_lossy(request.body()).into_owned();
        let reply = function.call(request).await.map_err(|why| format!("the body {body:?}: {why}"))?;
        ensure!(
            matches!(reply.status, 200 | 502 | 504),
            "the body {body:?}: expected status 200, 502 or 504, got {}",
            reply.status
        );
    }
    let usual = function.usual_status(subject).await?;
    function.still_serves(subject, usual).await?;
    Ok(format!("{} outcomes", requests.len()))
}

/// A failure of the function: 502 with a message in JSON, and the process goes on.
async fn fails_well(subject: &Subject, function: &mut Function, ask: &Request) -> Verdict<Response> {
    let usual = function.usual_status(subject).await?;
    let reply = function.call(ask).await?;
    same("status", reply.status, 502)?;
    function.still_serves(subject, usual).await?;
    Ok(reply)
}

async fn user_error(subject: &Subject) -> Verdict {
    let mut function = subject.launch()?.serve().await?;
    let reply = fails_well(subject, &mut function, &Request::ask(json!({"error": "boom"}))).await?;
    let content_type = reply.header("content-type").unwrap_or("none");
    ensure!(content_type.starts_with("application/json"), "expected application/json, got {content_type}");
    let body = reply.json()?;
    ensure!(body["message"].is_string(), "expected a message in the JSON, got {}", reply.shown());
    ensure!(reply.header("fn-fdk-version").is_some(), "expected Fn-Fdk-Version on an error too");
    Ok(reply.shown())
}

async fn panics(subject: &Subject) -> Verdict {
    let mut function = subject.launch()?.serve().await?;
    let mark = function.stderr.mark();
    fails_well(subject, &mut function, &Request::ask(json!({"panic": "the-reason"}))).await?;
    let said = function.stderr.until(mark, |said| String::from_utf8_lossy(said).contains("the-reason")).await;
    ensure!(String::from_utf8_lossy(&said).contains("the-reason"), "expected the panic's text on stderr");
    Ok(String::new())
}

async fn empty_result(subject: &Subject) -> Verdict {
    let mut function = subject.launch()?.serve().await?;
    let reply = function.call(&Request::ask(json!({"body_bytes": 0}))).await?;
    same("status", reply.status, 200)?;
    same("the body's length", reply.body.len(), 0)?;
    same("Content-Length", reply.header("content-length"), Some("0"))?;
    function.still_serves(subject, 200).await?;
    Ok(String::new())
}

async fn drain_first(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let bytes = subject.large_request(4 * 1024 * 1024).sized().bytes();
    let (most, last) = bytes.split_at(bytes.len() - 1);
    let mut connection = function.connect().await?;
    connection.send(most).await?;
    ensure!(
        !connection.has_input(Duration::from_millis(500)).await,
        "expected no byte of the reply before the request's last byte"
    );
    connection.send(last).await?;
    connection.response().await?;
    Ok(String::new())
}

async fn no_call_id(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let reply = function.call(&subject.request()).await?;
    same("Fn-Call-Id in the reply", reply.header("fn-call-id"), None)?;
    if subject.probe {
        let reply = function.call(&Request::ask(json!({"headers": {"Fn-Call-Id": ["mine"]}}))).await?;
        if reply.header("fn-call-id").is_some() {
            return Ok("one that the handler sets is passed on: better not".into());
        }
    }
    Ok(String::new())
}

async fn no_hop_headers(subject: &Subject) -> Verdict {
    const HOP: [&str; 7] =
        ["keep-alive", "proxy-connection", "proxy-authenticate", "te", "trailer", "upgrade", "connection"];
    let function = subject.launch()?.serve().await?;
    let mut requests = vec![subject.request()];
    if subject.probe {
        requests
            .push(Request::ask(json!({"headers": {"Connection": ["close"], "Keep-Alive": ["timeout=5"]}})));
    }
    let mut told = String::new();
    for request in &requests {
        let reply = function.call(request).await?;
        for (name, value) in reply.headers.iter().filter(|(name, _)| HOP.contains(&name.as_str())) {
            // What HTTP/1.1 means anyway, and the agent drops.
            let harmless = name == "connection" && value.eq_ignore_ascii_case("keep-alive");
            ensure!(harmless, "expected no hop-by-hop header, got {name}: {value}");
            told = format!("{name}: {value} says nothing");
        }
    }
    Ok(told)
}

async fn no_redirect(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let reply = function.call(&Request::ask(json!({"status": 302, "headers": {"Location": ["/x"]}}))).await?;
    same("status", reply.status, 200)?;
    same("Fn-Http-Status", reply.header("fn-http-status"), Some("302"))?;
    Ok(String::new())
}

async fn content_type(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let reply = function.call(&Request::ask(json!({"content_type": "foo/bar"}))).await?;
    same("the type that the handler sets", reply.all("content-type"), vec!["foo/bar"])?;
    let reply = function.call(&Request::ask(json!({"body_bytes": 5}))).await?;
    same("the type of bytes", reply.header("content-type"), Some("application/octet-stream"))?;
    let reply = function.call(&Request::ask(json!({"show": "context"}))).await?;
    let found = reply.header("content-type").unwrap_or("none");
    ensure!(
        found.starts_with("application/json"),
        "the type of JSON: expected application/json, got {found}"
    );
    Ok(String::new())
}

async fn invalid_header(subject: &Subject) -> Verdict {
    let mut function = subject.launch()?.serve().await?;
    for headers in
        [json!({"X": ["a\nInjected: 1"]}), json!({"X": ["a\r\nInjected: 1"]}), json!({"a b": ["c"]})]
    {
        let ask = Request::ask(json!({"headers": headers}));
        let reply = fails_well(subject, &mut function, &ask).await.map_err(|stop| match stop {
            Stop::Fail(why) => Stop::Fail(format!("the header {headers}: {why}")),
            skip @ Stop::Skip(_) => skip,
        })?;
        ensure!(reply.header("injected").is_none(), "the header {headers} added one of its own");
    }
    Ok(String::new())
}

/// The next reply on the connection begins where this one says it ends.
async fn framing(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let mut connection = function.connect().await?;
    let usual = connection.call(&subject.request()).await?;
    ensure!(
        usual.header("content-length").is_some() || usual.header("transfer-encoding").is_some(),
        "expected Content-Length or chunks, got neither"
    );
    if !subject.probe {
        // A sender that closes is judged elsewhere; an extra byte shows on a kept connection only.
        if let Ok(next) = connection.call(&subject.request()).await {
            same("the status of the next reply", next.status, usual.status)?;
        }
        return Ok(String::new());
    }
    for ask in [json!({"body_bytes": 100_000}), json!({"stream_chunks": 300, "body_bytes": 1000})] {
        let reply =
            connection.call(&Request::ask(ask.clone())).await.map_err(|why| format!("{ask}: {why}"))?;
        let expected = if ask["stream_chunks"].is_number() { 300_000 } else { 100_000 };
        same(&format!("{ask}: the body's length"), reply.body.len(), expected)?;
    }
    // A stream that the deadline cuts must not look whole.
    let soon = wire::deadline(Duration::from_secs(2));
    let endless = Request::ask(json!({"stream_chunks": 1_000_000, "body_bytes": 65_536}));
    let mut slow = function.connect().await?;
    slow.send(&endless.with("Fn-Deadline", soon).bytes()).await?;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    Ok(match slow.response().await {
        Ok(reply) if reply.status == 200 => {
            format!("a stream cut by its deadline looks whole after {} bytes: better not", reply.body.len())
        }
        Ok(_) => "a stream past its deadline is refused".into(),
        Err(_) => "a stream cut by its deadline breaks off".into(),
    })
}

async fn client_gone(subject: &Subject) -> Verdict {
    let mut function = subject.launch()?.serve().await?;
    let usual = function.usual_status(subject).await?;
    // Gone before the reply, as when a caller's own time is up.
    for _ in 0..5 {
        let mut connection = function.connect().await?;
        connection.send(&subject.request().bytes()).await?;
    }
    function.still_serves(subject, usual).await.map_err(|why| format!("gone before the reply: {why}"))?;
    if subject.probe {
        // Gone in its middle, as when it is larger than the platform allows.
        let mut connection = function.connect().await?;
        connection.send(&Request::ask(json!({"body_bytes": 32 * 1024 * 1024})).bytes()).await?;
        connection.has_input(Duration::from_secs(10)).await;
        drop(connection);
        function.still_serves(subject, usual).await.map_err(|why| format!("gone in mid-reply: {why}"))?;
    }
    Ok(String::new())
}

async fn big_reply(subject: &Subject) -> Verdict {
    const BYTES: usize = 7 * 1024 * 1024;
    let function = subject.launch()?.serve().await?;
    let mark = function.stderr.mark();
    let reply = function.call(&Request::ask(json!({"body_bytes": BYTES}))).await?;
    same("status", reply.status, 200)?;
    same("the body's length", reply.body.len(), BYTES)?;
    let warns = |said: &[u8]| {
        let said = String::from_utf8_lossy(said).to_lowercase();
        ["6291456", "6 mib", "6 mb", "6mib", "6mb"].iter().any(|limit| said.contains(limit))
    };
    let said = function.stderr.until(mark, warns).await;
    ensure!(warns(&said), "expected a warning on stderr that names the limit of 6 MiB");
    Ok(String::new())
}
