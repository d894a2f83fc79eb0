//! The function's process and its surroundings.

use super::Spec;
use super::directory::Directory;
use super::mark::Mark;
use crate::logs::Logs;
use crate::{sandbox, socket};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::process::{Child, Command};

/// The function's process, which dies with this value.
pub(super) struct Process {
    pub(super) child: Child,
    group: Option<Pid>,
    killed: AtomicBool,
    /// None when it had ended before it could be told from others, or all that had it are killed.
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
        sandbox::enter(&mut command, walls);
        let mut child = Command::from(command).kill_on_drop(true).spawn()?;
        if let Some(stdout) = child.stdout.take() {
            logs.collect(stdout, spec.echo);
        }
        if let Some(stderr) = child.stderr.take() {
            logs.collect(stderr, spec.echo);
        }
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let mark = if inside.is_some() {
            let namespace = child.id().and_then(|id| File::open(format!("/proc/{id}/ns/mnt")).ok());
            namespace.map(Mark::Namespace)
        } else {
            Some(Mark::Listener(listener))
        };
        Ok(Self { child, group, killed: AtomicBool::new(false), mark })
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
        // Once it has been waited for, its id may be another's.
        if let Some(group) = self.group.filter(|_| self.child.id().is_some()) {
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
