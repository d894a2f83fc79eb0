//! Log frames, configuration and trace context (cases 79 to 86).

use super::case::{Case, Verdict, ensure, same, same_json};
use super::launch::{Launch, Stdout, Subject};
use super::output::shown;
use super::wire::Request;
use serde_json::{Value, json};

pub(super) const CASES: &[Case] = &[
    Case::required(79, "logframe", |subject| Box::pin(framed(subject))),
    Case::required(80, "logframe-missing-header", |subject| Box::pin(no_header(subject))),
    Case::required(81, "logframe-one-variable", |subject| Box::pin(one_variable(subject))),
    Case::required(82, "closed-stdout", |subject| Box::pin(closed_stdout(subject))),
    Case::required(83, "config", |subject| Box::pin(config(subject))).with_probe(),
    Case::recommended(84, "tracing-on", |subject| Box::pin(tracing_on(subject))).with_probe(),
    Case::recommended(85, "tracing-off", |subject| Box::pin(tracing_off(subject))),
    Case::recommended(86, "tracing-unsampled", |subject| Box::pin(unsampled(subject))).with_probe(),
];

fn with_frame(launch: Launch) -> Launch {
    launch.env("FN_LOGFRAME_NAME", "foo").env("FN_LOGFRAME_HDR", "Fn-Call-Id")
}

/// Prints, when it is the probe.
fn talking(subject: &Subject) -> Request {
    if subject.probe { Request::ask(json!({"log": "printed"})) } else { subject.request() }
}

async fn framed(subject: &Subject) -> Verdict {
    let function = with_frame(subject.launch()?).serve().await?;
    // What is printed at the start, or at the first call only, is out of the way then.
    function.call(&subject.request()).await?;
    function.stderr.settled().await;
    let marks = (function.stdout.mark(), function.stderr.mark());
    function.call(&talking(subject).with("Fn-Call-Id", "01CALLID")).await?;
    let frame = b"\nfoo=01CALLID\n";
    for (name, output, mark) in [("stderr", &function.stderr, marks.1), ("stdout", &function.stdout, marks.0)]
    {
        let said = output.until(mark, |said| said.len() >= frame.len()).await;
        ensure!(said.starts_with(frame), "{name}: expected {} first, got {}", shown(frame), shown(&said));
        let after = &said[frame.len()..];
        ensure!(!after.starts_with(b"\n"), "{name}: expected exactly {}, got {}", shown(frame), shown(&said));
        let text = String::from_utf8_lossy(after);
        ensure!(!text.contains("foo=01CALLID"), "{name}: expected one frame, got {}", shown(&said));
        ensure!(!subject.probe || text.contains("printed"), "{name}: the handler's line is missing");
    }
    Ok(String::new())
}

/// A call after which no stream holds a frame.
async fn unframed(subject: &Subject, launch: Launch) -> Verdict {
    let function = launch.serve().await?;
    function.call(&subject.request().with("Fn-Call-Id", "01CALLID")).await?;
    function.stderr.settled().await;
    for (name, output) in [("stderr", &function.stderr), ("stdout", &function.stdout)] {
        let said = output.text();
        ensure!(
            !said
                .lines()
                .any(|line| line.starts_with("foo=") || line.ends_with("=01CALLID") && line.len() < 40),
            "{name}: expected no frame, got {}",
            shown(said.as_bytes())
        );
    }
    Ok(String::new())
}

async fn no_header(subject: &Subject) -> Verdict {
    let launch = with_frame(subject.launch()?).env("FN_LOGFRAME_HDR", "X-Not-Sent");
    unframed(subject, launch).await
}

async fn one_variable(subject: &Subject) -> Verdict {
    unframed(subject, with_frame(subject.launch()?).without("FN_LOGFRAME_HDR")).await?;
    unframed(subject, with_frame(subject.launch()?).without("FN_LOGFRAME_NAME")).await
}

async fn closed_stdout(subject: &Subject) -> Verdict {
    let usual = with_frame(subject.launch()?).serve().await?.usual_status(subject).await?;
    let closed = ["sh", "-c", "exec \"$@\" >&-", "sh"];
    let launches = [
        ("closed", with_frame(subject.launch()?).under(&closed)),
        ("a broken pipe", with_frame(subject.launch()?).stdout(Stdout::Broken)),
    ];
    for (how, launch) in launches {
        let mut function = launch.serve().await?;
        let reply = function.call(&talking(subject)).await.map_err(|why| format!("stdout {how}: {why}"))?;
        same(&format!("stdout {how}: the status"), reply.status, usual)?;
        function.still_serves(subject, usual).await.map_err(|why| format!("stdout {how}: {why}"))?;
    }
    Ok(String::new())
}

async fn context(launch: Launch, ask: &Request) -> Verdict<Value> {
    Ok(launch.serve().await?.call(ask).await?.json()?)
}

async fn config(subject: &Subject) -> Verdict {
    let show = |what: &str| Request::ask(json!({"show": what}));
    let found = context(subject.launch()?, &show("context")).await?;
    same_json("the app's id", &found["app_id"], json!("01CHECKAPP"))?;
    same_json("the function's id", &found["fn_id"], json!("01CHECKFN"))?;
    same_json("the memory in bytes", &found["memory"], json!(128 * 1024 * 1024))?;
    same_json("the app's name, which is not set", &found["app_name"], Value::Null)?;
    let env = context(subject.launch()?.env("MY_KEY", "my value"), &show("env")).await?;
    same_json("MY_KEY", &env["MY_KEY"], json!("my value"))?;
    Ok(String::new())
}

fn named(launch: Launch) -> Launch {
    launch
        .env("OCI_TRACING_ENABLED", "1")
        .env("OCI_TRACE_COLLECTOR_URL", "http://collector/spans")
        .env("FN_APP_NAME", "MyApp")
        .env("FN_FN_NAME", "MyFn")
}

fn traced(request: Request) -> Request {
    request.with("X-B3-TraceId", "463ac35c9f6413ad").with("X-B3-SpanId", "a2fb4a1d1a96d312")
}

async fn tracing_on(subject: &Subject) -> Verdict {
    let show = || traced(Request::ask(json!({"show": "context"})));
    let all = show().with("X-B3-ParentSpanId", "0020000000000001").with("X-B3-Sampled", "1");
    let trace = context(named(subject.launch()?), &all.with("X-B3-Flags", "1")).await?["trace"].take();
    let expected = json!({
        "enabled": true, "collector_url": "http://collector/spans", "service_name": "myapp::myfn",
        "trace_id": "463ac35c9f6413ad", "span_id": "a2fb4a1d1a96d312", "parent_span_id": "0020000000000001",
        "sampled": true, "flags": "1",
    });
    for (key, value) in expected.as_object().into_iter().flatten() {
        same_json(&format!("trace.{key}"), &trace[key], value.clone())?;
    }
    let default = context(named(subject.launch()?), &show()).await?;
    same_json("sampled without X-B3-Sampled", &default["trace"]["sampled"], json!(true))?;
    Ok(String::new())
}

async fn tracing_off(subject: &Subject) -> Verdict {
    for launch in [subject.launch()?.env("OCI_TRACING_ENABLED", "0"), subject.launch()?] {
        let mut function = launch.serve().await?;
        let usual = function.usual_status(subject).await?;
        let reply = function.call(&traced(subject.request())).await?;
        same("status", reply.status, usual)?;
        function.still_serves(subject, usual).await?;
        if subject.probe {
            let found = function.call(&traced(Request::ask(json!({"show": "context"})))).await?.json()?;
            same_json("trace.enabled", &found["trace"]["enabled"], json!(false))?;
        }
    }
    Ok(String::new())
}

async fn unsampled(subject: &Subject) -> Verdict {
    let ask = traced(Request::ask(json!({"show": "context"}))).with("X-B3-Sampled", "0");
    let found = context(named(subject.launch()?), &ask).await?;
    same_json("trace.sampled", &found["trace"]["sampled"], json!(false))?;
    Ok(String::new())
}
