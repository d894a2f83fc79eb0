//! A function's folder as the Fn CLI sees it: the steps of `build:`, then an engine build with that folder as context.

use crate::engine::{Container, Engine, text, told};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use workspace_tests::not_run::{absent, unasked};
use workspace_tests::root;

/// What `fn build` does in a folder (`containerEngineBuildV20180708` of its source), without it.
fn as_fn_builds(engine: &Engine, folder: &Path, tag: &str) -> String {
    let yaml = std::fs::read_to_string(folder.join("func.yaml")).unwrap();
    let steps = yaml.lines().skip_while(|line| *line != "build:").skip(1);
    for step in steps.map_while(|line| line.strip_prefix("- ")) {
        let ran = Command::new("/bin/sh").args(["-c", step]).current_dir(folder).output().unwrap();
        assert!(ran.status.success(), "{step}: {}", text(&ran.stderr));
    }
    let dockerfile = folder.join("Dockerfile").display().to_string();
    let mut more = vec!["-f", &dockerfile, "--build-arg", "HTTP_PROXY", "--build-arg", "HTTPS_PROXY"];
    more.extend(crate::auditable());
    engine.build_in(folder, tag, &more)
}

#[tokio::test]
async fn a_functions_folder_is_a_context_of_its_own() {
    let Some(engine) = crate::engine() else { return };
    // The same layers as from the root, but for the folder's name.
    let hello = as_fn_builds(engine, &root().join("examples/hello"), "fdk-test-folder-hello");
    let container = Container::start(&hello, 128, &[]);
    assert_eq!(container.call("{\"name\":\"folder\"}").await["message"], "Hello folder");
}

/// Every folder has what the Fn CLI needs.
#[test]
fn every_example_stages_itself() {
    let staged = |folder: &Path| {
        let yaml = std::fs::read_to_string(folder.join("func.yaml")).unwrap();
        yaml.contains("\nbuild:\n- ../../deploy/stage\n")
    };
    for folder in examples() {
        assert!(staged(&folder), "{} has no step that stages it", folder.display());
    }
}

/// The real CLI against a real server, where there are some: deploys the root and every example, and calls hello.
#[test]
fn fn_deploys_every_function() {
    let (Ok(cli), Ok(server)) = (std::env::var("FN"), std::env::var("FN_SERVER")) else {
        unasked("fn deploy", "set FN to the Fn CLI and FN_SERVER to the address of an Fn server");
        return;
    };
    if crate::engine().is_none() {
        absent("image", "a container engine for fn deploy", "apt-get install docker.io");
        return;
    }
    let run = |folder: &Path, arguments: &[&str]| {
        let mut command = Command::new(&cli);
        command.args(arguments).current_dir(folder);
        command.env("FN_API_URL", &server).env("FN_REGISTRY", "fdk-test");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Some commands do not read it.
        let _ = child.stdin.take().unwrap().write_all(b"{\"name\": \"fn\"}");
        let output = child.wait_with_output().unwrap();
        let said = [text(&output.stdout), text(&output.stderr)].join("\n");
        assert!(output.status.success(), "fn {} in {}: {said}", arguments.join(" "), folder.display());
        text(&output.stdout)
    };
    for folder in std::iter::once(root()).chain(examples()) {
        run(&folder, &["deploy", "--local", "--no-bump", "--create-app", "--app", "ai"]);
    }
    assert!(run(&root(), &["invoke", "ai", "hello"]).contains("Hello fn"));
    told(&["image", "inspect", "fdk-test/hello:0.0.1"]);
}

fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("examples")).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path());
    folders.filter(|folder| folder.join("func.yaml").is_file()).collect()
}
