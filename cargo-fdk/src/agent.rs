//! One container's life as the Fn agent leads it: start, await the socket, call, judge the status, kill.
//!
//! The container here is a process with a directory and an environment of its own.

pub(crate) mod directory;
mod exchange;
mod fault;
mod mark;
mod process;
mod request;
mod spec;

pub use exchange::{Begun, Call, Reply};
pub use fault::Fault;
pub use spec::Spec;

use crate::logs::{CallLogs, Logs};
use crate::socket::SocketWatch;
use crate::usage::{self, Memory};
use bytes::Bytes;
use directory::Directory;
use http_body_util::combinators::BoxBody;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use hyperlocal::UnixConnector;
use process::Process;
use rustix::process::Signal;
use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a function may take until its socket is there (`FN_HOT_START_TIMEOUT_MSECS`).
pub(crate) const START_LIMIT: Duration = Duration::from_secs(5);
/// How long a function whose socket is not good may take to end, so that it can be said how.
const END_LIMIT: Duration = Duration::from_secs(1);
/// The agent keeps one idle connection, for a second.
const IDLE_LIMIT: Duration = Duration::from_secs(1);

/// Go counts the bytes of headers and not their number; hyper takes no more than 100 unless told otherwise. So many does a
/// function of this FDK take.
pub(crate) const MAX_HEADERS: usize = 1024;

/// Containers that this process has started.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// A running function.
pub struct Container {
    number: u64,
    /// There until this is dropped.
    life: Option<Life>,
    io: PathBuf,
    socket: PathBuf,
    client: Client<UnixConnector, BoxBody<Bytes, Infallible>>,
    logs: Logs,
    call_logs: CallLogs,
    timeout: Duration,
    reply_limit: usize,
    socket_after: Duration,
    started: Instant,
}

/// What goes when the container does, in this order: nobody may write into the directory when that goes.
struct Life {
    process: Process,
    directory: Directory,
    kept: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Life {
    async fn end(self) {
        self.process.bury().await;
        drop((self.directory, self.kept));
    }
}

impl Container {
    /// Starts the function and waits for its socket.
    pub async fn start(spec: &Spec) -> Result<Self, Fault> {
        let logs = Logs::default();
        Self::start_with_logs(spec, &logs).await
    }

    /// As [`Container::start`]; `logs` has what the function printed even when it did not start.
    pub async fn start_with_logs(spec: &Spec, logs: &Logs) -> Result<Self, Fault> {
        let unable = |what: &str| {
            let what = what.to_owned();
            move |error: &dyn fmt::Display| Fault::internal(format!("{what}: {error}"))
        };
        let directory = Directory::create().map_err(|error| unable("no directory for the socket")(&error))?;
        let io = directory.io();
        let watch = SocketWatch::new(&io).map_err(|error| unable("cannot watch the directory")(&error))?;
        let started = Instant::now();
        let process = Process::spawn(spec, &directory, logs)
            .map_err(|error| unable(&format!("cannot run {}", spec.executable.display()))(&error))?;
        let mut client = Client::builder(TokioExecutor::new());
        client
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .http1_max_headers(MAX_HEADERS);
        // From here on its end is seen to, whatever becomes of this.
        let mut container = Self {
            number: STARTED.fetch_add(1, Ordering::Relaxed) + 1,
            life: Some(Life { process, directory, kept: spec.kept.clone() }),
            io,
            socket: PathBuf::new(),
            client: client.build(UnixConnector),
            logs: logs.clone(),
            call_logs: CallLogs::default(),
            timeout: spec.timeout,
            reply_limit: spec.reply_limit.unwrap_or(usize::MAX),
            socket_after: Duration::ZERO,
            started,
        };
        container.socket = tokio::select! {
            published = watch.published() => match published {
                Ok(socket) => socket,
                Err(why) => {
                    // One that ends at once takes its socket with it, before it could be looked at.
                    let end = tokio::time::timeout(END_LIMIT, container.death()).await;
                    let how = end.map_or_else(|_| String::new(), |how| format!("; it ended: {how}"));
                    return Err(Fault::new(502, INIT_FAILED, format!("{why}{how}")));
                }
            },
            how = container.death() => {
                return Err(Fault::new(502, INIT_FAILED, format!("it ended before its socket was there: {how}")));
            }
            () = tokio::time::sleep(START_LIMIT) => {
                return Err(Fault::new(504, INIT_TIMED_OUT, "no socket after 5 s"));
            }
        };
        container.socket_after = started.elapsed();
        Ok(container)
    }

    /// Waits for its end and for what it printed last, which says why; the words for how it ended.
    async fn death(&mut self) -> String {
        let status = self.wait().await;
        self.logs.read_to_end().await;
        status.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    async fn wait(&mut self) -> std::io::Result<std::process::ExitStatus> {
        match &mut self.life {
            Some(life) => life.process.child.wait().await,
            None => Err(std::io::ErrorKind::NotFound.into()),
        }
    }

    /// Tells it from every other container of this process.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// From the process's start to its socket.
    pub fn socket_after(&self) -> Duration {
        self.socket_after
    }

    /// When the process was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The socket's directory.
    pub fn directory(&self) -> &std::path::Path {
        &self.io
    }

    /// What it prints from the beginning of its last call on.
    pub fn call_logs(&self) -> CallLogs {
        self.call_logs.clone()
    }

    /// What it has printed.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The memory it uses.
    pub fn memory(&self) -> Option<Memory> {
        usage::memory(self.pid()?)
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        Some(self.life.as_ref()?.process.id()?.as_raw_pid().cast_unsigned())
    }

    /// Whether the process has ended, or was killed.
    pub fn has_ended(&mut self) -> bool {
        self.life.as_mut().is_none_or(|life| life.process.has_ended())
    }

    /// Stops the whole process group, until [`Container::thaw`].
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends the function as the agent does: SIGKILL to the whole process group.
    pub fn kill(&self) {
        if let Some(life) = &self.life {
            life.process.kill();
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(life) = &self.life {
            life.process.signal(signal);
        }
    }

    /// Asks the function to stop (SIGTERM) and waits for its exit code; `None` when a signal ended it.
    pub async fn terminate(&mut self) -> std::io::Result<Option<i32>> {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Waits until the process has ended and all that it printed is in the logs; the exit code, `None` when a signal ended
    /// it.
    pub async fn ended(&mut self) -> std::io::Result<Option<i32>> {
        let status = self.wait().await?;
        self.logs.read_to_end().await;
        Ok(status.code())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let Some(life) = self.life.take() else { return };
        life.process.kill();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(life.end())),
            // Nobody can wait for it; dropped, it kills all that is left all the same.
            Err(_) => drop(life),
        }
    }
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Container")
            .field("socket", &self.socket)
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

const INIT_FAILED: &str =
    "Container failed to initialize, please ensure you are using the latest fdk and check the logs";
const INIT_TIMED_OUT: &str =
    "Container initialization timed out, please ensure you are using the latest fdk and check the logs";
