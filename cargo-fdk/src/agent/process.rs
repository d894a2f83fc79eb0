//! The function's process and its surroundings.

use super::Spec;
use super::directory::Directory;
use crate::logs::Logs;
use crate::{sandbox, socket};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
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
    /// None when it had ended before it could be told from others.
    mark: Option<Mark>,
}

/// What all processes of one function share, and no other has: even those that left its group.
enum Mark {
    /// Its mount namespace, held open: a number that is free is soon another's.
    Namespace(File),
    /// The socket's address in its environment.
    Listener(String),
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

    fn kill_left(&self) {
        let Some(mark) = &self.mark else { return };
        let own = std::process::id();
        // A process that forks while it is killed may need another look.
        for _ in 0..10 {
            let left: Vec<Pid> = std::fs::read_dir("/proc")
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
                .filter(|pid| pid.cast_unsigned() != own && mark.is_on(*pid))
                .filter_map(Pid::from_raw)
                .collect();
            if left.is_empty() {
                return;
            }
            for pid in left {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

impl Mark {
    fn is_on(&self, pid: i32) -> bool {
        match self {
            Self::Namespace(namespace) => {
                let number = |found: std::fs::Metadata| (found.dev(), found.ino());
                let other = std::fs::metadata(format!("/proc/{pid}/ns/mnt")).map(number);
                namespace.metadata().map(number).is_ok_and(|own| other.is_ok_and(|other| other == own))
            }
            Self::Listener(listener) => {
                let wanted = OsString::from(format!("FN_LISTENER={listener}"));
                std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                    environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_encoded_bytes())
                })
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
