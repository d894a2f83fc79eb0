//! Calls behind a trigger or an API gateway, `Fn-Intent: httprequest` (cases 65 to 73).

use super::case::{Case, Verdict, ensure, same, same_json};
use super::launch::Subject;
use super::wire::{Request, Response};
use serde_json::{Value, json};

pub(super) const CASES: &[Case] = &[
    Case::required(65, "gw-decap", |subject| Box::pin(decap(subject))).with_probe(),
    Case::required(66, "gw-encap", |subject| Box::pin(encap(subject))).with_probe(),
    Case::recommended(67, "gw-default-status", |subject| Box::pin(default_status(subject))),
    Case::required(68, "gw-no-double-prefix", |subject| Box::pin(single_prefix(subject))).with_probe(),
    Case::required(69, "gw-drop-nongw", |subject| Box::pin(drops_direct_headers(subject))).with_probe(),
    Case::recommended(70, "gw-empty-suffix", |subject| Box::pin(empty_suffix(subject))),
    Case::recommended(71, "gw-status-range", |subject| Box::pin(status_range(subject))).with_probe(),
    Case::required(72, "gw-error", |subject| Box::pin(error(subject))).with_probe(),
    Case::required(73, "direct-mode", |subject| Box::pin(direct(subject))),
];

/// The headers that a trigger adds.
fn triggered(request: Request) -> Request {
    request
        .with("Fn-Intent", "httprequest")
        .with("Fn-Http-Method", "PUT")
        .with("Fn-Http-Request-Url", "http://h/t/a?x=1&x=2&y=%20z")
}

/// Asks the probe behind a trigger.
async fn ask(subject: &Subject, knobs: Value) -> Verdict<Response> {
    let function = subject.launch()?.serve().await?;
    Ok(function.call(&triggered(Request::ask(knobs))).await?)
}

async fn decap(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let show = |what: &str| {
        let request = triggered(Request::ask(json!({"show": what})));
        request.with("Fn-Http-H-Foo", "a").with("Fn-Http-H-Foo", "b").with("Fn-Http-H-User-Agent", "curl")
    };
    let headers = function.call(&show("headers")).await?.json()?;
    same_json("the values of Foo", &headers["foo"], json!(["a", "b"]))?;
    same_json("User-Agent", &headers["user-agent"], json!(["curl"]))?;
    for transport in ["host", "fn-deadline", "fn-call-id", "fn-intent"] {
        ensure!(headers[transport].is_null(), "expected no {transport} among the HTTP request's headers");
    }
    let http = function.call(&show("context")).await?.json()?["http"].take();
    same_json("the method", &http["method"], json!("PUT"))?;
    same_json("the URL", &http["url"], json!("http://h/t/a?x=1&x=2&y=%20z"))?;
    same_json("the query", &http["query"], json!([["x", "1"], ["x", "2"], ["y", " z"]]))?;
    Ok(String::new())
}

async fn encap(subject: &Subject) -> Verdict {
    let knobs = json!({"status": 404, "content_type": "text/html", "headers": {"My-Header": ["v1", "v2"]}});
    let reply = ask(subject, knobs).await?;
    same("status", reply.status, 200)?;
    same("Fn-Http-Status", reply.header("fn-http-status"), Some("404"))?;
    same("Fn-Http-H-My-Header", reply.all("fn-http-h-my-header"), vec!["v1", "v2"])?;
    same("Content-Type", reply.all("content-type"), vec!["text/html"])?;
    same("My-Header without the prefix", reply.header("my-header"), None)?;
    Ok(String::new())
}

async fn default_status(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let reply = function.call(&triggered(subject.request())).await?;
    if reply.status != 200 {
        return Ok(format!("the function failed: {}", reply.status));
    }
    let inner = reply.header("fn-http-status").unwrap_or("none");
    let known = inner.parse().is_ok_and(|inner: u16| (100..600).contains(&inner));
    ensure!(known, "expected Fn-Http-Status: 200, got {inner}");
    ensure!(!subject.probe || inner == "200", "expected Fn-Http-Status: 200, got {inner}");
    Ok(format!("Fn-Http-Status: {inner}"))
}

async fn single_prefix(subject: &Subject) -> Verdict {
    let reply = ask(subject, json!({"headers": {"Fn-Http-H-X": ["v"]}})).await?;
    same("Fn-Http-H-X", reply.all("fn-http-h-x"), vec!["v"])?;
    same("the prefix twice", reply.header("fn-http-h-fn-http-h-x"), None)?;
    Ok(String::new())
}

async fn drops_direct_headers(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let reply =
        function.call(&triggered(Request::ask(json!({"echo_headers": ["Yo"]}))).with("Yo", "dawg")).await?;
    same("Yo", (reply.header("yo"), reply.header("fn-http-h-yo")), (None, None))?;
    Ok(String::new())
}

async fn empty_suffix(subject: &Subject) -> Verdict {
    let mut function = subject.launch()?.serve().await?;
    let usual = function.usual_status(subject).await?;
    let reply = function.call(&triggered(subject.request()).with("Fn-Http-H-", "x")).await?;
    same("status", reply.status, usual)?;
    function.still_serves(subject, usual).await?;
    Ok(String::new())
}

async fn status_range(subject: &Subject) -> Verdict {
    for status in [99, 600, 1000] {
        let reply = ask(subject, json!({"status": status})).await?;
        same(&format!("the wire's status for {status}"), reply.status, 502)?;
    }
    Ok(String::new())
}

async fn error(subject: &Subject) -> Verdict {
    let mut function = subject.launch()?.serve().await?;
    for knobs in [json!({"error": "boom"}), json!({"panic": "boom"})] {
        let reply = function.call(&triggered(Request::ask(knobs.clone()))).await?;
        same(&format!("the wire's status for {knobs}"), reply.status, 502)?;
    }
    function.still_serves(subject, 200).await?;
    Ok(String::new())
}

async fn direct(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let request = if subject.probe {
        Request::ask(json!({"headers": {"My-Header": ["v"]}, "echo_headers": ["Yo"]})).with("Yo", "dawg")
    } else {
        subject.request()
    };
    let reply = function.call(&request).await?;
    for (name, value) in &reply.headers {
        ensure!(!name.starts_with("fn-http-h-"), "expected no prefix without Fn-Intent, got {name}: {value}");
    }
    if subject.probe {
        same("My-Header", reply.header("my-header"), Some("v"))?;
        same("Yo", reply.header("yo"), Some("dawg"))?;
    }
    Ok(String::new())
}
