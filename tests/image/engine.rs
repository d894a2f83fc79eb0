//! The container engine: builds, and containers started as the agent starts them.

use cargo_fdk::compile::{self, Package};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use workspace_tests::http1::{Connection, Response, request};
use workspace_tests::not_run::{absent, have};
use workspace_tests::root;

pub(crate) fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).current_dir(root()).output().unwrap()
}

/// What the engine prints; it must succeed.
pub(crate) fn told(arguments: &[&str]) -> String {
    let output = docker(arguments);
    assert!(output.status.success(), "docker {}: {}", arguments.join(" "), text(&output.stderr));
    text(&output.stdout)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// An engine with the Dockerfile's base images.
pub(crate) struct Engine {
    /// What `docker build` needs here.
    arguments: Vec<String>,
    pub(crate) runtime: String,
    /// A base with a shell, where the bases are made of this host's packages: what is compiled here then runs in an image.
    shell: Option<String>,
}

impl Engine {
    /// Nothing is needed where the bases can be pulled; else they are made of this host's packages. `None`, which is
    /// noted, when neither can be had.
    pub(crate) fn find() -> Option<Self> {
        if !have("image", "docker", &["version"], "apt-get install docker.io, and start its engine") {
            return None;
        }
        let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
        let from = |name: &str| {
            let prefix = format!("ARG {name}=");
            dockerfile.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap().to_owned()
        };
        let there = |image: &str| {
            docker(&["image", "inspect", image]).status.success()
                || docker(&["pull", "-q", image]).status.success()
        };
        if there(&from("BUILDER")) && there(&from("RUNTIME")) {
            return Some(Self { arguments: Vec::new(), runtime: from("RUNTIME"), shell: None });
        }
        let made = Command::new(root().join("tests/image/bases.sh")).current_dir(root()).output().unwrap();
        if !made.status.success() {
            let why = format!("the Dockerfile's base images ({})", text(&made.stderr));
            absent("image", &why, "docker pull from a registry");
            return None;
        }
        let arguments: Vec<String> = text(&made.stdout).split_whitespace().map(str::to_owned).collect();
        let runtime = arguments.iter().find_map(|argument| argument.strip_prefix("RUNTIME=")).unwrap();
        let release = runtime.rsplit(':').next().unwrap();
        Some(Self {
            runtime: runtime.to_owned(),
            shell: Some(format!("fdk-base/debian:{release}-slim")),
            arguments,
        })
    }

    /// Builds in a folder, with these arguments after ours, and returns the image's tag.
    pub(crate) fn build_in(&self, folder: &Path, tag: &str, more: &[&str]) -> String {
        // One at a time: two builds of the same layers would both make them.
        static BUILDING: Mutex<()> = Mutex::new(());
        let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let mut command = Command::new("docker");
        command.arg("build").args(&self.arguments).args(more).args(["-t", tag, "."]);
        let output = command.current_dir(folder).output().unwrap();
        let said = [text(&output.stdout), text(&output.stderr)].join("\n");
        assert!(output.status.success(), "{said}");
        eprintln!("{tag}: built in {:.0} s", began.elapsed().as_secs_f64());
        tag.to_owned()
    }

    /// Builds a function of the workspace from what this host compiles: the same Dockerfile, and candle once. Where the bases are
    /// another release's, from source.
    pub(crate) fn build(&self, function: &str) -> String {
        let Some(shell) = &self.shell else { return self.build_from_source(function, &[]) };
        let prebuilt = root().join("prebuilt");
        std::fs::create_dir_all(&prebuilt).unwrap();
        for (name, features) in [(function, ""), ("fdk-models", "tool")] {
            let manifest = root().join("Cargo.toml");
            let package = Package { name, manifest, features, release: true, target: None };
            std::fs::copy(compile::package(&package).unwrap(), prebuilt.join(name)).unwrap();
        }
        let (function_, shell) = (format!("FUNCTION={function}"), format!("BUILDER={shell}"));
        let more = ["--build-arg", "PREBUILT=1", "--build-arg", &shell, "--build-arg", &function_];
        self.build_in(&root(), &format!("fdk-test-{function}"), &more)
    }

    /// Builds a function of the workspace as its user does.
    pub(crate) fn build_from_source(&self, function: &str, more: &[&str]) -> String {
        let argument = format!("FUNCTION={function}");
        let more = [&["--build-arg", &argument], more].concat();
        self.build_in(&root(), &format!("fdk-test-{function}"), &more)
    }

    /// Bytes of an image beyond its base.
    pub(crate) fn beyond_base(&self, image: &str) -> u64 {
        let size = |name: &str| told(&["image", "inspect", "-f", "{{.Size}}", name]).parse::<u64>().unwrap();
        size(image) - size(&self.runtime)
    }
}

/// A file of an image, copied out of it.
pub(crate) fn file_of(image: &str, path: &str, to: &Path) -> PathBuf {
    let container = told(&["create", image]);
    let target = to.join(Path::new(path).file_name().unwrap());
    told(&["cp", &format!("{container}:{path}"), target.to_str().unwrap()]);
    told(&["rm", &container]);
    target
}

/// A running container, removed in the end.
pub(crate) struct Container {
    id: String,
    pub(crate) directory: tempfile::TempDir,
    started: Instant,
}

impl Container {
    /// Starts the image as the agent does (`drivers/docker/cookie.go`).
    pub(crate) fn start(image: &str, memory: u64, config: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("iofs").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let mount = format!("{}:/tmp/iofs", directory.path().display());
        let (grant, limit) = (format!("FN_MEMORY={memory}"), format!("{memory}m"));
        let walls = "--read-only --tmpfs /tmp --user 1000:1000 --cap-drop ALL --security-opt no-new-privileges \
                     --pids-limit 50 --ulimit nofile=350 --ulimit memlock=65536 --network none";
        let mut arguments = vec!["run", "-d", "-v", &mount, "--memory", &limit, "--memory-swap", &limit];
        arguments.extend(walls.split_whitespace());
        let given = ["FN_LISTENER=unix:/tmp/iofs/lsnr.sock", "FN_FORMAT=http-stream", &grant];
        arguments.extend(given.iter().chain(config).flat_map(|pair| ["-e", pair]));
        arguments.push(image);
        let started = Instant::now();
        Self { id: told(&arguments), directory, started }
    }

    /// A call, once the socket is there; the error says how far it came.
    pub(crate) async fn attempt(&self, body: &str) -> Result<Response, String> {
        let socket = self.directory.path().join("lsnr.sock");
        while !socket.exists() {
            assert!(self.started.elapsed() < Duration::from_secs(30), "no socket: {}", self.logs());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut connection = Connection::open(&socket).await;
        connection.send(&request(&[], body.as_bytes())).await;
        connection.response().await
    }

    pub(crate) async fn call(&self, body: &str) -> Value {
        let reply = self.attempt(body).await.unwrap_or_else(|why| panic!("{why}: {}", self.logs()));
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// From `docker run` to now.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn engine(&self, verb: &str) {
        told(&[verb, &self.id]);
    }

    pub(crate) fn state(&self, what: &str) -> String {
        told(&["inspect", "-f", &format!("{{{{.State.{what}}}}}"), &self.id])
    }

    pub(crate) fn logs(&self) -> String {
        let output = docker(&["logs", &self.id]);
        [text(&output.stdout), text(&output.stderr)].join("\n")
    }

    /// Waits for its end and returns its exit code.
    pub(crate) fn wait(&self) -> String {
        told(&["wait", &self.id])
    }

    /// Asks it to stop and returns its exit code.
    pub(crate) fn stop(&self) -> String {
        told(&["stop", "-t", "5", &self.id]);
        self.state("ExitCode")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "-f", &self.id]);
    }
}
