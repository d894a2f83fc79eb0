//! One container's life as the Fn agent leads it: start, await the socket, call, judge the status, kill.
//!
//! The container here is a process with a directory and an environment of its own.

mod process;
mod request;

use crate::logs::Logs;
use crate::socket::SocketWatch;
use crate::usage::{self, Memory};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, combinators::BoxBody};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use hyperlocal::UnixConnector;
use process::Process;
use request::{call_id, request};
use rustix::process::Signal;
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

/// How long a function may take until its socket is there (`FN_HOT_START_TIMEOUT_MSECS`).
const START_LIMIT: Duration = Duration::from_secs(5);
/// The agent keeps one idle connection, for a second.
const IDLE_LIMIT: Duration = Duration::from_secs(1);

/// What to run.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The function's name.
    pub name: String,
    /// The executable.
    pub executable: PathBuf,
    /// Configuration of the function; the platform's own variables win over it.
    pub config: Vec<(String, String)>,
    /// Granted memory in MB.
    pub memory: u64,
    /// How long a call may take.
    pub timeout: Duration,
    /// Whether the function's output is passed on to stderr as it comes.
    pub echo: bool,
}

/// A running function.
pub struct Container {
    directory: TempDir,
    socket: PathBuf,
    process: Process,
    client: Client<UnixConnector, BoxBody<Bytes, Infallible>>,
    logs: Logs,
    timeout: Duration,
    socket_after: Duration,
    started: Instant,
}

/// A call to make.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// The body; sent in chunks unless empty, as the agent does.
    pub body: Bytes,
    /// The caller's headers.
    pub headers: HeaderMap,
}

/// What the function answered, with a status the agent takes for success.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The call's id.
    pub call_id: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// From the first byte sent to the last received.
    pub took: Duration,
}

/// Why there is no reply: what the agent would tell its caller, and what was behind it.
#[derive(Debug)]
pub struct Fault {
    status: u16,
    message: &'static str,
    detail: String,
    body: Bytes,
}

impl Fault {
    fn new(status: u16, message: &'static str, detail: impl Into<String>) -> Self {
        Self { status, message, detail: detail.into(), body: Bytes::new() }
    }

    /// The status the platform's caller gets.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The message the platform's caller gets.
    pub fn message(&self) -> &str {
        self.message
    }

    /// The body that the function sent and the platform throws away; empty when there was none.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.message)?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

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
            move |error: &dyn fmt::Display| {
                Fault::new(500, "internal server error", format!("{what}: {error}"))
            }
        };
        // A short path: a unix socket's has at most 107 bytes, and the system's own temporary folder may be deep.
        let directory = tempfile::Builder::new()
            .prefix("iofs")
            .tempdir_in("/tmp")
            .map_err(|error| unable("no directory for the socket")(&error))?;
        let watch = SocketWatch::new(directory.path())
            .map_err(|error| unable("cannot watch the directory")(&error))?;
        let started = Instant::now();
        let mut process = Process::spawn(spec, &directory, logs)
            .map_err(|error| unable(&format!("cannot run {}", spec.executable.display()))(&error))?;
        let socket = tokio::select! {
            published = watch.published() => published.map_err(|why| Fault::new(502, INIT_FAILED, why))?,
            status = process.child.wait() => {
                let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                // What it printed last says why; let it arrive.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return Err(Fault::new(502, INIT_FAILED, format!("it ended before its socket was there: {how}")));
            }
            () = tokio::time::sleep(START_LIMIT) => {
                return Err(Fault::new(504, INIT_TIMED_OUT, "no socket after 5 s"));
            }
        };
        let mut client = Client::builder(TokioExecutor::new());
        client
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_timer(hyper_util::rt::TokioTimer::new());
        Ok(Self {
            socket,
            process,
            client: client.build(UnixConnector),
            logs: logs.clone(),
            timeout: spec.timeout,
            socket_after: started.elapsed(),
            started,
            directory,
        })
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
        self.directory.path()
    }

    /// What it has printed.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The memory it uses.
    pub fn memory(&self) -> Option<Memory> {
        usage::memory(self.process.child.id()?)
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.child.id()
    }

    /// Calls the function as the agent does. A fault for which the agent kills the container kills it here too.
    pub async fn call(&mut self, call: Call) -> Result<Reply, Fault> {
        let call_id = call_id();
        let deadline = SystemTime::now() + self.timeout;
        let request = request(&self.socket, &call_id, deadline, call);
        let began = Instant::now();
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| lost(&error))?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| {
                Fault::new(500, "internal server error", format!("the reply broke off: {error}"))
            })?;
            Ok::<_, Fault>((head, body.to_bytes()))
        };
        let (head, body) = match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(fault)) => {
                // A body that breaks off costs the call and not the container.
                if fault.status != 500 {
                    self.kill();
                }
                return Err(fault);
            }
            Err(_) => {
                self.kill();
                return Err(Fault::new(
                    504,
                    "Timed out",
                    "it did not answer in time and was killed, its state with it",
                ));
            }
        };
        match head.status {
            StatusCode::OK => Ok(Reply { call_id, headers: head.headers, body, took: began.elapsed() }),
            StatusCode::BAD_GATEWAY => Err(Fault { body, ..Fault::new(502, "function failed", "") }),
            StatusCode::GATEWAY_TIMEOUT => Err(Fault { body, ..Fault::new(504, "Timed out", "") }),
            other => {
                self.kill();
                let detail =
                    format!("status {other}, where only 200, 502 and 504 are allowed; it was killed");
                Err(Fault { body, ..Fault::new(502, "invalid function response", detail) })
            }
        }
    }

    /// Ends the function as the agent does: SIGKILL to the whole process group.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Asks the function to stop (SIGTERM) and waits for its exit code; `None` when a signal ended it.
    pub async fn terminate(&mut self) -> std::io::Result<Option<i32>> {
        self.process.signal(Signal::TERM);
        Ok(self.process.child.wait().await?.code())
    }

    /// Waits until the process ends by itself; the exit code, `None` when a signal ended it.
    pub async fn ended(&mut self) -> std::io::Result<Option<i32>> {
        Ok(self.process.child.wait().await?.code())
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

fn lost(error: &hyper_util::client::legacy::Error) -> Fault {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Fault::new(502, "error receiving function response", cause.to_string())
}
