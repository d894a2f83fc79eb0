//! The function as a container, inside the walls that the agent puts up (Fn's `drivers/docker/cookie.go`).

use rustix::process::Signal;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// An image, and what a function made of it is given.
#[derive(Debug, Clone)]
pub(super) struct Image {
    /// `docker`, or what takes its place.
    pub(super) engine: String,
    pub(super) name: String,
    /// In MB, without swap.
    pub(super) memory: u64,
    /// The configuration of its `func.yaml`.
    pub(super) config: Vec<(String, String)>,
}

/// A read-only root and a `/tmp` of its own; the platform's user, without capabilities; no network; few processes and
/// files.
const WALLS: [&str; 15] = [
    "--read-only",
    "--tmpfs",
    "/tmp",
    "--user",
    "1000:1000",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    "--network",
    "none",
    "--pids-limit",
    "50",
    "--ulimit",
    "nofile=350",
];

impl Image {
    /// Why the engine cannot run it, if so.
    pub(super) fn fault(&self) -> Option<String> {
        let Self { engine, name, .. } = self;
        let answers = |arguments: &[&str]| quietly(engine, arguments).is_some_and(|ended| ended.success());
        if !answers(&["version"]) {
            return Some(format!(
                "`{engine} version` fails: is the engine running, and may this user use it?"
            ));
        }
        let missing = !answers(&["image", "inspect", name]);
        missing.then(|| format!("the engine has no image {name}: {engine} build -t {name} ."))
    }

    /// What starts a container of it in the foreground, and a handle of that container. The directory is at the same path
    /// inside.
    pub(super) fn command(
        &self,
        directory: &Path,
        environment: &BTreeMap<OsString, OsString>,
    ) -> (Command, Container) {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("fdkcheck-{}-{number}", std::process::id());
        let memory = format!("{}m", self.memory);
        let mut mount = directory.as_os_str().to_owned();
        mount.push(":");
        mount.push(directory);
        let mut command = Command::new(&self.engine);
        command.args(["run", "--rm", "--name", &name, "--memory", &memory, "--memory-swap", &memory]);
        command.args(WALLS).arg("-v").arg(mount);
        let config = self.config.iter().map(|(key, value)| (OsStr::new(key), OsStr::new(value)));
        // The image has a path of its own.
        let given = environment.iter().filter(|(key, _)| *key != "PATH");
        for (key, value) in config.chain(given.map(|(key, value)| (key.as_os_str(), value.as_os_str()))) {
            let mut pair = key.to_owned();
            pair.push("=");
            pair.push(value);
            command.arg("-e").arg(pair);
        }
        command.arg(&self.name);
        (command, Container { engine: self.engine.clone(), name })
    }
}

/// A container that was started.
#[derive(Debug)]
pub(super) struct Container {
    engine: String,
    name: String,
}

impl Container {
    /// Does with it what the agent does with a function: to stop one is to pause it, and to kill one is to remove it.
    pub(super) fn signal(&self, signal: Signal) {
        let name = self.name.as_str();
        let _ = match signal {
            Signal::STOP => quietly(&self.engine, &["pause", name]),
            Signal::CONT => quietly(&self.engine, &["unpause", name]),
            Signal::KILL => quietly(&self.engine, &["rm", "-f", name]),
            other => quietly(&self.engine, &["kill", "-s", &other.as_raw().to_string(), name]),
        };
    }

    /// The function's process, where the engine is on this machine.
    pub(super) fn pid(&self) -> Option<u32> {
        let mut inspect = Command::new(&self.engine);
        let told = inspect.args(["inspect", "-f", "{{.State.Pid}}", &self.name]).output().ok()?;
        let pid = String::from_utf8(told.stdout).ok()?.trim().parse().ok()?;
        Path::new("/proc").join(format!("{pid}")).exists().then_some(pid)
    }
}

fn quietly(engine: &str, arguments: &[&str]) -> Option<std::process::ExitStatus> {
    let mut command = Command::new(engine);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().ok()
}
