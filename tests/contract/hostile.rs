//! Peers that mean harm, or are merely broken: the function answers the next call whatever the last one sent.

use serde_json::json;
use std::time::Duration;
use workspace_tests::function;
use workspace_tests::http1::{deadline, request};

/// The calls that have reached the handler, this one among them, in the process that answers.
async fn calls(container: &cargo_fdk::agent::Container) -> u64 {
    let mut connection = function::connect(container).await;
    connection.call(&[], b"{\"show\":\"context\"}").await.json()["calls"].as_u64().unwrap()
}

#[tokio::test]
async fn a_request_that_trickles_in_holds_up_nobody() {
    let container = function::start("probe", &[]).await;
    let slow = request(&[], b"slow");
    let mut connection = function::connect(&container).await;
    for (sent, byte) in slow.iter().enumerate() {
        connection.send(&[*byte]).await;
        if sent % 40 == 0 {
            assert_eq!(function::connect(&container).await.call(&[], b"quick").await.text(), "quick");
        }
    }
    assert_eq!(connection.response().await.unwrap().text(), "slow");
    // Many that never end: each takes a connection, none takes the function.
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut connection = function::connect(&container).await;
        connection.send(&slow[..slow.len() - 1]).await;
        held.push(connection);
    }
    assert_eq!(function::connect(&container).await.call(&[], b"beside them").await.text(), "beside them");
    for mut connection in held {
        connection.send(&slow[slow.len() - 1..]).await;
        assert_eq!(connection.response().await.unwrap().text(), "slow");
    }
}

#[tokio::test]
async fn garbage_never_reaches_the_handler_and_never_costs_the_process() {
    let container = function::start("probe", &[]).await;
    let call = "POST /call HTTP/1.1\r\nHost: x\r\n";
    let long = "x".repeat(3 * 1024 * 1024);
    let requests = [
        "\r\n\r\n\0\0\0".to_owned(),
        "POST /call HTTP/9.9\r\n\r\n".into(),
        "POST /call\r\n\r\n".into(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        "\u{16}\u{3}\u{1}\u{2}\0".into(),
        format!("{call}Content-Length: -1\r\n\r\n"),
        format!("{call}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        format!("{call}Content-Length: 99999999999999999999\r\n\r\n"),
        format!("{call}Transfer-Encoding: gzip\r\n\r\nab"),
        format!("{call}Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n"),
        format!("{call}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nab"),
        format!("{call}Transfer-Encoding: chunked\r\n\r\n5\r\nab\r\n0\r\n\r\n"),
        format!("{call} folded: x\r\n\r\n"),
        format!("{call}no colon\r\n\r\n"),
        format!("{call}X: {long}\r\n\r\n"),
        format!("POST /{long} HTTP/1.1\r\n\r\n"),
        format!("{call}{}\r\n", "X: y\r\n".repeat(5000)),
    ];
    for bytes in requests {
        let mut connection = function::connect(&container).await;
        connection.try_send(bytes.as_bytes()).await;
        connection.close_write().await;
        // A refusal or an end, never an answer of the handler's.
        if let Ok(reply) = connection.response().await {
            assert_ne!(reply.status, 200, "{:?}", &bytes[..bytes.len().min(60)]);
        }
    }
    assert_eq!(calls(&container).await, 1, "garbage reached the handler, or another process answers");
}

#[tokio::test]
async fn random_bytes_within_a_call_are_a_body_or_a_refusal() {
    let container = function::start("probe", &[("FDK_LOG", "off")]).await;
    // Xorshift, so that a failure can be had again.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for round in 0..400 {
        let mut bytes = request(&[("Content-Type", "application/json")], b"{\"echo\":true,\"body_bytes\":3}");
        for _ in 0..=round % 4 {
            let at = usize::try_from(next()).unwrap() % bytes.len();
            bytes[at] = next().to_le_bytes()[0];
        }
        let mut connection = function::connect(&container).await;
        connection.try_send(&bytes).await;
        connection.close_write().await;
        if let Ok(reply) = connection.response().await {
            let status = reply.status;
            assert!(matches!(status, 200 | 502 | 504 | 400..=431), "round {round}: {status}");
        }
    }
    assert_eq!(function::connect(&container).await.call(&[], b"next").await.text(), "next");
}

#[tokio::test]
async fn a_peer_that_closes_its_half_leaves_the_function_as_it_was() {
    let container = function::start("probe", &[]).await;
    for body in [&b"{}"[..], b"{\"sleep_ms\":50}", b"{\"block_ms\":50}", b"{\"stream_chunks\":100}"] {
        let mut connection = function::connect(&container).await;
        connection.send(&request(&[], body)).await;
        connection.close_write().await;
        // It may be answered or be taken for a caller who left; what is whole is right.
        if let Ok(reply) = connection.response().await {
            assert_eq!(reply.status, 200);
        }
    }
    assert!(calls(&container).await >= 1);
}

#[tokio::test]
async fn a_function_frozen_within_a_call_answers_once_it_is_thawed() {
    use rustix::process::{Pid, Signal, kill_process_group};
    let container = function::start("probe", &[]).await;
    let group = Pid::from_raw(container.pid().unwrap().cast_signed()).unwrap();
    for (body, status) in [
        (json!({"sleep_ms": 300}), 200),
        (json!({"block_ms": 300}), 200),
        (json!({"sleep_ms": 20_000}), 504),
        (json!({"block_ms": 3_000}), 504),
    ] {
        let mut connection = function::connect(&container).await;
        let left = Duration::from_millis(if status == 200 { 20_000 } else { 1_999 });
        let timed = deadline(left);
        connection.send(&request(&[("Fn-Deadline", &timed)], body.to_string().as_bytes())).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        kill_process_group(group, Signal::STOP).unwrap();
        tokio::time::sleep(Duration::from_millis(2_100)).await;
        kill_process_group(group, Signal::CONT).unwrap();
        assert_eq!(connection.response().await.unwrap().status, status, "{body}");
        assert_eq!(connection.call(&[], b"next").await.text(), "next", "{body}");
    }
}

#[tokio::test]
async fn short_long_and_waiting_calls_take_turns_on_many_connections() {
    let container = function::start("probe", &[("FDK_LOG", "off")]).await;
    // Each kind leaves the reactor to another thread or takes it back: every order of them must answer.
    let kinds = [
        "x",
        "{\"block_ms\":1}",
        "{\"block_ms\":7}",
        "{\"sleep_ms\":1}",
        "{\"stream_chunks\":3,\"body_bytes\":9}",
    ];
    let one = async |offset: usize| {
        let mut connection = function::connect(&container).await;
        for call in 0..150 {
            let kind = kinds[(call * (offset + 1) + call / 7 + offset) % kinds.len()];
            let reply = connection.call(&[], kind.as_bytes()).await;
            assert_eq!(reply.status, 200, "{kind}: {}", reply.text());
            if call % 31 == 0 {
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        }
    };
    tokio::join!(one(0), one(1), one(2), one(3));
    assert_eq!(calls(&container).await, 601);
}
