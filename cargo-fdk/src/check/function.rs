//! The function under test: watched from outside, and gone with its value.

use super::container::Container;
use super::launch::Subject;
use super::output::Output;
use super::watch::{Appeared, Watch};
use super::wire::{Connection, Request, Response};
use rustix::process::{Pid, Signal, kill_process_group};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Child;

/// A function that runs.
pub(super) struct Function {
    pub(super) child: Child,
    group: Option<Pid>,
    container: Option<Container>,
    pub(super) socket: PathBuf,
    pub(super) stdout: Output,
    pub(super) stderr: Output,
    started: Instant,
    /// From its start to its socket.
    pub(super) ready_after: Duration,
    /// What the first creation of the socket's name looked like.
    pub(super) appeared: Option<Appeared>,
    pub(super) watch: Option<Watch>,
    directory: Rc<TempDir>,
}

impl Function {
    pub(super) fn new(
        mut child: Child,
        container: Option<Container>,
        socket: PathBuf,
        started: Instant,
        directory: Rc<TempDir>,
    ) -> Self {
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self {
            stdout: child.stdout.take().map(Output::collect).unwrap_or_default(),
            stderr: child.stderr.take().map(Output::collect).unwrap_or_default(),
            child,
            group,
            container,
            socket,
            started,
            ready_after: Duration::ZERO,
            appeared: None,
            watch: None,
            directory,
        }
    }

    /// Its socket's name has appeared.
    pub(super) fn published(&mut self, appeared: Option<Appeared>, watch: Watch) {
        self.ready_after = self.started.elapsed();
        self.appeared = appeared;
        self.watch = Some(watch);
    }

    /// A new connection. A function that publishes its socket too early fails its own case, so a refused connection is
    /// tried again here.
    pub(super) async fn connect(&self) -> Result<Connection, String> {
        let began = Instant::now();
        loop {
            match Connection::open(&self.socket).await {
                Ok(connection) => return Ok(connection),
                Err(error) if began.elapsed() > Duration::from_secs(1) => {
                    return Err(format!("cannot connect to {}: {error}", self.socket.display()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// A call on a connection of its own.
    pub(super) async fn call(&self, request: &Request) -> Result<Response, String> {
        self.connect().await?.call(request).await
    }

    /// The status of a call that any function can answer: what other calls are compared with.
    pub(super) async fn usual_status(&self, subject: &Subject) -> Result<u16, String> {
        self.call(&subject.request())
            .await
            .map(|reply| reply.status)
            .map_err(|why| format!("a usual call: {why}"))
    }

    /// The same process runs and answers a usual call, with this status.
    pub(super) async fn still_serves(&mut self, subject: &Subject, status: u16) -> Result<(), String> {
        let after = self.call(&subject.request()).await.map_err(|why| format!("the next call: {why}"))?;
        if let Ok(Some(how)) = self.child.try_wait() {
            return Err(format!("the process ended: {how}{}", self.last_words()));
        }
        match after.status {
            found if found == status => Ok(()),
            found => Err(format!("the next call: expected {status} as before, got {found}")),
        }
    }

    /// Waits until it ends by itself, and for all that it printed.
    pub(super) async fn ended(&mut self, limit: Duration) -> Result<ExitStatus, String> {
        let status = tokio::time::timeout(limit, self.child.wait()).await;
        let status = status.map_err(|_| format!("it still runs after {} s", limit.as_secs_f32()))?;
        self.read_all().await;
        status.map_err(|error| error.to_string())
    }

    pub(super) async fn read_all(&mut self) {
        self.stdout.ended().await;
        self.stderr.ended().await;
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(container) = &self.container {
            container.signal(signal);
        } else if let Some(group) = self.group {
            let _ = kill_process_group(group, signal);
        }
    }

    /// Ends it as the agent does, and returns its directory as it left it.
    pub(super) async fn kill(mut self) -> Result<Rc<TempDir>, String> {
        self.signal(Signal::KILL);
        self.ended(Duration::from_secs(5)).await?;
        Ok(Rc::clone(&self.directory))
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.container.as_ref().map_or_else(|| self.child.id(), Container::pid)
    }

    /// The names in the socket's directory, those of its folders included.
    pub(super) fn files(&self) -> Vec<String> {
        names(&self.directory.path().join("io"))
    }

    /// The end of its stderr, to be put behind a message.
    pub(super) fn last_words(&self) -> String {
        let text = self.stderr.text();
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let last: String = last.chars().take(200).collect();
        if last.is_empty() { ", with nothing on stderr".into() } else { format!(", stderr: {last:?}") }
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        // Until it is gone it may still write, and its directory could not be removed.
        for _ in 0..100 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.extend(names(&entry.path()).into_iter().map(|inner| format!("{name}/{inner}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}
