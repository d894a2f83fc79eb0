//! The function's process and its surroundings.

use super::Spec;
use crate::logs::Logs;
use crate::socket;
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The function's process, which dies with this value.
pub(super) struct Process {
    pub(super) child: Child,
    group: Option<Pid>,
}

impl Process {
    pub(super) fn spawn(spec: &Spec, directory: &TempDir, logs: &Logs) -> std::io::Result<Self> {
        let listener = format!("unix:{}", directory.path().join(socket::NAME).display());
        let memory = spec.memory.to_string();
        let id = format!("01LOCAL{}", spec.name.to_uppercase());
        let mut child = Command::new(&spec.executable)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", directory.path())
            .envs(spec.config.iter().map(|(key, value)| (key, value)))
            .env("FN_LISTENER", listener)
            .env("FN_FORMAT", "http-stream")
            .env("FN_MEMORY", memory)
            .env("FN_TYPE", "sync")
            .env("FN_FN_ID", id)
            .env("FN_APP_ID", "01LOCALAPP")
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        if let Some(stdout) = child.stdout.take() {
            logs.collect(stdout, spec.echo);
        }
        if let Some(stderr) = child.stderr.take() {
            logs.collect(stderr, spec.echo);
        }
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, group })
    }

    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    pub(super) fn signal(&self, signal: Signal) {
        // Once it has been waited for, its id may be another's.
        if let Some(group) = self.group.filter(|_| self.child.id().is_some()) {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
