//! Requests that are answered: framing, headers, bodies, connections.

use serde_json::json;
use std::time::Duration;
use workspace_tests::function;
use workspace_tests::http1::{deadline, request};

#[tokio::test]
async fn a_body_comes_back_byte_for_byte() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(6 * 1024 * 1024).collect();
    let reply = connection.call(&[("Content-Type", "application/octet-stream")], &bytes).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body == bytes);
    assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
    assert!(reply.header("fn-fdk-version").unwrap().starts_with("fdk-rust/"));
    assert!(reply.header("fn-fdk-runtime").unwrap().starts_with("rust/1."));
    assert_eq!((reply.header("fn-call-id"), reply.header("connection")), (None, None));
}

#[tokio::test]
async fn chunks_are_a_body_like_any_other() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    connection
        .send(b"POST /call HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyod\r\n")
        .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    connection.send(b"3\r\nawg\r\n0\r\n\r\n").await;
    assert_eq!(connection.response().await.unwrap().text(), "yodawg");
}

#[tokio::test]
async fn one_connection_serves_many_calls_and_pipelined_ones_in_order() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    for call in 0..100 {
        let body = format!("call {call}");
        assert_eq!(connection.call(&[], body.as_bytes()).await.text(), body);
    }
    connection.send(&[request(&[], b"first"), request(&[], b"second")].concat()).await;
    assert_eq!(connection.response().await.unwrap().text(), "first");
    assert_eq!(connection.response().await.unwrap().text(), "second");
    // A new connection while the old one is still open, as after a freeze.
    assert_eq!(function::connect(&container).await.call(&[], b"other").await.text(), "other");
    assert_eq!(connection.call(&[], b"again").await.text(), "again");
}

#[tokio::test]
async fn headers_are_seen_as_sent() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    let headers = [("Foo", "a"), ("X-FOO", "b"), ("Foo", "c")];
    let seen = connection.call(&headers, json!({"show": "headers"}).to_string().as_bytes()).await.json();
    assert_eq!((&seen["foo"], &seen["x-foo"]), (&json!(["a", "c"]), &json!(["b"])));
    let echoed = connection.call(&headers, json!({"echo_headers": ["Foo"]}).to_string().as_bytes()).await;
    assert_eq!(echoed.all("foo"), ["a", "c"]);
    connection.send(b"POST /call HTTP/1.1\r\nHost: x\r\nX: \xff\r\nContent-Length: 2\r\n\r\nhi").await;
    assert_eq!(connection.response().await.unwrap().text(), "hi");
}

#[tokio::test]
async fn a_deadline_is_read_in_every_spelling_and_garbage_is_none() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    let body = json!({"show": "context"}).to_string();
    for (spelling, seconds) in [
        ("2126-11-22T12:00:30Z", json!(4_951_022_430_u64)),
        ("2126-11-22T17:30:30+05:30", json!(4_951_022_430_u64)),
        ("2126-11-22T12:00:30.000Z", json!(4_951_022_430_u64)),
        ("soon", json!(null)),
    ] {
        let context = connection.call(&[("Fn-Deadline", spelling)], body.as_bytes()).await.json();
        assert_eq!(context["deadline"], seconds, "{spelling}");
    }
    // The harness writes dates by itself: check it against what the function reads.
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let before = now();
    let near = deadline(Duration::from_secs(30));
    let after = now();
    let context = connection.call(&[("Fn-Deadline", &near)], body.as_bytes()).await.json();
    let read = context["deadline"].as_u64().unwrap();
    assert!((before + 30..=after + 30).contains(&read), "{near}");
}

#[tokio::test]
async fn other_paths_and_methods_do_not_reach_the_function() {
    let container = function::start("probe", &[]).await;
    for (head, status) in [("POST /x", 404), ("GET /call", 405), ("GET /", 404)] {
        let mut connection = function::connect(&container).await;
        connection.send(format!("{head} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
        assert_eq!(connection.response().await.unwrap().status, status, "{head}");
    }
    let mut connection = function::connect(&container).await;
    connection.send(b"garbage\r\n\r\n").await;
    assert_eq!(connection.response().await.unwrap().status, 400);
    let context = function::connect(&container).await.call(&[], b"{\"show\":\"context\"}").await.json();
    assert_eq!(context["calls"], 1);
}

#[tokio::test]
async fn no_reply_starts_before_the_request_has_ended() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    let body = vec![b'x'; 4 * 1024 * 1024];
    let bytes = request(&[], &body);
    let (most, last) = bytes.split_at(bytes.len() - 1);
    connection.send(most).await;
    assert!(!connection.has_input(Duration::from_millis(200)).await);
    connection.send(last).await;
    assert_eq!(connection.response().await.unwrap().body.len(), body.len());
}

#[tokio::test]
async fn a_request_that_breaks_off_runs_nothing() {
    let container = function::start("probe", &[]).await;
    let mut broken = function::connect(&container).await;
    broken.send(b"POST /call HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab").await;
    drop(broken);
    let context = function::connect(&container).await.call(&[], b"{\"show\":\"context\"}").await.json();
    assert_eq!(context["calls"], 1, "half a body reached the handler");
}

#[tokio::test]
async fn expect_100_is_answered() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    connection
        .send(b"POST /call HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        .await;
    assert!(connection.has_input(Duration::from_secs(5)).await, "no interim response");
    connection.send(b"hi").await;
    let reply = connection.response().await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (200, "hi"));
}

#[tokio::test]
async fn limits_refuse_with_both_numbers() {
    let container = function::start("probe", &[("FDK_MAX_REQUEST", "100"), ("FDK_MAX_REPLY", "50")]).await;
    let mut connection = function::connect(&container).await;
    let refused = connection.call(&[("Fn-Intent", "httprequest")], &[b'x'; 101]).await;
    assert_eq!((refused.status, refused.header("fn-http-status")), (200, Some("413")));
    assert_eq!(refused.json()["message"], "the request body is 101 bytes, FDK_MAX_REQUEST allows 100");
    let refused = connection.call(&[], &[b'x'; 51]).await;
    assert_eq!(refused.status, 502);
    assert_eq!(refused.json()["message"], "the reply is 51 bytes, FDK_MAX_REPLY allows 50");
    assert_eq!(connection.call(&[], &[b'x'; 50]).await.status, 200);
}

#[tokio::test]
async fn a_stream_is_chunked_and_ends_where_the_deadline_is() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    let reply = connection
        .call(&[], json!({"stream_chunks": 300, "body_bytes": 10_000}).to_string().as_bytes())
        .await;
    assert_eq!((reply.status, reply.body.len()), (200, 3_000_000));
    assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
    // One that never ends is broken off at the deadline, and not as if it were whole.
    let endless = json!({"stream_chunks": u64::MAX, "body_bytes": 10}).to_string();
    // Long enough for the stream to have begun: a handler that had not would be answered a whole 504.
    let soon = deadline(Duration::from_secs(5));
    connection.send(&request(&[("Fn-Deadline", &soon)], endless.as_bytes())).await;
    assert!(connection.response().await.is_err());
    assert_eq!(function::connect(&container).await.call(&[], b"next").await.text(), "next");
}

#[tokio::test]
async fn a_stream_breaks_off_where_it_passes_the_limit() {
    let container = function::start("probe", &[("FDK_MAX_REPLY", "50")]).await;
    let mut connection = function::connect(&container).await;
    let chunks = |count: u64| json!({"stream_chunks": count, "body_bytes": 10}).to_string();
    let reply = connection.call(&[], chunks(5).as_bytes()).await;
    assert_eq!((reply.status, reply.body.len()), (200, 50));
    connection.send(&request(&[], chunks(6).as_bytes())).await;
    assert!(connection.response().await.is_err());
    function::wait_for_line(&container, "the reply has reached 60 bytes, FDK_MAX_REPLY allows 50").await;
    assert_eq!(function::connect(&container).await.call(&[], b"next").await.text(), "next");
}

#[tokio::test]
async fn as_many_headers_as_the_agent_forwards_are_taken() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    let names: Vec<String> = (0..1000).map(|index| format!("X-{index}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    assert_eq!(connection.call(&many, b"many").await.text(), "many");
    let large = "v".repeat(900_000);
    assert_eq!(connection.call(&[("X", &large)], b"large").await.text(), "large");
}
