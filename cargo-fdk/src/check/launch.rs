//! Starting the function as the agent would: a directory, an environment, a watch on the socket.

use super::case::{Stop, Verdict};
use super::container::Image;
use super::function::Function;
use super::watch::Watch;
use super::wire::Request;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command;

/// The agent gives a function this long until its socket is there.
pub(super) const START_LIMIT: Duration = Duration::from_secs(5);
/// And an engine may take this long to begin.
const ENGINE_LIMIT: Duration = Duration::from_secs(25);

/// What is tested, and how.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) command: Vec<OsString>,
    /// In place of the command.
    pub(super) image: Option<Image>,
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
        Ok(self.launch_in(Rc::new(directory)))
    }

    /// As [`Subject::launch`], in a directory that was used before.
    pub(super) fn launch_in(&self, directory: Rc<TempDir>) -> Launch {
        let mut launch = Launch {
            command: self.command.clone(),
            image: self.image.clone(),
            wrapped: false,
            environment: BTreeMap::new(),
            socket: PathBuf::new(),
            stdout: Stdout::Kept,
            connects: false,
            directory,
        };
        let home = launch.directory.path().join("home");
        let socket = launch.io().join("lsnr.sock");
        launch = launch.env("HOME", home).env("FN_FORMAT", "http-stream");
        launch = launch.env("FN_MEMORY", self.memory().to_string());
        launch = launch.env("FN_TYPE", "sync").env("FN_FN_ID", "01CHECKFN").env("FN_APP_ID", "01CHECKAPP");
        if let Some(path) = std::env::var_os("PATH") {
            launch = launch.env("PATH", path);
        }
        launch.at(&socket)
    }

    /// What the function may use, in MB.
    pub(super) fn memory(&self) -> u64 {
        self.image.as_ref().map_or(128, |image| image.memory)
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
    image: Option<Image>,
    /// What a container cannot be: the argument of another command, or without a reader of its stdout.
    wrapped: bool,
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
        self.wrapped = true;
        self
    }

    pub(super) fn stdout(mut self, stdout: Stdout) -> Self {
        self.stdout = stdout;
        self.wrapped |= stdout == Stdout::Broken;
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
        let limit = START_LIMIT + self.image.as_ref().map_or(Duration::ZERO, |_| ENGINE_LIMIT);
        let mut function = self.spawn()?;
        tokio::select! {
            appeared = watch.next() => {
                function.published(appeared, watch);
                Ok(function)
            }
            status = function.child.wait() => {
                let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                function.read_all().await;
                Err(Stop::Fail(format!("it ended before its socket was there: {how}{}", function.last_words())))
            }
            () = tokio::time::sleep(limit) => {
                Err(Stop::Fail(format!("no socket within {} s{}", limit.as_secs(), function.last_words())))
            }
        }
    }

    /// Starts it.
    pub(super) fn spawn(self) -> Verdict<Function> {
        if self.wrapped && self.image.is_some() {
            return Err(Stop::Skip("the engine sees to it, not the function".into()));
        }
        let (command, container) = if let Some(image) = &self.image {
            let (command, container) = image.command(self.directory.path(), &self.environment);
            (command, Some(container))
        } else {
            let (program, arguments) =
                self.command.split_first().ok_or_else(|| Stop::Skip("no command".to_owned()))?;
            let mut command = std::process::Command::new(program);
            command.args(arguments).env_clear().envs(&self.environment);
            (command, None)
        };
        let program = command.get_program().to_owned();
        let started = Instant::now();
        let mut child = Command::from(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group, so that whatever it starts can be ended with it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Stop::Fail(format!("cannot run {}: {error}", program.display())))?;
        if self.stdout == Stdout::Broken {
            drop(child.stdout.take());
        }
        Ok(Function::new(child, container, self.socket, started, self.directory))
    }
}
