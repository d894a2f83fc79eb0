//! Tasks that a handler spawns, and its own turns.

use crate::witness;
use serde_json::{Value, json};
use workspace_tests::function;

/// The numbers of tasks that a function warns of when it has left some behind.
async fn told(leave: Value) -> Vec<u64> {
    let container = witness::start(&[("FDK_LOG_FORMAT", "json")]).await;
    let mut connection = function::connect(&container).await;
    let reply = connection.call(&[], json!({"leave": leave}).to_string().as_bytes()).await;
    assert_eq!((reply.status, reply.json()), (200, json!(7)));
    // A warning comes after the reply, and before the next call's line. That call has one of its own, since the tasks go on.
    assert_eq!(connection.call(&[("Fn-Call-Id", "01CNEXT")], b"nonsense").await.status, 502);
    let lines = function::wait_for_line(&container, "the body is not JSON").await;
    let of_the_first = lines.iter().take_while(|line| !line.contains("the body is not JSON"));
    let warning = |line: &String| {
        let line: Value = serde_json::from_str(line).ok()?;
        let fields = &line["fields"];
        let warns = fields["message"].as_str()?.starts_with("spawned tasks outlive the reply");
        fields["tasks"].as_u64().filter(|_| warns && fields["call_id"] == "01CTEST")
    };
    of_the_first.filter_map(warning).collect()
}

#[tokio::test]
async fn one_warning_counts_the_tasks_that_outlive_a_reply() {
    assert_eq!(told(json!({"local": 3, "others": 0, "aborted": 0})).await, [3]);
    assert_eq!(told(json!({"local": 1, "others": 2, "aborted": 2})).await, [3]);
    assert_eq!(told(json!({"local": 0, "others": 0, "aborted": 2})).await, [] as [u64; 0]);
}

#[tokio::test]
async fn a_handler_that_gives_its_turn_away_gets_it_back() {
    let container = witness::start(&[]).await;
    let mut connection = function::connect(&container).await;
    for _ in 0..3 {
        let reply = connection.call(&[], b"\"yield\"").await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "null"));
    }
}
