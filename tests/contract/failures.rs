//! Failures of every kind: the status on the wire, and a process that lives on.

use cargo_fdk::agent::{Container, Spec};
use serde_json::json;
use std::time::{Duration, Instant};
use workspace_tests::function;
use workspace_tests::http1::{deadline, request};

#[tokio::test]
async fn the_wire_knows_three_statuses_and_the_state_survives_them_all() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    let cases = [
        (json!({"panic": "ouch"}), 502),
        (json!({"error": "boom"}), 502),
        (json!({"no_such_knob": 1}), 502),
        (json!({"status": 404}), 200),
        (json!({"status": 500}), 200),
        (json!({"status": 302, "headers": {"Location": ["/x"]}}), 200),
        (json!({"status": 99}), 502),
        (json!({"status": 600}), 502),
        (json!({"headers": {"X": ["a\nb"]}}), 502),
        (json!({"headers": {"a b": ["c"]}}), 502),
        (json!({"headers": {"Connection": ["close"], "Fn-Call-Id": ["x"], "Content-Length": ["7"]}}), 200),
    ];
    let count = cases.len();
    for (knobs, status) in cases {
        let reply = connection.call(&[], knobs.to_string().as_bytes()).await;
        assert_eq!(reply.status, status, "{knobs}: {}", reply.text());
        assert!(reply.header("fn-fdk-version").is_some(), "{knobs}");
        assert_eq!(reply.header("connection"), None, "{knobs}");
        if status == 502 {
            assert_eq!(reply.header("content-type"), Some("application/json"), "{knobs}");
            assert!(reply.json()["message"].is_string(), "{knobs}");
        } else if let Some(inner) = knobs["status"].as_u64() {
            assert_eq!(reply.header("fn-http-status"), Some(inner.to_string().as_str()));
        }
    }
    let context = connection.call(&[], b"{\"show\":\"context\"}").await.json();
    assert_eq!(context["calls"], count + 1, "another process answers");
}

#[tokio::test]
async fn every_failure_is_a_line_with_the_call_id() {
    let container = function::start("probe", &[("FDK_LOG_FORMAT", "json")]).await;
    let mut connection = function::connect(&container).await;
    connection.call(&[], b"{\"panic\":\"ouch\"}").await;
    connection.call(&[], b"{\"error\":\"boom\"}").await;
    connection.call(&[], b"{\"show\":\"nothing\"}").await;
    let lines = function::wait_for_line(&container, "is none of env").await;
    let lines: Vec<serde_json::Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let calls: Vec<_> = lines.iter().filter(|line| line["target"] == "fdk::call").collect();
    let told = |index: usize| {
        let fields = &calls[index]["fields"];
        assert_eq!(fields["call_id"], "01CTEST");
        assert!(fields["ms"].is_number() && fields["in"].is_number());
        (fields["outcome"].as_str().unwrap(), fields["message"].as_str().unwrap())
    };
    assert_eq!(told(0), ("failed", "the handler panicked: ouch"));
    assert_eq!(told(1), ("failed", "boom"));
    assert_eq!(
        told(2),
        ("caller_fault", "show: 'nothing' is none of env, headers, context, threads, principal")
    );
    assert_eq!(calls[2]["fields"]["path"], "show");
    assert_eq!(calls.len(), 3);
    let panic = lines.iter().find(|line| line["target"] == "fdk::panic").unwrap();
    assert!(panic["fields"]["location"].as_str().unwrap().contains("main.rs:"));
    assert_eq!(panic["span"]["id"], "01CTEST");
}

#[tokio::test]
async fn the_deadline_is_answered_504_and_the_state_stays() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    for (knob, ms) in [("sleep_ms", 20_000), ("block_ms", 8_000)] {
        let began = Instant::now();
        // Long enough for the handler to have begun, on a machine with much else to do.
        let soon = deadline(Duration::from_secs(4));
        let reply =
            connection.call(&[("Fn-Deadline", &soon)], json!({knob: ms}).to_string().as_bytes()).await;
        assert_eq!(reply.status, 504, "{knob}");
        assert!(began.elapsed() < Duration::from_millis(ms), "{knob}: {:?}", began.elapsed());
        // While a blocked one still blocks, the next call waits for it.
        let context = connection.call(&[], b"{\"show\":\"context\"}").await.json();
        assert!(context["calls"].as_u64().unwrap() >= 2, "{knob}");
    }
    let past = deadline(Duration::ZERO);
    let before = connection.call(&[], b"{\"show\":\"context\"}").await.json()["calls"].as_u64().unwrap();
    assert_eq!(connection.call(&[("Fn-Deadline", &past)], b"{}").await.status, 504);
    let after = connection.call(&[], b"{\"show\":\"context\"}").await.json()["calls"].as_u64().unwrap();
    assert_eq!(after, before + 1, "a call that came too late was run");
    function::wait_for_line(&container, "worked on after its deadline").await;
}

#[tokio::test]
async fn calls_behind_one_that_blocks_keep_their_own_deadlines_and_cost_no_thread() {
    let container = function::start("probe", &[]).await;
    let threads = || std::fs::read_dir(format!("/proc/{}/task", container.pid().unwrap())).unwrap().count();
    assert_eq!(function::connect(&container).await.call(&[], b"warm").await.text(), "warm");
    let before = threads();
    let mut blocked = function::connect(&container).await;
    // Far longer than this test: the container is killed at its end.
    let blocks = json!({"log": "begun", "block_ms": 600_000}).to_string();
    let soon = deadline(Duration::from_secs(4));
    blocked.send(&request(&[("Fn-Deadline", &soon)], blocks.as_bytes())).await;
    function::wait_for_line(&container, "begun").await;
    for call in 0..3 {
        let began = Instant::now();
        let soon = deadline(Duration::from_secs(2));
        let mut connection = function::connect(&container).await;
        let reply = connection.call(&[("Fn-Deadline", &soon)], b"{\"log\":\"has run\"}").await;
        assert_eq!(reply.status, 504, "call {call}");
        assert!(began.elapsed() < Duration::from_secs(10), "call {call}: {:?}", began.elapsed());
    }
    assert_eq!(blocked.response().await.unwrap().status, 504);
    assert_eq!(threads(), before, "more than the blocked handler's thread is left behind");
    assert!(!container.logs().lines().iter().any(|line| line == "has run"));
}

#[tokio::test]
async fn a_caller_that_leaves_stops_the_work() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    connection.send(&request(&[], b"{\"log\":\"begun\",\"sleep_ms\":60000}")).await;
    function::wait_for_line(&container, "begun").await;
    drop(connection);
    let reply = function::connect(&container).await.call(&[], b"next").await;
    assert_eq!(reply.text(), "next");
    function::wait_for_line(&container, "the caller left before the reply").await;
}

#[tokio::test]
async fn a_caller_that_leaves_stops_the_model() {
    let assets = fdk_models::obtain("smollm2").unwrap();
    let mut spec = Spec::new("talker", env!("CARGO_BIN_EXE_talker").into());
    spec.config = vec![("FDK_ASSETS_DIR".into(), assets.display().to_string())];
    spec.visible = vec![assets];
    spec.memory = 512;
    let container = Container::start(&spec).await.unwrap();
    let counted = |most: usize| json!({"prompt": "1, 2, 3, 4, 5, 6, 7,", "max_tokens": most}).to_string();
    // Waits for the model to be loaded.
    let mut connection = function::connect(&container).await;
    assert_eq!(connection.call(&[], counted(3).as_bytes()).await.status, 200);
    // Its deadline is not what ends it.
    let far = deadline(Duration::from_mins(10));
    connection.send(&request(&[("Fn-Deadline", &far)], counted(2000).as_bytes())).await;
    function::wait_for_line(&container, "begun 2000").await;
    drop(connection);
    let reply = function::connect(&container).await.call(&[], counted(4).as_bytes()).await;
    assert_eq!((reply.status, &reply.json()["usage"]["completion_tokens"]), (200, &json!(4)));
    function::wait_for_line(&container, "the caller left before the reply").await;
    let lines = function::wait_for_line(&container, "ended 4: ").await;
    let ended = lines.iter().find_map(|line| line.strip_prefix("ended 2000: Deadline after "));
    let made: usize = ended.unwrap_or_else(|| panic!("it went on: {lines:#?}")).parse().unwrap();
    assert!(made < 2000, "{made}");
}

#[tokio::test]
async fn a_failing_loader_answers_who_waits_and_ends() {
    let mut container =
        function::start("probe", &[("PROBE_INIT_SLEEP_MS", "2000"), ("PROBE_INIT_FAIL", "no weights")]).await;
    let mut connection = function::connect(&container).await;
    let reply = connection.call(&[], b"{}").await;
    assert_eq!(reply.status, 502);
    assert!(reply.json()["message"].as_str().unwrap().contains("no weights"));
    let answered = Instant::now();
    assert_eq!(container.ended().await.unwrap(), Some(5));
    assert!(answered.elapsed() < Duration::from_secs(2), "{:?}", answered.elapsed());
    let lines = function::wait_for_line(&container, "fdk::start").await;
    let told = lines.iter().filter(|line| line.contains("fdk::start") && line.contains("no weights")).count();
    assert_eq!(told, 1, "{lines:#?}");
    assert!(
        std::fs::symlink_metadata(container.directory().join("lsnr.sock")).is_err(),
        "the socket is still there"
    );
}
