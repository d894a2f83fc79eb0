//! What a function says of its calls: the id in every event, a warning while a handler still blocks.

use serde_json::{Value, json};
use std::time::Duration;
use workspace_tests::function;
use workspace_tests::http1::deadline;

#[tokio::test]
async fn a_handlers_own_event_carries_the_call_id_whatever_the_filter() {
    for filter in ["info", "probe=debug"] {
        for format in ["json", "text"] {
            let container =
                function::start("probe", &[("FDK_LOG", filter), ("FDK_LOG_FORMAT", format)]).await;
            let asked = json!({"event": "said by the handler"}).to_string();
            function::connect(&container).await.call(&[], asked.as_bytes()).await;
            let lines = function::wait_for_line(&container, "said by the handler").await;
            let line = lines.iter().find(|line| line.contains("said by the handler")).unwrap();
            if format == "json" {
                let line: Value = serde_json::from_str(line).unwrap();
                assert_eq!(line["span"], json!({"name": "call", "id": "01CTEST"}), "{filter}");
            } else {
                assert!(line.contains("call{id=\"01CTEST\"}: probe: said by"), "{filter}: {line}");
            }
        }
    }
}

#[tokio::test]
async fn a_handler_that_blocks_on_is_named_before_it_returns() {
    let container = function::start("probe", &[("FDK_LOG_FORMAT", "json")]).await;
    let mut connection = function::connect(&container).await;
    // Far longer than this test: the container is killed at its end.
    let blocks = json!({"block_ms": 600_000}).to_string();
    let soon = deadline(Duration::from_secs(4));
    let reply = connection.call(&[("Fn-Deadline", &soon)], blocks.as_bytes()).await;
    assert_eq!(reply.status, 504);
    let lines = function::wait_for_line(&container, "still blocks after its deadline").await;
    let line = lines.iter().find(|line| line.contains("still blocks")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["level"], &line["fields"]["call_id"]), (&json!("WARN"), &json!("01CTEST")));
}

#[tokio::test]
async fn a_handler_that_waits_is_not_taken_for_one_that_blocks() {
    let container = function::start("probe", &[("FDK_LOG_FORMAT", "json")]).await;
    let mut connection = function::connect(&container).await;
    let soon = deadline(Duration::from_secs(4));
    let reply = connection.call(&[("Fn-Deadline", &soon)], b"{\"sleep_ms\":600000}").await;
    assert_eq!(reply.status, 504);
    // By now it would have been said.
    tokio::time::sleep(Duration::from_secs(1)).await;
    connection.call(&[], b"{\"event\":\"next\"}").await;
    let lines = function::wait_for_line(&container, "\"next\"").await;
    assert!(!lines.iter().any(|line| line.contains("still blocks")), "{lines:#?}");
}
