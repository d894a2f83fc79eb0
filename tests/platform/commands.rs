//! The commands as a person types them.

use crate::served::{runs, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};
use workspace_tests::command_line;
use workspace_tests::not_run::{is_nightly, unasked};

/// Runs `cargo fdk …` in the workspace, with this on stdin.
fn fdk(arguments: &[&str], stdin: &str) -> Output {
    let mut child = command_line::fdk()
        .args(arguments)
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
    assert_eq!(report["start"]["model_verified"], "at build");
    for phase in ["bind", "check", "tokenizer", "build", "warm-up"] {
        assert!(report["start"]["phases_ms"][phase].is_number(), "{phase}: {}", report["start"]);
    }
    assert!(
        report["memory"]["peak_kib"].as_u64().unwrap() / 1024 < report["memory_granted_mb"].as_u64().unwrap()
    );
}

#[test]
fn the_demo_shows_a_principal_of_its_own() {
    let output = fdk(&["demo", "--principal"], "");
    let told = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for part in
        ["verified ocid1.fnfunc.local..", "tenancy ocid1.tenancy.local..", "region local-laptop-1", " s left"]
    {
        assert!(told.contains(part), "{told}");
    }
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

/// A package whose build script tells its process, and does not end.
fn endless(folder: &Path, name: &str, more: &str) {
    std::fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n{more}\n");
    for (file, content) in [
        ("Cargo.toml", &*manifest),
        ("src/main.rs", "fn main() {}\n"),
        (
            "build.rs",
            "fn main() {
                std::fs::write(std::env::var(\"STARTED\").unwrap(), std::process::id().to_string()).unwrap();
                std::thread::sleep(std::time::Duration::from_secs(1000));
            }\n",
        ),
    ] {
        std::fs::write(folder.join(file), content).unwrap();
    }
}

#[test]
fn a_signal_during_a_build_ends_all_that_the_build_has_started() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    // The demo's function has a model, for which the tool of this workspace is built first.
    std::fs::write(root.join("Cargo.toml"), "[workspace]\nmembers = [\"fdk/models\"]\nresolver = \"3\"\n")
        .unwrap();
    endless(&root.join("fdk/models"), "fdk-models", "[features]\ntool = []");
    for (name, config) in [("plain", ""), ("embed", "config:\n  FDK_MODEL: m\n")] {
        let function = root.join("examples").join(name);
        endless(&function, name, "[workspace]");
        std::fs::write(function.join("func.yaml"), format!("name: {name}\n{config}")).unwrap();
    }
    for (file, content) in [("models.toml", ""), ("m/config.json", "{}")] {
        let path = root.join("model-assets").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let (started, temporary) = (root.join("started"), root.join("temporary"));
    std::fs::create_dir(&temporary).unwrap();
    for (arguments, signal, code) in [
        (&["invoke", "examples/plain"][..], Signal::TERM, 143),
        (&["invoke", "examples/plain"], Signal::INT, 130),
        (&["demo"], Signal::TERM, 143),
        (&["assets", "prepare", "m"], Signal::TERM, 143),
    ] {
        let _ = std::fs::remove_file(&started);
        let mut child = command_line::fdk()
            .args(arguments)
            .current_dir(root)
            .env("STARTED", &started)
            .env("TMPDIR", &temporary)
            .env_remove("CARGO_TARGET_DIR")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut script = String::new();
        until("the build script runs", || {
            script = std::fs::read_to_string(&started).unwrap_or_default();
            !script.is_empty()
        });
        let id = child.id();
        let cargo = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let cargo = cargo.trim();
        assert!(runs(cargo) && runs(&script), "{arguments:?}: {cargo:?} {script:?}");
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{arguments:?}");
        until("cargo and the build script are gone", || !runs(cargo) && !runs(&script));
        assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "{arguments:?} left something");
    }
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

#[test]
fn a_head_is_fitted_on_examples_and_then_served() {
    use fdk_inference::{Assets, Classifier, ClassifyRequest, Interrupt};
    let models = fdk_models::obtain("minilm").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let manifest = std::fs::read_to_string(models.join("models.toml")).unwrap();
    let entry = &manifest[manifest.find("[minilm]").unwrap()..];
    let entry = entry.split_inclusive("\n]\n").take(2).collect::<String>();
    std::fs::write(folder.path().join("models.toml"), &entry).unwrap();
    std::os::unix::fs::symlink(models.join("minilm"), folder.path().join("minilm")).unwrap();
    let directory = folder.path().to_str().unwrap();
    let output =
        fdk(&["assets", "fit-head", "minilm", "tests/inference/labelled.jsonl", "--dir", directory], "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    // Six of each of six labels, of which one each is held out.
    assert!(told.starts_with("held out: 6 of 6 right (100 %)"), "{told}");
    assert!(told.contains("\nweather     ·    ·    ·    ·    ·    1\n"), "{told}");
    let line = told.lines().find(|line| line.starts_with("head = ")).unwrap();

    let classifier = || Classifier::open(Assets::open(folder.path(), Some("minilm")).unwrap());
    let request = ClassifyRequest::new(["The defender was sent off.", "Simmer the sauce until it thickens."]);
    // Until the manifest names it there is no head.
    assert_eq!(
        classifier().unwrap().classify(&request, &Interrupt::never()).unwrap_err().path(),
        Some("labels")
    );
    std::fs::write(
        folder.path().join("models.toml"),
        entry.replacen("license", &format!("{line}\nlicense"), 1),
    )
    .unwrap();
    let reply = classifier().unwrap().classify(&request, &Interrupt::never()).unwrap();
    let likeliest = reply.predictions.iter().map(|labels| &*labels[0].label).collect::<Vec<_>>();
    assert_eq!((likeliest, reply.predictions[0].len()), (vec!["sports", "cooking"], 6));
    let own = request.labels(["a"]);
    assert_eq!(
        classifier().unwrap().classify(&own, &Interrupt::never()).unwrap_err().to_string(),
        "the model has labels of its own: cooking, finance, medicine, software, sports, weather"
    );
    let head = folder.path().join("minilm.head.safetensors");
    let mut bytes = std::fs::read(&head).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&head, bytes).unwrap();
    let refused = classifier().unwrap_err().to_string();
    assert!(refused.contains("minilm.head.safetensors has sha256 "), "{refused}");
    assert!(refused.ends_with("; `cargo fdk assets fit-head minilm` makes it anew"), "{refused}");

    let data = folder.path().join("data.jsonl");
    let refusal = |lines: &str| {
        std::fs::write(&data, lines).unwrap();
        let data = data.to_str().unwrap();
        let output = fdk(&["assets", "fit-head", "minilm", data, "--dir", directory], "");
        (output.status.code(), text(&output.stderr).replace(data, "DATA"))
    };
    let (code, told) = refusal("{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": 3}\n");
    assert!(code == Some(2) && told.contains("error: DATA:2: invalid type: integer `3`"), "{told}");
    let (code, told) = refusal("{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"y\"}\n");
    assert!(code == Some(2) && told.contains("label 'x' has one example: give at least two"), "{told}");
}

#[test]
fn an_installed_one_builds_the_model_tool_from_what_it_carries() {
    let test = "an_installed_one_builds_the_model_tool_from_what_it_carries";
    if !is_nightly() {
        unasked(test, "FDK_NIGHTLY=1 runs it, as .ci/nightly does: it compiles candle");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let models = fdk_models::obtain("minilm").unwrap();
    let assets = folder.path().join("model-assets");
    std::fs::create_dir(&assets).unwrap();
    std::fs::copy(models.join("models.toml"), assets.join("models.toml")).unwrap();
    let copied = std::process::Command::new("cp").arg("-r").arg(models.join("minilm")).arg(&assets).status();
    assert!(copied.unwrap().success());
    // As `cargo install` puts it, outside of any workspace.
    let program = folder.path().join("cargo-fdk");
    std::fs::copy(command_line::program(), &program).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&program);
        command.args(arguments).current_dir(folder.path()).env_remove("CARGO_TARGET_DIR");
        command.env("XDG_CACHE_HOME", folder.path().join("cache"));
        let output = command.output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        said
    };
    let said = run(&["assets", "prepare", "minilm"]);
    assert!(
        said.contains("the model tool is built once, in ") && said.contains("Compiling fdk-models"),
        "{said}"
    );
    assert!(assets.join("minilm/model.prepared").is_file(), "{said}");
    let again = run(&["assets", "prepare", "minilm"]);
    assert!(!again.contains("Compiling"), "{again}");
}
