//! Builds functions, and the model tool, with cargo: in the profile and target folder of `cargo fdk` itself, so that candle compiles
//! once.

use crate::function::Function;
use crate::{Error, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use tokio::io::AsyncBufReadExt as _;

/// One line of cargo's `--message-format=json`, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    executable: Option<PathBuf>,
    #[serde(default)]
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Cargo, as from a plain shell. What an outer `cargo run` or `cargo test` says of its own package is taken away: build
/// scripts watch these variables (ring's does), and would build their crates anew at each change of who calls.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        let of_a_package =
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| name.starts_with(prefix));
        if of_a_package || matches!(&*name, "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE" | "OUT_DIR") {
            command.env_remove(&key);
        }
    }
    command
}

/// A package whose binary is wanted.
#[derive(Debug)]
pub struct Package<'a> {
    /// Its name, and its binary's.
    pub name: &'a str,
    /// Its manifest, or its workspace's.
    pub manifest: PathBuf,
    /// Features beside its default ones, with commas.
    pub features: &'a str,
    /// As it ships, whatever profile this program is of.
    pub release: bool,
    /// The folder for what is built; cargo's own choice when not given.
    pub target: Option<PathBuf>,
}

impl<'a> Package<'a> {
    fn of(function: &'a Function) -> Self {
        let manifest = function.folder().join("Cargo.toml");
        Self { name: function.package(), manifest, features: "", release: false, target: None }
    }
}

/// Builds the function's binary and returns its path. Cargo's own progress and errors go to stderr.
pub fn build(function: &Function) -> Result<PathBuf> {
    package(&Package::of(function))
}

/// As [`build`], of any package.
pub fn package(package: &Package<'_>) -> Result<PathBuf> {
    let mut child = command(package).spawn().map_err(no_cargo)?;
    let mut executable = None;
    let lines = child.stdout.take().map(BufReader::new);
    for line in lines.into_iter().flat_map(BufReader::lines).map_while(std::result::Result::ok) {
        executable = made(&line, package).or(executable);
    }
    judged(package, child.wait(), executable)
}

/// As [`build`], while others have the thread. Dropped, it ends cargo and the compilers that cargo has started.
pub(crate) async fn build_while_serving(function: &Function) -> Result<PathBuf> {
    package_while_serving(&Package::of(function)).await
}

/// As [`build_while_serving`], of any package.
pub(crate) async fn package_while_serving(package: &Package<'_>) -> Result<PathBuf> {
    let mut command = tokio::process::Command::from(command(package));
    let mut cargo = Group(command.process_group(0).spawn().map_err(no_cargo)?);
    let mut executable = None;
    if let Some(stdout) = cargo.0.stdout.take() {
        let mut lines = tokio::io::BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            executable = made(&line, package).or(executable);
        }
    }
    judged(package, cargo.0.wait().await, executable)
}

/// A process that leads a group of its own. Dropped before it has ended, it is killed with all that it has started.
struct Group(tokio::process::Child);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(leader) = leader {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// The profile of this very program: what `cargo test` builds calls functions of its own profile, and everybody else those that
/// ship.
pub fn profile() -> &'static str {
    let path = std::env::current_exe().unwrap_or_default();
    // A test's own binary is in `deps` below it.
    let folder = path.parent().filter(|folder| !folder.ends_with("deps")).or_else(|| path.parent()?.parent());
    if folder.is_some_and(|folder| folder.ends_with("debug")) { "dev" } else { "release" }
}

fn command(package: &Package<'_>) -> Command {
    let mut command = cargo();
    command
        .args([
            "build",
            "--profile",
            if package.release { "release" } else { profile() },
            "--message-format=json-render-diagnostics",
            "-p",
            package.name,
        ])
        .arg("--manifest-path")
        .arg(&package.manifest)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if !package.features.is_empty() {
        command.args(["--features", package.features]);
    }
    if let Some(target) = &package.target {
        command.arg("--target-dir").arg(target);
    }
    command
}

#[expect(clippy::needless_pass_by_value, reason = "it is a mapper of errors")]
fn no_cargo(error: std::io::Error) -> Error {
    Error::failed(format!("cannot run cargo: {error}; install Rust with rustup"))
}

/// The package's executable, where a line of cargo's tells it.
fn made(line: &str, package: &Package<'_>) -> Option<PathBuf> {
    let message = serde_json::from_str::<Message>(line).ok()?;
    let named = message.target.is_some_and(|target| target.name == package.name);
    message.executable.filter(|_| message.reason == "compiler-artifact" && named)
}

fn judged(
    package: &Package<'_>,
    status: std::io::Result<ExitStatus>,
    executable: Option<PathBuf>,
) -> Result<PathBuf> {
    let status = status.map_err(|error| Error::failed(format!("cargo: {error}")))?;
    match executable {
        Some(executable) if status.success() => Ok(executable),
        _ if !status.success() => Err(Error::failed(format!("{} does not build: see above", package.name))),
        _ => Err(Error::failed(format!(
            "package {} has no binary of its own name: a function is built from src/main.rs",
            package.name
        ))),
    }
}
