//! A server under test: started as the agent starts a container, its socket awaited as the agent awaits it.

use crate::client::Connection;
use crate::{Result, because};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SOCKET: &str = "lsnr.sock";

/// How to start it: program and arguments, and configuration.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) config: Vec<(String, String)>,
}

/// A running server; dropping it kills it.
pub(crate) struct Function {
    child: Child,
    directory: TempDir,
    /// From before the fork, so the system's own part is in every figure.
    pub(crate) spawned: Instant,
    pub(crate) socket_after: Duration,
    /// Kept: the kernel takes 10 ms to close one, which is no part of a first reply.
    _watch: Watch,
}

/// In KiB.
pub(crate) struct Memory {
    pub(crate) rss: u64,
    pub(crate) private: u64,
}

impl Function {
    pub(crate) fn start(spec: &Spec) -> Result<Self> {
        let directory =
            tempfile::Builder::new().prefix("fdk-bench").tempdir().map_err(because("a directory"))?;
        let watch = Watch::new(directory.path()).map_err(because("inotify"))?;
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(spec.config.iter().map(|(name, value)| (name, value)))
            .env("HOME", directory.path())
            .env("FN_LISTENER", format!("unix:{}", directory.path().join(SOCKET).display()))
            .env("FN_FORMAT", "http-stream")
            .env("FN_MEMORY", "256")
            .env("FN_TYPE", "sync")
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // A pipe that somebody reads, as a container's is: a log line costs what it costs there.
            .stderr(Stdio::piped());
        let spawned = Instant::now();
        let mut child = command.spawn().map_err(because(spec.program.display()))?;
        let published = watch.published();
        let socket_after = spawned.elapsed();
        if let Some(mut stderr) = child.stderr.take() {
            std::thread::spawn(move || io::copy(&mut stderr, &mut io::sink()));
        }
        let function = Self { child, directory, spawned, socket_after, _watch: watch };
        published.map_err(because(format!("{} published no socket", spec.program.display())))?;
        Ok(function)
    }

    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open(&self.directory.path().join(SOCKET))
    }

    /// The processor time of all its threads, to the nanosecond (`schedstat`; `stat` counts in 10 ms).
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let tasks = format!("/proc/{}/task", self.child.id());
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(&tasks).map_err(because(&tasks))? {
            let path = task.map_err(because(&tasks))?.path().join("schedstat");
            let text = std::fs::read_to_string(&path).map_err(because(path.display()))?;
            let ran = text.split(' ').next().and_then(|ran| ran.parse::<u64>().ok());
            nanoseconds += ran.ok_or_else(|| format!("{}: {text:?}", path.display()))?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        let read = |name: &str| {
            let path = format!("/proc/{}/{name}", self.child.id());
            std::fs::read_to_string(&path).map_err(because(path))
        };
        let (status, rollup) = (read("status")?, read("smaps_rollup")?);
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let value = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            value.ok_or_else(|| format!("/proc says no {name}"))
        };
        let private = field(&rollup, "Private_Clean:")? + field(&rollup, "Private_Dirty:")?;
        Ok(Memory { rss: field(&status, "VmRSS:")?, private })
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Wakes on the very name; asking again and again would take the core that the server starts on.
struct Watch(OwnedFd);

impl Watch {
    const PATIENCE: Timespec = Timespec { tv_sec: 15, tv_nsec: 0 };

    fn new(directory: &Path) -> io::Result<Self> {
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&fd, directory, inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO)?;
        Ok(Self(fd))
    }

    fn published(&self) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.0, &mut buffer);
        loop {
            match events.next() {
                Ok(event) if event.file_name().is_some_and(|name| name.to_bytes() == SOCKET.as_bytes()) => {
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) if error == rustix::io::Errno::AGAIN => {
                    if poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&Self::PATIENCE))? == 0 {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
