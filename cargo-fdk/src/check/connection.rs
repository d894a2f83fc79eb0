//! Connections: kept, many, idle, broken, slow (cases 43 to 50, 87, 88).

use super::case::{Case, Verdict, ensure, same};
use super::launch::Subject;
use super::process;
use super::request::calls;
use super::wire::{Request, chunk};
use rustix::process::Signal;
use std::time::{Duration, Instant};

pub(super) const CASES: &[Case] = &[
    Case::required(43, "keep-alive", |subject| Box::pin(keep_alive(subject))),
    Case::required(44, "keep-alive-idle", |subject| Box::pin(idle(subject))).waiting(),
    Case::required(45, "reconnect-while-old-open", |subject| Box::pin(reconnect(subject))),
    Case::recommended(46, "expect-100", |subject| Box::pin(expect_continue(subject))),
    Case::recommended(47, "pipelined", |subject| Box::pin(pipelined(subject))),
    Case::required(48, "truncated-request", |subject| Box::pin(truncated(subject))),
    Case::required(49, "malformed-http", |subject| Box::pin(malformed(subject))),
    Case::required(50, "slow-body", |subject| Box::pin(slow_body(subject))).waiting(),
    Case::recommended(87, "concurrency", |subject| Box::pin(concurrent(subject))),
    Case::required(88, "soak", |subject| Box::pin(soak(subject))),
];

async fn keep_alive(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let usual = function.usual_status(subject).await?;
    let mut connection = function.connect().await?;
    for call in 1..=100 {
        let reply =
            connection.call(&subject.request()).await.map_err(|why| format!("call {call} of 100: {why}"))?;
        same(&format!("the status of call {call}"), reply.status, usual)?;
        ensure!(
            !reply.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close")),
            "call {call} of 100: expected the connection to be kept, got Connection: close"
        );
    }
    Ok("100 calls on one connection".into())
}

async fn idle(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let mut connection = function.connect().await?;
    let usual = connection.call(&subject.request()).await?.status;
    let idle = Duration::from_secs(if subject.quick { 10 } else { 130 });
    let before = function.pid().and_then(process::cpu).unwrap_or_default();
    if subject.quick {
        // A clock that has jumped is what timers notice first.
        function.signal(Signal::STOP);
        tokio::time::sleep(idle).await;
        function.signal(Signal::CONT);
        tokio::time::sleep(Duration::from_millis(500)).await;
    } else {
        tokio::time::sleep(idle).await;
    }
    let used = function.pid().and_then(process::cpu).unwrap_or_default().saturating_sub(before);
    let reply = connection.call(&subject.request()).await;
    let reply = reply.map_err(|why| format!("after {} s idle: {why}", idle.as_secs()))?;
    same("the status after the idle time", reply.status, usual)?;
    if subject.quick {
        return Ok("stopped for 10 s (130 s idle without --quick)".into());
    }
    let percent = used.as_secs_f64() / idle.as_secs_f64() * 100.0;
    ensure!(used * 50 <= idle, "expected no work while idle, got {percent:.0} % of a core");
    Ok(format!("130 s idle, {percent:.1} % of a core"))
}

async fn reconnect(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let mut old = function.connect().await?;
    let usual = old.call(&subject.request()).await?.status;
    let mut new = function.connect().await?;
    let reply = new.call(&subject.request()).await;
    let reply = reply.map_err(|why| format!("a second connection while the first is open: {why}"))?;
    same("the status on a second connection", reply.status, usual)?;
    drop(old);
    let reply =
        new.call(&subject.request()).await.map_err(|why| format!("after the first was closed: {why}"))?;
    same("the status after the first was closed", reply.status, usual)?;
    Ok(String::new())
}

async fn expect_continue(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let usual = function.usual_status(subject).await?;
    let mut connection = function.connect().await?;
    let request = subject.request().sized().with("Expect", "100-continue");
    connection.send(&request.head()).await?;
    ensure!(
        connection.has_input(Duration::from_secs(5)).await,
        "expected 100 Continue within 5 s, got nothing"
    );
    connection.send(request.body()).await?;
    let reply = connection.response().await?;
    ensure!(reply.continued, "expected 100 Continue first, got {} at once", reply.status);
    same("the status after 100", reply.status, usual)?;
    Ok(String::new())
}

async fn pipelined(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let usual = function.usual_status(subject).await?;
    let mut connection = function.connect().await?;
    let requests = if subject.probe {
        [Request::new("text/plain", "first"), Request::new("text/plain", "second")]
    } else {
        [subject.request(), subject.request()]
    };
    connection.send(&[requests[0].bytes(), requests[1].bytes()].concat()).await?;
    for (request, which) in requests.iter().zip(["first", "second"]) {
        let reply = connection.response().await.map_err(|why| format!("the {which} reply: {why}"))?;
        same("status", reply.status, usual)?;
        ensure!(
            !subject.probe || reply.body == request.body(),
            "expected the {which} request's reply, got {}",
            reply.shown()
        );
    }
    Ok(String::new())
}

async fn truncated(subject: &Subject) -> Verdict {
    let mut function = subject.launch()?.serve().await?;
    let usual = function.usual_status(subject).await?;
    let before = calls(subject, &function).await?;
    for framing in ["chunked", "sized"] {
        let mut connection = function.connect().await?;
        let (mut sent, body) = if framing == "chunked" {
            (subject.request().head(), b"5\r\nab".to_vec())
        } else {
            let request = Request::new("application/json", vec![b'x'; 100]).sized();
            (request.head(), b"xxx".to_vec())
        };
        sent.extend(body);
        connection.send(&sent).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(connection);
        function
            .still_serves(subject, usual)
            .await
            .map_err(|why| format!("a {framing} body cut off: {why}"))?;
    }
    // The two usual calls in between are counted, and this one.
    let run = calls(subject, &function).await?.saturating_sub(before + 3);
    Ok(if subject.probe && run > 0 {
        "the handler ran on half a body: better not".into()
    } else {
        String::new()
    })
}

async fn malformed(subject: &Subject) -> Verdict {
    let mut function = subject.launch()?.serve().await?;
    let usual = function.usual_status(subject).await?;
    let mut connection = function.connect().await?;
    // It may hang up in the middle.
    let _ = connection.send(b"garbage\r\n\r\n").await;
    ensure!(
        connection.has_input(Duration::from_secs(5)).await,
        "expected 400 or a closed connection within 5 s, got nothing"
    );
    let reply = connection.response().await;
    let told = match reply {
        Ok(reply) => {
            ensure!((400..500).contains(&reply.status), "expected 400, got {}", reply.status);
            reply.status.to_string()
        }
        Err(_) => "closed".into(),
    };
    function.still_serves(subject, usual).await?;
    Ok(told)
}

async fn slow_body(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let usual = function.usual_status(subject).await?;
    let seconds = if subject.quick { 8 } else { 70 };
    let deadline = super::wire::deadline(Duration::from_mins(5));
    let request = if subject.probe { Request::new("text/plain", "yodawg") } else { subject.request() };
    let request = request.with("Fn-Deadline", deadline);
    let mut connection = function.connect().await?;
    connection.send(&request.head()).await?;
    let pause = Duration::from_secs(seconds) / u32::try_from(request.body().len()).unwrap_or(1);
    let began = Instant::now();
    for byte in request.body() {
        let sent = connection.send(&chunk(&[*byte])).await;
        sent.map_err(|why| format!("after {} s: {why}", began.elapsed().as_secs()))?;
        tokio::time::sleep(pause).await;
    }
    connection.send(b"0\r\n\r\n").await?;
    let reply = connection.response().await.map_err(|why| format!("after {seconds} s: {why}"))?;
    same("status", reply.status, usual)?;
    ensure!(!subject.probe || reply.body == request.body(), "expected the body back, got {}", reply.shown());
    let more = if subject.quick { " (70 s without --quick)" } else { "" };
    Ok(format!("a body over {seconds} s{more}"))
}

async fn concurrent(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let usual = function.usual_status(subject).await?;
    let (mut one, mut two) = (function.connect().await?, function.connect().await?);
    let request = subject.request();
    let (one, two) = tokio::join!(one.call(&request), two.call(&request));
    same("the statuses of two parallel calls", (one?.status, two?.status), (usual, usual))?;
    Ok(String::new())
}

/// Thousands of calls, half of them on new connections, leave nothing behind.
async fn soak(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let usual = function.usual_status(subject).await?;
    let (wanted, limit) = if subject.quick { (1000, 15) } else { (10_000, 180) };
    let used = || {
        let pid = function.pid()?;
        Some((process::descriptors(pid)?, process::resident(pid)?))
    };
    let mut kept = function.connect().await?;
    let began = Instant::now();
    let mut before = None;
    let mut made = 0;
    while made < wanted && began.elapsed() < Duration::from_secs(limit) {
        if made == wanted / 5 {
            // Warm by now.
            before = used();
        }
        made += 1;
        let request = subject.request();
        let reply = if made % 2 == 0 { function.call(&request).await } else { kept.call(&request).await };
        let reply = reply.map_err(|why| format!("call {made}: {why}"))?;
        same(&format!("the status of call {made}"), reply.status, usual)?;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let rate = f64::from(made) / began.elapsed().as_secs_f64();
    let told = format!(
        "{made} calls of {}, {rate:.0} a second",
        if subject.quick { "10000" } else { "10000 wanted" }
    );
    let (Some((files_before, rss_before)), Some((files, rss))) = (before, used()) else { return Ok(told) };
    ensure!(
        files <= files_before + 2,
        "expected no more open files than before, {files_before}, got {files}"
    );
    let growth = rss.saturating_sub(rss_before);
    ensure!(growth <= 4096, "expected flat memory, it grew by {growth} KiB from {rss_before} KiB");
    let many = if files > 20 { "; at most 20 are recommended" } else { "" };
    Ok(format!("{told}, {files} open files{many}, {growth} KiB more"))
}
