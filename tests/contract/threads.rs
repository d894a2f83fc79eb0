//! The threads of a function, and what it is told of their number.

use crate::witness;
use serde_json::json;
use workspace_tests::function;

/// The value of a variable in a running function, and the lines that warn of threads.
async fn variable(config: &[(&str, &str)], name: &str) -> (serde_json::Value, Vec<String>) {
    let container = witness::start(config).await;
    let ask = json!({"variable": name}).to_string();
    let value = function::connect(&container).await.call(&[], ask.as_bytes()).await.json();
    let warns = |line: &String| line.contains("the process has other threads already");
    (value, function::wait_for_line(&container, "01CTEST").await.into_iter().filter(warns).collect())
}

#[tokio::test]
async fn the_environment_is_changed_only_where_no_other_thread_can_read_it() {
    let three = ("FDK_THREADS", "3");
    let (value, warnings) = variable(&[three], "RAYON_NUM_THREADS").await;
    assert_eq!((value, warnings.len()), (json!("3"), 0), "{warnings:?}");

    let early = ("EARLY_THREAD", "1");
    let (value, warnings) = variable(&[three, early], "RAYON_NUM_THREADS").await;
    assert_eq!((value, warnings.len()), (json!(null), 1), "{warnings:?}");
    for told in [
        "RAYON_NUM_THREADS and CANDLE_NUM_THREADS stay unset: ",
        "more than 3 threads. Call `run` before any thread starts, or set them in func.yaml",
    ] {
        assert!(warnings[0].contains(told), "{}", warnings[0]);
    }

    let set = [three, early, ("RAYON_NUM_THREADS", "2"), ("CANDLE_NUM_THREADS", "2")];
    let (value, warnings) = variable(&set, "RAYON_NUM_THREADS").await;
    assert_eq!((value, warnings.len()), (json!("2"), 0), "{warnings:?}");
}

#[tokio::test]
async fn blocking_work_leaves_room_for_the_threads_of_inference() {
    let container = witness::start(&[]).await;
    let mut connection = function::connect(&container).await;
    let most = connection.call(&[], b"{\"block\":200}").await.json().as_u64().unwrap();
    // Its own two, and what blocks.
    assert!((3..=2 + 16).contains(&most), "{most}");
}
