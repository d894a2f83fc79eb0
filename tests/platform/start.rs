//! `cargo fdk start`: functions behind HTTP, as callers of the Fn server see them.

use crate::served::{descendants, directories, outside, runs, until};
use crate::turn::Turn;
use cargo_fdk::images::{Image, Images};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use ureq::Agent;
use workspace_tests::command_line::fdk;
use workspace_tests::root;

/// A running platform, on a port of its own.
pub(crate) struct Platform {
    child: Child,
    pub(crate) url: String,
    _turn: Turn,
}

impl Platform {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::serving(&mut Self::command(arguments))
    }

    fn command(arguments: &[&str]) -> Command {
        let mut command = fdk();
        command.args(["start", "--port", "0"]).args(arguments);
        command
    }

    fn serving(command: &mut Command) -> Self {
        let turn = Turn::beside_others();
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some((base, _)) = line.split_once("/invoke/") {
                base.clone_into(&mut url);
            }
            if line.starts_with("serving") {
                return Self { child, url, _turn: turn };
            }
        }
        panic!("the platform ended: {:?}", child.wait());
    }

    fn post(&self, path: &str, body: &str) -> (u16, String, Vec<(String, String)>) {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_mins(1)))
            .build()
            .into();
        let response = agent.post(format!("{}{path}", self.url)).header("x-mine", "v").send(body).unwrap();
        let header = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        let headers = response.headers().iter().map(header).collect();
        (response.status().as_u16(), response.into_body().read_to_string().unwrap(), headers)
    }

    fn json(&self, path: &str, body: &Value) -> Value {
        let (_, text, _) = self.post(path, &body.to_string());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Stops it as a terminal does, and says whether any function is left.
    pub(crate) fn stop(mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        let started = descendants(&self.child.id().to_string());
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.child.wait().unwrap();
        for _ in 0..500 {
            if !started.iter().any(|process| runs(process)) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

#[test]
fn functions_answer_at_the_servers_paths() {
    let platform = Platform::start(&["examples/probe", "examples/hello", "--app", "shop"]);
    assert_eq!(platform.json("/invoke/hello", &json!({"name": "HTTP"}))["message"], "Hello HTTP");
    // A trigger wraps the request, and the reply's status and headers are the function's.
    let shown = platform.json("/t/shop/probe?a=1&a=%20", &json!({"show": "context"}));
    assert_eq!(shown["http"]["method"], "POST");
    assert_eq!(
        (&shown["http"]["path"], &shown["http"]["query"]),
        (&json!("/t/shop/probe"), &json!([["a", "1"], ["a", " "]]))
    );
    let headers = platform.json("/t/shop/probe", &json!({"show": "headers"}));
    assert_eq!(headers["x-mine"], json!(["v"]));
    let (status, body, headers) = platform
        .post("/t/shop/probe", "{\"status\": 404, \"headers\": {\"My\": [\"a\", \"b\"]}, \"echo\": true}");
    assert_eq!(status, 404, "{body}");
    assert_eq!(headers.iter().filter(|(name, _)| name == "my").count(), 2, "{headers:?}");
    // The process outlives a panic; one that exits is followed by another.
    let calls = || platform.json("/invoke/probe", &json!({"show": "context"}))["calls"].as_u64().unwrap();
    let before = calls();
    assert_eq!(platform.post("/invoke/probe", "{\"panic\": \"ouch\"}").0, 502);
    assert_eq!(calls(), before + 2);
    assert_eq!(platform.post("/invoke/probe", "{\"exit\": 3}").0, 502);
    assert_eq!(calls(), 1);
    let (status, body, _) = platform.post("/t/shop/none", "");
    assert!(status == 404 && body.contains("Trigger not found"), "{body}");
    let (status, body, _) = platform.post("/invoke/probe", &"x".repeat(6 * 1024 * 1024 + 1));
    assert!(status == 413 && body.contains("6291457 > max 6291456"), "{body}");
    assert!(!platform.stop(), "a function outlived the platform");
}

#[test]
fn each_call_is_told_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let mut command = Platform::command(&["examples/probe"]);
    command.stderr(std::fs::File::create(&told).unwrap());
    let platform = Platform::serving(&mut command);
    for body in ["{}", "{}", "{\"exit\": 3}"] {
        platform.post("/invoke/probe", body);
    }
    // An id, and the function's name.
    let is_call = |line: &&str| {
        let id = line.split_once(" probe ").map_or("", |(id, _)| id);
        id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let mut text = String::new();
    until("three calls are told", || {
        text = std::fs::read_to_string(&told).unwrap();
        text.ends_with('\n') && text.lines().filter(is_call).count() == 3
    });
    let expected = [("200", "cold"), ("200", "warm"), ("502", "warm")];
    for (line, (status, temperature)) in text.lines().filter(is_call).zip(expected) {
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(
            (words[2], words[4], words[5].trim_end_matches(':')),
            (status, "ms", temperature),
            "{line}"
        );
        assert!(words[3].parse::<f64>().unwrap() > 0.0, "{line}");
        assert_eq!(line.ends_with(" MB"), status == "200", "{line}");
        assert_eq!(line.contains(": 502 error receiving function response"), status == "502", "{line}");
    }
    assert!(!platform.stop());
}

#[test]
fn a_changed_source_is_built_and_the_next_call_meets_it() {
    let above = tempfile::tempdir().unwrap();
    let project = above.path().join("watched");
    let made = fdk().arg("new").arg(&project).status();
    assert!(made.unwrap().success());
    let mut command = fdk();
    command.args(["start", "--port", "0", "--watch"]).arg(&project);
    command.env("CARGO_TARGET_DIR", root().join("target")).env("CARGO_NET_OFFLINE", "true");
    let platform = Platform::serving(&mut command);
    let said = || platform.json("/invoke/watched", &json!({"name": "one"}))["message"].clone();
    assert_eq!(said(), "Hello one");
    let main = project.join("src/main.rs");
    let source = std::fs::read_to_string(&main).unwrap();
    std::fs::write(&main, source.replace("\"Hello {}\"", "\"Goodbye {}\"")).unwrap();
    let began = Instant::now();
    while said() != "Goodbye one" {
        assert!(began.elapsed() < Duration::from_mins(5), "the change was not built");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(!platform.stop());
}

#[test]
fn what_a_killed_platform_leaves_is_gone_at_the_next_start() {
    let mut platform = Platform::start(&["examples/hello"]);
    assert_eq!(platform.json("/invoke/hello", &json!({"name": "one"}))["message"], "Hello one");
    let id = platform.child.id().to_string();
    let started = descendants(&id);
    let directories = directories(&id);
    // One for the state, which is not to be kept, and one for the function.
    assert_eq!(directories.len(), 2, "{directories:?}");
    platform.child.kill().unwrap();
    platform.child.wait().unwrap();
    assert!(!started.is_empty());
    until("the function died with it", || !started.iter().any(|process| runs(process)));
    let next = Platform::start(&["examples/hello"]);
    for directory in directories {
        assert!(!directory.exists(), "{}", directory.display());
    }
    assert!(!next.stop());
}

#[test]
fn what_a_function_left_running_ends_at_the_next_start() {
    let state = tempfile::tempdir().unwrap();
    let image = Image {
        name: "misbehave:1".into(),
        source: state.path().into(),
        executable: PathBuf::from(env!("CARGO_BIN_EXE_misbehave")),
        config: vec![],
        visible: vec![],
    };
    Images::at(state.path().join("images")).keep(&image).unwrap();
    let folder = state.path().display().to_string();
    let mut platform = Platform::start(&["examples/hello", "--state", &folder]);
    let app = platform.json("/v2/apps", &json!({"name": "more"}));
    let wanted = json!({"name": "f", "app_id": app["id"], "image": "misbehave:1"});
    let func = platform.json("/v2/fns", &wanted);
    let (_, child, _) = platform.post(&format!("/invoke/{}", func["id"].as_str().unwrap()), "fork");
    let child = outside(&child).unwrap_or_else(|| panic!("no process: {child}"));
    platform.child.kill().unwrap();
    platform.child.wait().unwrap();
    let next = Platform::start(&["examples/hello"]);
    until("it is gone", || !runs(&child));
    assert!(!next.stop());
}

#[test]
fn what_cannot_be_started_is_said() {
    let start = |arguments: &[&str]| {
        let output = fdk().arg("start").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, told) = start(&["tests"]);
    assert!(code == Some(2) && told.contains("tests: no func.yaml here or in a folder beneath"), "{told}");
    // The root's own func.yaml is for its image.
    for root in [&["--port", "0"][..], &[".", "--port", "0"]] {
        let (code, told) = start(root);
        let line = told.lines().find(|line| line.starts_with("error: ./Cargo.toml has no [package]"));
        assert_eq!(code, Some(2), "{told}");
        assert!(line.is_some_and(|line| line.contains(": name one of examples/classify, ")), "{told}");
    }
    let (code, told) = start(&["examples/hello", "examples/hello", "--port", "0"]);
    assert!(code == Some(2) && (told.contains("two triggers") || told.contains("two functions")), "{told}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, told) = start(&["examples/hello", "--port", &port]);
    assert!(code == Some(1) && told.contains(&format!("port {port} cannot be had")), "{told}");
}
