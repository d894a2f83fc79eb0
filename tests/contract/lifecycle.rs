//! Signals, freezing, log frames, configuration, and thousands of calls.

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use std::time::Duration;
use workspace_tests::function;
use workspace_tests::http1::request;
use workspace_tests::not_run::rounds;

#[tokio::test]
async fn a_stop_signal_lets_the_call_in_flight_end_and_removes_the_socket() {
    let mut idle = function::start("probe", &[]).await;
    assert_eq!(idle.terminate().await.unwrap(), Some(0));
    assert_eq!(std::fs::read_dir(idle.directory()).unwrap().count(), 0);

    let mut busy = function::start("probe", &[]).await;
    let mut connection = function::connect(&busy).await;
    connection.send(&request(&[], b"{\"log\":\"begun\",\"sleep_ms\":500}")).await;
    function::wait_for_line(&busy, "begun").await;
    let (code, reply) = tokio::join!(busy.terminate(), connection.response());
    assert_eq!((code.unwrap(), reply.unwrap().status), (Some(0), 200));
}

#[tokio::test]
async fn an_interrupt_is_a_stop_signal_as_well() {
    let mut container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    connection.send(&request(&[], b"{\"log\":\"begun\",\"sleep_ms\":1000}")).await;
    function::wait_for_line(&container, "begun").await;
    let group = Pid::from_raw(container.pid().unwrap().cast_signed()).unwrap();
    kill_process_group(group, Signal::INT).unwrap();
    let (code, reply) = tokio::join!(container.ended(), connection.response());
    assert_eq!((code.unwrap(), reply.unwrap().status), (Some(0), 200));
    assert_eq!(std::fs::read_dir(container.directory()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_request_that_never_comes_whole_holds_up_no_stop() {
    for half in
        [&b"POST /call HTTP/1.1\r\nHo"[..], b"POST /call HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"]
    {
        let mut container = function::start("probe", &[]).await;
        let mut connection = function::connect(&container).await;
        connection.send(half).await;
        assert_eq!(function::connect(&container).await.call(&[], b"x").await.status, 200);
        assert_eq!(container.terminate().await.unwrap(), Some(0));
        let failing = [("PROBE_INIT_SLEEP_MS", "2000"), ("PROBE_INIT_FAIL", "no weights")];
        let mut container = function::start("probe", &failing).await;
        let mut connection = function::connect(&container).await;
        connection.send(half).await;
        assert_eq!(container.ended().await.unwrap(), Some(5));
    }
}

#[tokio::test]
async fn a_frozen_function_goes_on_where_it_was() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    assert_eq!(connection.call(&[], b"before").await.status, 200);
    let group = Pid::from_raw(container.pid().unwrap().cast_signed()).unwrap();
    kill_process_group(group, Signal::STOP).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The agent may write before it has thawed the container.
    connection.send(&request(&[], b"after")).await;
    kill_process_group(group, Signal::CONT).unwrap();
    assert_eq!(connection.response().await.unwrap().text(), "after");
    assert_eq!(function::connect(&container).await.call(&[], b"new").await.text(), "new");
}

#[tokio::test]
async fn the_log_frame_comes_before_what_the_handler_prints() {
    let frame = [("FN_LOGFRAME_NAME", "foo"), ("FN_LOGFRAME_HDR", "Fn-Call-Id"), ("FDK_LOG", "off")];
    let container = function::start("probe", &frame).await;
    function::connect(&container).await.call(&[], b"{\"log\":\"printed\"}").await;
    // Two streams, each with an empty line, the frame and the line.
    for _ in 0..1000 {
        if container.logs().lines().len() >= 6 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let lines = container.logs().lines();
    // Each stream has an empty line, the frame, and then what was printed.
    assert_eq!(lines.iter().filter(|line| line.is_empty()).count(), 2, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| *line == "foo=01CTEST").count(), 2, "{lines:?}");
    assert_eq!(lines.len(), 6, "{lines:?}");
    // Without a name there is no frame: what the second call prints is all that there is, on both streams.
    let one = function::start("probe", &frame[1..]).await;
    function::connect(&one).await.call(&[], b"{}").await;
    function::connect(&one).await.call(&[], b"{\"log\":\"printed\"}").await;
    for _ in 0..1000 {
        if one.logs().lines().len() >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(one.logs().lines().iter().all(|line| line.contains("printed")), "{:?}", one.logs().lines());
    assert_eq!(one.logs().lines().len(), 2);
}

#[tokio::test]
async fn configuration_and_trace_are_the_platforms() {
    let names =
        [("FN_APP_NAME", "MyApp"), ("FN_FN_NAME", "MyFn"), ("OCI_TRACING_ENABLED", "1"), ("MY_KEY", "v")];
    let container = function::start("probe", &names).await;
    let mut connection = function::connect(&container).await;
    let b3 = [("X-B3-TraceId", "t"), ("X-B3-SpanId", "s"), ("X-B3-ParentSpanId", "p"), ("X-B3-Sampled", "0")];
    let context = connection.call(&b3, b"{\"show\":\"context\"}").await.json();
    assert_eq!(context["trace"]["service_name"], "myapp::myfn");
    assert_eq!(context["trace"]["trace_id"], "t");
    assert_eq!((&context["trace"]["enabled"], &context["trace"]["sampled"]), (&json!(true), &json!(false)));
    assert_eq!(context["memory"], 128 * 1024 * 1024);
    let env = connection.call(&[], b"{\"show\":\"env\"}").await.json();
    assert_eq!(env["MY_KEY"], "v");
    let threads = connection.call(&[], b"{\"show\":\"threads\"}").await.json()["threads"].as_u64().unwrap();
    assert!(threads <= 16, "{threads}");
}

#[tokio::test]
async fn thousands_of_calls_leave_nothing_behind() {
    let container = function::start("probe", &[("FDK_LOG", "off")]).await;
    let files = || std::fs::read_dir(format!("/proc/{}/fd", container.pid().unwrap())).unwrap().count();
    let mut kept = function::connect(&container).await;
    // As many calls before the first look as after it: what a process takes once, it has then, on a busy machine as well.
    let mut looks = Vec::new();
    for _ in 0..2 {
        for call in 0..rounds(10_000) {
            let reply = match call % 4 {
                0 => function::connect(&container).await.call(&[], b"new").await,
                _ => kept.call(&[], b"kept").await,
            };
            assert_eq!(reply.status, 200);
        }
        looks.push((files(), container.memory().unwrap().private_kib));
    }
    let (files_before, before) = looks[0];
    // The last connections that were closed here may not have been reaped there.
    for _ in 0..1000 {
        if files() <= files_before + 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(files() <= files_before + 1, "{} descriptors, {files_before} before", files());
    let after = container.memory().unwrap().private_kib;
    assert!(after <= before + 1024, "{after} KiB, {before} before");
}
