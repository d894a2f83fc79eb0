//! The function's process and its surroundings.

use super::Spec;
use super::directory::Directory;
use super::mark::Mark;
use crate::logs::Logs;
use crate::{sandbox, socket};
use rustix::process::{Pid, Signal, kill_process_group};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::process::{Child, Command};

/// The function's process, which dies with this value.
pub(super) struct Process {
    /// The function, or who stands for it outside of its PID namespace and ends as it does.
    pub(super) child: Child,
    /// The function, which leads its group.
    function: Option<Pid>,
    killed: AtomicBool,
    /// None when all that had it are killed, or die with the function since it is the first of their PID namespace.
    mark: Option<Mark>,
}

impl Process {
    pub(super) fn spawn(spec: &Spec, directory: &Directory, logs: &Logs) -> std::io::Result<Self> {
        let io = directory.io();
        let walls = spec.sandbox.as_ref().map(|walls| walls.around(spec, &io, &directory.root()));
        let outside = format!("unix:{}", io.join(socket::NAME).display());
        let inside = walls.as_ref().and_then(sandbox::Enclosure::inside);
        let (program, home, listener) = inside.map_or_else(
            || (spec.executable.clone(), io.clone(), outside),
            |inside| (inside.program.into(), PathBuf::from("/tmp"), inside.listener.to_owned()),
        );
        let mut command = std::process::Command::new(program);
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", home)
            .envs(spec.config.iter().map(|(key, value)| (key, value)))
            .env("FN_LISTENER", &listener)
            .env("FN_FORMAT", "http-stream")
            .env("FN_MEMORY", spec.memory.to_string())
            .env("FN_TYPE", "sync")
            .env("FN_FN_ID", &spec.fn_id)
            .env("FN_APP_ID", &spec.app_id)
            .current_dir(&io)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let first = sandbox::enter(&mut command, walls)?;
        let mut child = Command::from(command).kill_on_drop(true).spawn()?;
        if let Some(stdout) = child.stdout.take() {
            logs.collect(stdout, spec.echo);
        }
        if let Some(stderr) = child.stderr.take() {
            logs.collect(stderr, spec.echo);
        }
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let (function, mark) = match first {
            Some(first) => (Some(first.pid()?), None),
            None => (id.and_then(Pid::from_raw), Some(Mark::Listener(listener))),
        };
        Ok(Self { child, function, killed: AtomicBool::new(false), mark })
    }

    /// The function's id, while it runs.
    pub(super) fn id(&self) -> Option<Pid> {
        // Once it has been waited for, its id may be another's.
        self.function.filter(|_| self.child.id().is_some())
    }

    pub(super) fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        self.signal(Signal::KILL);
    }

    /// Whether it has ended, or will any moment.
    pub(super) fn has_ended(&mut self) -> bool {
        self.killed.load(Ordering::Relaxed) || !matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(group) = self.id() {
            let _ = kill_process_group(group, signal);
        }
    }

    /// Waits for its end and ends what it left behind: processes in groups of their own.
    pub(super) async fn bury(mut self) {
        self.kill();
        let _ = self.child.wait().await;
        self.kill_left();
    }

    /// Once: whoever was there then is no more.
    fn kill_left(&mut self) {
        if let Some(mark) = self.mark.take() {
            mark.kill();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        // Where it cannot be buried, as when the platform ends under a call.
        self.kill_left();
    }
}
