//! Signals, freezing and the deadline (cases 74, 75, 77, 78).

use super::case::{Case, Verdict, ensure, same};
use super::launch::Subject;
use super::output::shown;
use super::wire::{self, Request};
use rustix::process::Signal;
use serde_json::json;
use std::time::{Duration, Instant, SystemTime};

pub(super) const CASES: &[Case] = &[
    Case::recommended(74, "sigterm-idle", |subject| Box::pin(stop_idle(subject))),
    Case::recommended(75, "sigterm-inflight", |subject| Box::pin(stop_busy(subject))).with_probe(),
    Case::required(77, "freeze", |subject| Box::pin(freeze(subject))).waiting(),
    Case::recommended(78, "deadline-504", |subject| Box::pin(deadline(subject))).with_probe(),
];

async fn stop_idle(subject: &Subject) -> Verdict {
    const LIMIT: Duration = Duration::from_secs(1);
    let mut best = Duration::MAX;
    // Time and again: the machine's own load is not the function's.
    for _ in 0..3 {
        let mut function = subject.launch()?.serve().await?;
        function.usual_status(subject).await?;
        function.signal(Signal::TERM);
        let began = Instant::now();
        let status =
            function.ended(Duration::from_secs(5)).await.map_err(|why| format!("after SIGTERM {why}"))?;
        best = best.min(began.elapsed());
        ensure!(status.code() == Some(0), "expected exit code 0 after SIGTERM, got {status}");
        let left = function.files();
        ensure!(left.is_empty(), "expected the socket's files to be removed, got {}", left.join(", "));
        if best <= LIMIT {
            break;
        }
    }
    ensure!(
        best <= LIMIT,
        "expected the end within 1 s of SIGTERM, the best of 3 took {} ms",
        best.as_millis()
    );
    Ok(format!("{} ms", best.as_millis()))
}

async fn stop_busy(subject: &Subject) -> Verdict {
    const LINE: &str = "the call has begun";
    let mut function = subject.launch()?.serve().await?;
    let mut connection = function.connect().await?;
    let mark = function.stderr.mark();
    connection.send(&Request::ask(json!({"log": LINE, "sleep_ms": 1000})).bytes()).await?;
    // A request that is unread yet is no call in flight.
    function.stderr.until(mark, |said| String::from_utf8_lossy(said).contains(LINE)).await;
    function.signal(Signal::TERM);
    let reply = connection.response().await.map_err(|why| format!("the call in flight: {why}"))?;
    same("the status of the call in flight", reply.status, 200)?;
    let status = function.ended(Duration::from_secs(5)).await?;
    ensure!(status.code() == Some(0), "expected exit code 0 after the call, got {status}");
    Ok(String::new())
}

/// Docker's pause, seen from inside: nothing runs, and the clock has jumped.
async fn freeze(subject: &Subject) -> Verdict {
    let mut function = subject.launch()?.serve().await?;
    let mut kept = function.connect().await?;
    let usual = kept.call(&subject.request()).await?.status;
    function.stderr.settled().await;
    function.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_secs(9)).await;
    // What came so far was printed before: a busy engine brings it late.
    let mark = (function.stdout.mark(), function.stderr.mark());
    tokio::time::sleep(Duration::from_secs(1)).await;
    function.signal(Signal::CONT);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let said = [function.stdout.since(mark.0), function.stderr.since(mark.1)].concat();
    ensure!(said.is_empty(), "expected silence after 10 s frozen, got {}", shown(&said));
    let reply = kept.call(&subject.request()).await.map_err(|why| format!("after 10 s frozen: {why}"))?;
    same("the status after 10 s frozen", reply.status, usual)?;
    // The agent may write before it has thawed the container.
    function.signal(Signal::STOP);
    let mut early = function.connect().await?;
    early.send(&subject.request().bytes()).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    function.signal(Signal::CONT);
    let reply = early.response().await.map_err(|why| format!("sent while frozen: {why}"))?;
    same("the status of a call sent while frozen", reply.status, usual)?;
    function.still_serves(subject, usual).await?;
    Ok("10 s".into())
}

/// The function answers before the platform's own timer ends its life.
async fn deadline(subject: &Subject) -> Verdict {
    const TIMEOUT: Duration = Duration::from_secs(2);
    let mut function = subject.launch()?.serve().await?;
    let mut best = Duration::MAX;
    // Time and again: the machine's own load is not the function's.
    for _ in 0..3 {
        // The deadline has whole seconds, the platform's timer has not: start where the two are half a second apart.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let until_half = (1500 - u64::from(now.subsec_millis())) % 1000;
        tokio::time::sleep(Duration::from_millis(until_half)).await;
        let began = Instant::now();
        let ask = Request::ask(json!({"sleep_ms": 10_000})).with("Fn-Deadline", wire::deadline(TIMEOUT));
        let reply = function.call(&ask).await?;
        best = best.min(began.elapsed());
        same("status", reply.status, 504)?;
        if best < TIMEOUT {
            break;
        }
    }
    ensure!(
        best < TIMEOUT,
        "expected 504 before the platform's own timer, {} s; the best of 3 came after {} ms",
        TIMEOUT.as_secs(),
        best.as_millis()
    );
    function.still_serves(subject, 200).await?;
    Ok(format!("after {} ms, the platform's timer being at {} ms", best.as_millis(), TIMEOUT.as_millis()))
}
