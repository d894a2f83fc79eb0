//! The commands as a person types them.

use serde_json::Value;
use std::io::Write as _;
use std::process::{Output, Stdio};
use workspace_tests::root;

/// Runs `cargo fdk …` in the workspace, through the alias, with this on stdin.
fn fdk(arguments: &[&str], stdin: &str) -> Output {
    let mut child = cargo_fdk::compile::cargo()
        .arg("fdk")
        .args(arguments)
        .current_dir(root())
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_demo_embeds_for_real() {
    let output = fdk(&["demo", "--json"], "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cosine = |a: usize, b: usize| report["similarity"][a][b].as_f64().unwrap();
    assert!((cosine(0, 0) - 1.0).abs() < 1e-5);
    assert!(
        cosine(0, 1) > cosine(0, 2) + 0.2 && cosine(2, 3) > cosine(2, 4) + 0.2,
        "{}",
        report["similarity"]
    );
    assert_eq!(report["dimensions"], 384);
    assert_eq!(report["start"]["principal"], "absent");
    for phase in ["bind", "hash", "tokenizer", "build", "warm-up"] {
        assert!(report["start"]["phases_ms"][phase].is_number(), "{phase}: {}", report["start"]);
    }
    assert!(
        report["memory"]["peak_kib"].as_u64().unwrap() / 1024 < report["memory_granted_mb"].as_u64().unwrap()
    );
}

#[test]
fn invoke_prints_the_reply_alone_on_stdout() {
    let output = fdk(&["invoke", "examples/hello", "--data", "{\"name\":\"Fn\"}"], "");
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(0), "{\"message\":\"Hello Fn\"}\n")
    );
    let output = fdk(&["invoke", "examples/hello", "--json"], "{\"name\":\"stdin\"}");
    let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&reply["status"], &reply["body"]["message"]), (&200.into(), &"Hello stdin".into()));
}

#[test]
fn a_failure_goes_to_stderr_and_the_exit_code() {
    let output = fdk(&["invoke", "examples/hello", "--data", "{}"], "");
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""));
    assert!(text(&output.stderr).contains("missing field `name`"), "{}", text(&output.stderr));
    let output = fdk(&["invoke", "examples/probe", "--data", "{\"exit\": 7}"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("error receiving function response"), "{}", text(&output.stderr));
    let output = fdk(&["invoke", "nowhere"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("nowhere/func.yaml: No such file or directory"));
    assert_eq!(fdk(&["invoke"], "").status.code(), Some(2));
    assert_eq!(fdk(&["--help"], "").status.code(), Some(0));
    // As cargo runs an installed subcommand.
    assert_eq!(fdk(&["fdk", "--version"], "").status.code(), Some(0));
}

#[test]
fn embed_answers_what_the_task_promises() {
    let ask = |body: &str| fdk(&["invoke", "examples/embed", "--data", body], "");
    let reply: Value = serde_json::from_slice(&ask("{\"inputs\": \"one text\"}").stdout).unwrap();
    assert_eq!(reply["embeddings"][0].as_array().unwrap().len(), 384);
    assert_eq!(reply["model"], "all-MiniLM-L6-v2");
    assert_eq!(reply["usage"], serde_json::json!({"tokens": 4, "truncated": []}));
    for (body, message) in [
        ("{\"inputs\": [\"a\", 3]}", "inputs[1]: invalid type: integer `3`, expected a string"),
        ("{\"inputs\": [\"a\"], \"normalise\": true}", "unknown field `normalise`"),
        ("{\"inputs\": [\"a\"]", "the body is not JSON"),
        ("", "the body is empty: this function takes JSON"),
    ] {
        let output = ask(body);
        assert_eq!(output.status.code(), Some(1), "{body}");
        assert!(text(&output.stderr).contains(message), "{body}: {}", text(&output.stderr));
    }
}
