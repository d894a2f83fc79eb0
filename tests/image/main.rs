//! `docker build`, and a container that answers over a bind-mounted socket inside the walls the agent puts up.

use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;
use workspace_tests::http1::Connection;
use workspace_tests::not_run::{absent, have};
use workspace_tests::root;

fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).current_dir(root()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// What `docker build` needs here: nothing where the Dockerfile's bases can be pulled, else bases made of this host's
/// packages. `None` when neither can be had.
fn base_arguments() -> Option<Vec<String>> {
    let from = |name: &str| {
        let file = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
        let line =
            file.lines().find_map(|line| line.strip_prefix(&format!("ARG {name}=")).map(str::to_owned));
        line.unwrap()
    };
    let there = |image: &str| {
        docker(&["image", "inspect", image]).status.success()
            || docker(&["pull", "-q", image]).status.success()
    };
    if there(&from("BUILDER")) && there(&from("RUNTIME")) {
        return Some(Vec::new());
    }
    let made = Command::new(root().join("tests/image/base-images.sh")).current_dir(root()).output().unwrap();
    if !made.status.success() {
        absent(
            "image",
            &format!("the Dockerfile's base images ({})", text(&made.stderr)),
            "docker pull from a registry",
        );
        return None;
    }
    Some(text(&made.stdout).split_whitespace().map(str::to_owned).collect())
}

/// Builds a function's image and returns its tag.
fn build(function: &str, base: &[String]) -> String {
    let tag = format!("fdk-test-{function}");
    let argument = format!("FUNCTION={function}");
    let mut arguments = vec!["build", "--build-arg", &argument, "-t", &tag];
    arguments.extend(base.iter().map(String::as_str));
    arguments.push(".");
    let output = docker(&arguments);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    tag
}

/// A running container, removed in the end.
struct Container {
    id: String,
    directory: tempfile::TempDir,
}

impl Container {
    /// Starts the image as the agent does (`drivers/docker/cookie.go`).
    fn start(image: &str, memory: u64) -> Self {
        let directory = tempfile::Builder::new().prefix("iofs").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let mount = format!("{}:/tmp/iofs", directory.path().display());
        let (grant, limit) = (format!("FN_MEMORY={memory}"), format!("{memory}m"));
        let walls = "--read-only --user 1000:1000 --network none --pids-limit 50 --cap-drop all --tmpfs /tmp \
                     --security-opt no-new-privileges --ulimit nofile=350 --ulimit memlock=65536";
        let mut arguments = vec!["run", "-d", "-v", &mount, "-m", &limit, "--memory-swap", &limit];
        arguments.extend(walls.split_whitespace());
        arguments.extend([
            "-e",
            "FN_LISTENER=unix:/tmp/iofs/lsnr.sock",
            "-e",
            "FN_FORMAT=http-stream",
            "-e",
            &grant,
        ]);
        arguments.push(image);
        let output = docker(&arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        Self { id: text(&output.stdout), directory }
    }

    async fn call(&self, body: &str) -> Value {
        let socket = self.directory.path().join("lsnr.sock");
        for _ in 0..500 {
            if socket.exists() {
                let reply = Connection::open(&socket).await.call(&[], body.as_bytes()).await;
                assert_eq!(reply.status, 200, "{}", reply.text());
                return reply.json();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let logs = docker(&["logs", &self.id]);
        panic!("no socket after 5 s: {}{}", text(&logs.stdout), text(&logs.stderr));
    }

    /// Asks it to stop and returns its exit code.
    fn stop(&self) -> String {
        docker(&["stop", "-t", "5", &self.id]);
        text(&docker(&["inspect", "-f", "{{.State.ExitCode}}", &self.id]).stdout)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "-f", &self.id]);
    }
}

#[tokio::test]
async fn images_build_and_their_containers_answer() {
    if !have("image", "docker", &["version"], "apt-get install docker.io, and start its engine") {
        return;
    }
    let Some(base) = base_arguments() else { return };

    let hello = build("hello", &base);
    let config = docker(&["inspect", "-f", "{{json .Config}}", &hello]);
    let config: Value = serde_json::from_slice(&config.stdout).unwrap();
    assert_eq!((&config["User"], &config["Volumes"]), (&"1000:1000".into(), &Value::Null));
    let container = Container::start(&hello, 128);
    assert_eq!(container.call("{\"name\":\"image\"}").await["message"], "Hello image");
    // As PID 1 a signal without a handler would be ignored.
    assert_eq!(container.stop(), "0");
    assert_eq!(left(container.directory.path()), 0, "the socket outlived the function");

    let container = Container::start(&build("embed", &base), 256);
    let reply = container.call("{\"inputs\": [\"in a container\"]}").await;
    assert_eq!(reply["embeddings"][0].as_array().unwrap().len(), 384);
    assert_eq!(container.stop(), "0");
}

fn left(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}
