//! What a function says of its calls: the id in every event, a warning while a handler still blocks.

use serde_json::json;
use workspace_tests::function;

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
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(line["span"], json!({"name": "call", "id": "01CTEST"}), "{filter}");
            } else {
                assert!(line.contains("call{id=\"01CTEST\"}: probe: said by"), "{filter}: {line}");
            }
        }
    }
}
