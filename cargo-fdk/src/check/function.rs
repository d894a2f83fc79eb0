//! The function under test: started as the agent would, watched from outside, and gone with its value.

use super::case::{Stop, Verdict};
use super::output::Output;
use super::watch::{Appeared, Watch};
use super::wire::{Connection, Request, Response};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The agent gives a function this long until its socket is there.
pub(super) const START_LIMIT: Duration = Duration::from_secs(5);

/// What is tested, and how.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) command: Vec<OsString>,
    pub(super) probe: bool,
    pub(super) quick: bool,
}

impl Subject {
    /// Prepares a start in a directory of its own, with the environment that the agent gives.
    pub(super) fn launch(&self) -> Verdict<Launch> {
        // A short path: a unix socket's has at most 107 bytes, and the system's own temporary folder may be deep.
        let directory = tempfile::Builder::new().prefix("fdkcheck").tempdir_in("/tmp");
        let directory = directory.map_err(|error| Stop::Skip(format!("no directory in /tmp: {error}")))?;
        for folder in ["io", "home"] {
            make_folder(&directory.path().join(folder))?;
        }
        // The function may run as another user.
        permit(directory.path(), 0o755)?;
        self.launch_in(Rc::new(directory))
    }

    /// As [`Subject::launch`], in a directory that was used before.
    pub(super) fn launch_in(&self, directory: Rc<TempDir>) -> Verdict<Launch> {
        let mut launch = Launch {
            command: self.command.clone(),
            environment: BTreeMap::new(),
            socket: PathBuf::new(),
            stdout: Stdout::Kept,
            connects: false,
            directory,
        };
        let home = launch.directory.path().join("home");
        let socket = launch.io().join("lsnr.sock");
        launch = launch.env("HOME", home).env("FN_FORMAT", "http-stream").env("FN_MEMORY", "128");
        launch = launch.env("FN_TYPE", "sync").env("FN_FN_ID", "01CHECKFN").env("FN_APP_ID", "01CHECKAPP");
        if let Some(path) = std::env::var_os("PATH") {
            launch = launch.env("PATH", path);
        }
        Ok(launch.at(&socket))
    }

    /// A call that any function can answer, in its own way; the probe with 200.
    pub(super) fn request(&self) -> Request {
        Request::new("application/json", if self.probe { "{}" } else { "{\"name\":\"Fn\"}" })
    }

    /// A call that any function can answer, of about this many bytes.
    pub(super) fn large_request(&self, bytes: usize) -> Request {
        if self.probe {
            Request::new("text/plain", vec![b'x'; bytes])
        } else {
            Request::new("application/json", format!("{{\"name\":\"{}\"}}", "x".repeat(bytes)))
        }
    }

    /// What the probe is asked to do.
    #[expect(clippy::needless_pass_by_value, reason = "it is always a json! literal")]
    pub(super) fn ask(&self, knobs: Value) -> Request {
        Request::new("application/json", knobs.to_string())
    }
}

pub(super) fn make_folder(path: &Path) -> Verdict<()> {
    std::fs::create_dir_all(path)
        .map_err(|error| Stop::Skip(format!("cannot make {}: {error}", path.display())))?;
    // The agent makes the socket's directory so (0777), whoever the function runs as.
    permit(path, 0o777)
}

pub(super) fn permit(path: &Path, mode: u32) -> Verdict<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| Stop::Skip(format!("cannot set the mode of {}: {error}", path.display())))
}

/// What becomes of the function's stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stdout {
    Kept,
    /// A pipe that nobody reads any more.
    Broken,
}

/// A start to be made.
pub(super) struct Launch {
    command: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    socket: PathBuf,
    stdout: Stdout,
    connects: bool,
    directory: Rc<TempDir>,
}

impl Launch {
    pub(super) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.insert(key.into(), value.as_ref().into());
        self
    }

    pub(super) fn without(mut self, key: &str) -> Self {
        self.environment.remove(OsStr::new(key));
        self
    }

    /// The socket's place; `FN_LISTENER` says so.
    pub(super) fn at(mut self, socket: &Path) -> Self {
        self.socket = socket.into();
        let mut listener = OsString::from("unix:");
        listener.push(socket);
        self.env("FN_LISTENER", listener)
    }

    /// Runs the command as the arguments of another.
    pub(super) fn under(mut self, wrapper: &[&str]) -> Self {
        self.command.splice(0..0, wrapper.iter().map(OsString::from));
        self
    }

    pub(super) fn stdout(mut self, stdout: Stdout) -> Self {
        self.stdout = stdout;
        self
    }

    /// Connects the moment the socket's name appears, as the agent does.
    pub(super) fn connecting(mut self) -> Self {
        self.connects = true;
        self
    }

    /// The directory that the agent would make for the socket.
    pub(super) fn io(&self) -> PathBuf {
        self.directory.path().join("io")
    }

    /// Starts it and waits for its socket.
    pub(super) async fn serve(self) -> Verdict<Function> {
        let mut watch = Watch::new(&self.socket, self.connects)?;
        let mut function = self.spawn()?;
        tokio::select! {
            appeared = watch.next() => {
                function.ready_after = function.started.elapsed();
                function.appeared = appeared;
                function.watch = Some(watch);
                Ok(function)
            }
            status = function.child.wait() => {
                let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                function.read_all().await;
                Err(Stop::Fail(format!("it ended before its socket was there: {how}{}", function.last_words())))
            }
            () = tokio::time::sleep(START_LIMIT) => {
                Err(Stop::Fail(format!("no socket within {} s{}", START_LIMIT.as_secs(), function.last_words())))
            }
        }
    }

    /// Starts it.
    pub(super) fn spawn(self) -> Verdict<Function> {
        let (program, arguments) =
            self.command.split_first().ok_or_else(|| Stop::Skip("no command".to_owned()))?;
        let started = Instant::now();
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group, so that whatever it starts can be ended with it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Stop::Fail(format!("cannot run {}: {error}", program.display())))?;
        let stdout = child.stdout.take().filter(|_| self.stdout == Stdout::Kept);
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Function {
            stdout: stdout.map(Output::collect).unwrap_or_default(),
            stderr: child.stderr.take().map(Output::collect).unwrap_or_default(),
            child,
            group,
            socket: self.socket,
            started,
            ready_after: Duration::ZERO,
            appeared: None,
            watch: None,
            directory: self.directory,
        })
    }
}

/// A function that runs.
pub(super) struct Function {
    child: Child,
    group: Option<Pid>,
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

    async fn read_all(&mut self) {
        self.stdout.ended().await;
        self.stderr.ended().await;
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
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
        self.child.id()
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
