//! Requests: bodies, headers, deadlines, content types, paths (cases 23 to 42, 51).

use super::case::{Case, Stop, Verdict, ensure, same, same_json};
use super::function::Function;
use super::launch::Subject;
use super::process;
use super::wire::{Request, Response};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const DEADLINE: &str = "2126-11-22T12:00:30Z";
/// The same instant in seconds since 1970.
const DEADLINE_SECONDS: u64 = 4_951_022_430;

pub(super) const CASES: &[Case] = &[
    Case::required(23, "echo-content-length", |subject| Box::pin(sized_body(subject))),
    Case::required(24, "echo-chunked", |subject| Box::pin(chunked_body(subject))),
    Case::required(25, "empty-body", |subject| Box::pin(empty_body(subject))),
    Case::required(26, "large-body", |subject| Box::pin(large_body(subject))),
    Case::required(27, "binary-exact", |subject| Box::pin(binary(subject))).with_probe(),
    Case::required(28, "utf8", |subject| Box::pin(utf8(subject))).with_probe(),
    Case::required(29, "header-multi", |subject| Box::pin(header_multi(subject))).with_probe(),
    Case::required(30, "header-case", |subject| Box::pin(header_case(subject))).with_probe(),
    Case::recommended(31, "header-non-ascii", |subject| Box::pin(header_bytes(subject))),
    Case::required(32, "deadline-z", |subject| Box::pin(deadline(subject, DEADLINE))),
    Case::required(33, "deadline-offset", |subject| Box::pin(deadline(subject, "2126-11-22T17:30:30+05:30"))),
    Case::required(34, "deadline-fraction", |subject| {
        Box::pin(deadline(subject, "2126-11-22T12:00:30.000Z"))
    }),
    Case::recommended(35, "deadline-missing", |subject| Box::pin(deadline_missing(subject))),
    Case::recommended(36, "call-id-missing", |subject| Box::pin(call_id_missing(subject))),
    Case::required(37, "ctype-params", |subject| {
        Box::pin(typed(subject, Some("application/json; charset=utf-8")))
    }),
    Case::required(38, "ctype-text-json", |subject| Box::pin(typed(subject, Some("text/plain")))),
    Case::recommended(39, "ctype-json-text", |subject| Box::pin(text_as_json(subject))).with_probe(),
    Case::required(40, "ctype-missing", |subject| Box::pin(typed(subject, None))),
    Case::recommended(41, "path-other", |subject| Box::pin(refuses(subject, "POST /x", 404))),
    Case::recommended(42, "method-other", |subject| Box::pin(refuses(subject, "GET /call", 405))),
    Case::recommended(51, "spoofed-gateway", |subject| Box::pin(spoofed(subject))).with_probe(),
];

/// Calls with a body of the probe's own kind, echoed; or with the usual one, which must be answered as ever.
async fn echoed(subject: &Subject, shape: impl Fn(Request) -> Request) -> Verdict<Response> {
    let function = subject.launch()?.serve().await?;
    if !subject.probe {
        let usual = function.usual_status(subject).await?;
        let reply = function.call(&shape(subject.request())).await?;
        same("status", reply.status, usual)?;
        return Ok(reply);
    }
    let reply = function.call(&shape(Request::new("text/plain", "yodawg"))).await?;
    same("status", reply.status, 200)?;
    same("body", reply.shown().as_str(), "\"yodawg\"")?;
    Ok(reply)
}

async fn sized_body(subject: &Subject) -> Verdict {
    let reply = echoed(subject, Request::sized).await?;
    if subject.probe {
        let function = subject.launch()?.serve().await?;
        let ask = Request::ask(json!({"echo_headers": ["Yo"]})).sized().with("Yo", "dawg");
        same("the header Yo", function.call(&ask).await?.header("yo"), Some("dawg"))?;
    }
    let mut told = Vec::new();
    for name in ["fn-fdk-version", "fn-fdk-runtime"] {
        match reply.header(name) {
            Some(value) => {
                let (product, version) = value.split_once('/').unwrap_or_default();
                ensure!(
                    !product.is_empty() && !version.is_empty(),
                    "{name}: expected name/version, got {value:?}"
                );
                told.push(value.to_owned());
            }
            // The documents leave both to official FDKs.
            None => told.push(format!("no {name}")),
        }
    }
    Ok(told.join(", "))
}

async fn chunked_body(subject: &Subject) -> Verdict {
    echoed(subject, |request| request.in_chunks(3)).await?;
    Ok(String::new())
}

/// An empty body is the function's business; a refusal of it must be readable, and no end of the process.
async fn empty_body(subject: &Subject) -> Verdict {
    let mut function = subject.launch()?.serve().await?;
    let usual = function.usual_status(subject).await?;
    let reply = function.call(&Request::new("application/json", "")).await?;
    if reply.status == 502 {
        let body = reply.json()?;
        ensure!(body["message"].is_string(), "expected a message in the 502's JSON, got {}", reply.shown());
    } else if subject.probe {
        same("status", reply.status, 200)?;
        same("body", reply.shown().as_str(), "\"\"")?;
    }
    function.still_serves(subject, usual).await?;
    Ok(format!("answered {}", reply.status))
}

async fn large_body(subject: &Subject) -> Verdict {
    const BYTES: usize = 6 * 1024 * 1024;
    const LIMIT: Duration = Duration::from_secs(3);
    let function = subject.launch()?.serve().await?;
    let usual = function.usual_status(subject).await?;
    let request = subject.large_request(BYTES).in_chunks(32 * 1024);
    let mut best = Duration::MAX;
    // Time and again: the machine's own load is not the function's.
    for _ in 0..3 {
        let began = Instant::now();
        let reply = function.call(&request).await?;
        best = best.min(began.elapsed());
        same("status", reply.status, usual)?;
        if subject.probe {
            ensure!(
                reply.body == request.body(),
                "expected the {BYTES} bytes back, got {}",
                reply.body.len()
            );
        }
        if best <= LIMIT {
            break;
        }
    }
    ensure!(
        best <= LIMIT,
        "expected 6 MiB in and out within 3 s, the best of 3 took {:.1} s",
        best.as_secs_f64()
    );
    let resident = function.pid().and_then(process::resident).unwrap_or_default() / 1024;
    let memory = subject.memory();
    ensure!(resident <= memory, "expected it within FN_MEMORY, {memory} MB, it has {resident} MB resident");
    Ok(format!("{} ms, {resident} MB resident", best.as_millis()))
}

async fn echo(subject: &Subject, content_type: &str, body: &[u8]) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let reply = function.call(&Request::new(content_type, body)).await?;
    same("status", reply.status, 200)?;
    ensure!(
        reply.body == body,
        "expected the {} bytes unchanged, got {} bytes: {}",
        body.len(),
        reply.body.len(),
        reply.shown()
    );
    Ok(String::new())
}

async fn binary(subject: &Subject) -> Verdict {
    echo(subject, "application/octet-stream", &(0..=255).collect::<Vec<u8>>()).await
}

async fn utf8(subject: &Subject) -> Verdict {
    echo(subject, "text/plain", "price 5€ é".as_bytes()).await
}

async fn header_multi(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let ask = Request::ask(json!({"echo_headers": ["Foo"]})).with("Foo", "a").with("Foo", "b");
    same("the values of Foo", function.call(&ask).await?.all("foo"), vec!["a", "b"])?;
    Ok(String::new())
}

async fn header_case(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let ask = Request::ask(json!({"echo_headers": ["x-foo"]})).with("X-FOO", "v");
    same("X-FOO read as x-foo", function.call(&ask).await?.header("x-foo"), Some("v"))?;
    Ok(String::new())
}

async fn header_bytes(subject: &Subject) -> Verdict {
    as_usual(subject, |request| request.with("X", b"\xff")).await?;
    Ok(String::new())
}

/// A changed call is answered as the usual one is, and leaves the process alive. Returns what answered.
async fn as_usual(subject: &Subject, change: impl Fn(Request) -> Request) -> Verdict<Function> {
    let mut function = subject.launch()?.serve().await?;
    let usual = function.usual_status(subject).await?;
    let reply = function.call(&change(subject.request())).await?;
    same("status", reply.status, usual)?;
    function.still_serves(subject, usual).await?;
    Ok(function)
}

async fn deadline(subject: &Subject, spelling: &str) -> Verdict {
    let function = as_usual(subject, |request| request.with("Fn-Deadline", spelling)).await?;
    if subject.probe {
        let ask = Request::ask(json!({"show": "context"})).with("Fn-Deadline", spelling);
        let context = function.call(&ask).await?.json()?;
        same_json("the deadline in seconds", &context["deadline"], json!(DEADLINE_SECONDS))?;
        return Ok(String::new());
    }
    Ok("answered; what it reads from it needs --probe".into())
}

async fn deadline_missing(subject: &Subject) -> Verdict {
    as_usual(subject, |request| request.without("Fn-Deadline")).await?;
    as_usual(subject, |request| request.with("Fn-Deadline", "soon")).await?;
    Ok("missing, and garbage".into())
}

async fn call_id_missing(subject: &Subject) -> Verdict {
    let function = as_usual(subject, |request| request.without("Fn-Call-Id")).await?;
    if subject.probe {
        let context =
            function.call(&Request::ask(json!({"show": "context"})).without("Fn-Call-Id")).await?.json()?;
        ensure!(
            context["call_id"] == "" || context["call_id"].is_null(),
            "expected an empty id, got {}",
            context["call_id"]
        );
    }
    Ok(String::new())
}

/// The same JSON body, whatever it is called: `fn invoke` sends it as text/plain.
async fn typed(subject: &Subject, content_type: Option<&str>) -> Verdict {
    let function = as_usual(subject, |request| match content_type {
        Some(content_type) => request.with("Content-Type", content_type),
        None => request.without("Content-Type"),
    })
    .await?;
    if subject.probe {
        let ask = Request::ask(json!({"show": "context"}));
        let ask = match content_type {
            Some(content_type) => ask.with("Content-Type", content_type),
            None => ask.without("Content-Type"),
        };
        let reply = function.call(&ask).await?;
        ensure!(reply.json()?["calls"].is_number(), "the body was not read as JSON: {}", reply.shown());
    }
    Ok(String::new())
}

/// The OCI provider of the `fn` command calls everything application/json.
async fn text_as_json(subject: &Subject) -> Verdict {
    echo(subject, "application/json", b"Bob").await
}

async fn refuses(subject: &Subject, line: &str, status: u16) -> Verdict {
    let mut function = subject.launch()?.serve().await?;
    let usual = function.usual_status(subject).await?;
    let before = calls(subject, &function).await?;
    let request = if line.starts_with("GET") {
        Request::new("application/json", "").to(line)
    } else {
        subject.request().to(line)
    };
    let reply = function.call(&request).await?;
    same(line, reply.status, status)?;
    let after = calls(subject, &function).await?;
    ensure!(after <= before + 1, "{line} was run by the handler");
    function.still_serves(subject, usual).await?;
    Ok(String::new())
}

/// How many calls the probe's handler has seen, this one included; 0 for a function that cannot be asked.
pub(super) async fn calls(subject: &Subject, function: &Function) -> Verdict<u64> {
    if !subject.probe {
        return Ok(0);
    }
    let context = function.call(&Request::ask(json!({"show": "context"}))).await?.json()?;
    context["calls"].as_u64().ok_or_else(|| Stop::Fail(format!("the probe counts no calls: {context}")))
}

async fn spoofed(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let ask = Request::ask(json!({"show": "context"}));
    let ask = ask.with("Fn-Http-Method", "PUT").with("Fn-Http-Request-Url", "http://h/x");
    let context = function.call(&ask).await?.json()?;
    same_json("the HTTP request without Fn-Intent", &context["http"], Value::Null)?;
    Ok(String::new())
}
