//! `cargo fdk new`: what it makes builds, passes its own test and answers, wherever it stands.

use cargo_fdk::compile::{cargo, profile};
use std::process::Command;
use workspace_tests::command_line::fdk;
use workspace_tests::root;

/// What a command prints; it must succeed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

#[test]
fn a_new_project_builds_passes_its_test_and_answers() {
    let above = tempfile::tempdir().unwrap();
    let project = above.path().join("shop");
    let made = run(fdk().arg("new").arg(&project));
    assert!(made.contains("cargo test, cargo fdk start, fn deploy"), "{made}");
    // What it needs is what functions of this workspace do, and is built.
    let target = root().join("target");
    let tested = run(cargo()
        .args(["test", "--offline", "--profile", profile()])
        .current_dir(&project)
        .env("CARGO_TARGET_DIR", &target));
    assert!(tested.contains("test tests::greets ... ok"), "{tested}");
    let lint = ["clippy", "--offline", "--profile", profile(), "--all-targets", "--", "-D", "warnings"];
    run(cargo().args(lint).current_dir(&project).env("CARGO_TARGET_DIR", &target));
    run(cargo().args(["fmt", "--check"]).current_dir(&project));
    let mut invoke = fdk();
    invoke.args(["invoke", ".", "--data", "{\"name\": \"new\"}"]).current_dir(&project);
    let reply = run(invoke.env("CARGO_TARGET_DIR", &target));
    assert!(reply.contains("{\"message\":\"Hello new\"}"), "{reply}");
    let again = fdk().arg("new").arg(&project).output().unwrap();
    assert_eq!(again.status.code(), Some(1), "one that is there is left alone");
}

#[test]
fn one_that_sees_pictures_passes_its_test_on_the_real_model() {
    let above = tempfile::tempdir().unwrap();
    let project = above.path().join("eye");
    run(fdk().args(["new", "--task", "classify_image"]).arg(&project));
    fdk_models::fetch(&project.join("model-assets"), &["efficientnet-lite0".to_owned()]).unwrap();
    run(cargo().args(["fmt", "--check"]).current_dir(&project));
    let mut test = cargo();
    test.args(["test", "--offline", "--profile", profile(), "--", "--nocapture"]).current_dir(&project);
    let tested = run(test.env("CARGO_TARGET_DIR", root().join("target")));
    assert!(tested.contains("test tests::answers ... ok") && !tested.contains("NOT RUN"), "{tested}");
}
