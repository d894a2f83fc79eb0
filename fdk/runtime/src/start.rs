//! Process start: what must be true, the threads, the state, and the exit code.

use crate::config::Config;
use crate::contract::{self, env};
use crate::dispatch::{Dispatcher, Limits};
use crate::executor::{Executor, Program, Status};
use crate::init::{Exit, Init, Refusal};
use crate::listener::Listener;
use crate::reactor::Reactor;
use crate::{logs, server};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// A check that is cheap enough to make before the socket is published.
pub(crate) type Check = Box<dyn FnOnce(&Init) -> Result<(), Refusal>>;

/// Runs a function until it is told to stop.
pub(crate) fn run<S: 'static>(checks: Vec<Check>, program: Program<S>) -> ExitCode {
    let started = Instant::now();
    let config = Arc::new(Config::from_process());
    let ended = logs::init(&config)
        .map_err(|message| Refusal::new(Exit::Configuration, message))
        .and_then(|()| start(started, config, checks, program));
    match ended {
        Ok(code) => code,
        Err(refusal) => {
            logs::refusal(&refusal.to_string());
            refusal.exit().into()
        }
    }
}

fn start<S: 'static>(
    started: Instant,
    config: Arc<Config>,
    checks: Vec<Check>,
    program: Program<S>,
) -> Result<ExitCode, Refusal> {
    let refuse = |message: String| Refusal::new(Exit::Configuration, message);
    contract::check_format(config.get(env::FORMAT)).map_err(|error| refuse(error.to_string()))?;
    let socket =
        contract::socket_path(config.get(env::LISTENER)).map_err(|error| refuse(error.to_string()))?;
    let limits = Limits::from_config(&config).map_err(refuse)?;
    let threads = set_thread_variables(&config).map_err(refuse)?;

    let init = Init::new(config.clone(), started);
    init.fact("threads", threads);
    for check in checks {
        check(&init)?;
    }
    init.phase("check", started.elapsed());

    let fail = |error: std::io::Error| Refusal::initialisation(format!("cannot start: {error}"));
    let reactor = Arc::new(Reactor::new().map_err(fail)?);
    let entered = reactor.enter();
    let began = Instant::now();
    // The handlers are in place before anybody can know that we run: as PID 1, a signal without one is ignored.
    let signals = StopSignals::listen().map_err(fail)?;
    let listener = Listener::bind(&socket).map_err(|error| refuse(error.to_string()))?;
    listener.publish().map_err(|error| refuse(error.to_string()))?;
    init.phase("bind", began.elapsed());
    drop(entered);

    let executor = Executor::start(program, init, reactor.clone()).map_err(fail)?;
    let status = executor.status();
    let dispatcher = Arc::new(Dispatcher::new(executor, config, limits));
    reactor
        .live(serve(listener, dispatcher, status, signals))
        .map_err(|error| Refusal::initialisation(format!("the server has ended: {error}")))
}

/// Serves until a signal, or until the state could not be loaded; then lets calls in flight end.
async fn serve(
    listener: Listener,
    dispatcher: Arc<Dispatcher>,
    mut status: watch::Receiver<Status>,
    mut signals: StopSignals,
) -> ExitCode {
    let (stop, stopped) = oneshot::channel::<()>();
    let mut serving = std::pin::pin!(server::serve(listener, dispatcher.clone(), async {
        let _ = stopped.await;
    }));
    let load_failed = async {
        let loaded =
            status.wait_for(|status| !matches!(status, Status::Loading)).await.map(|end| end.clone());
        match loaded {
            Ok(Status::Failed(refusal)) => refusal,
            _ => std::future::pending().await,
        }
    };
    let failed = tokio::select! {
        () = &mut serving => None,
        () = signals.received() => None,
        refusal = load_failed => Some(refusal),
    };
    let _ = stop.send(());
    let patience = async {
        match &failed {
            // The calls that waited have their answers: time to write them out, well within the contract's 50 ms.
            Some(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            None => dispatcher.drained().await,
        }
    };
    tokio::select! {
        () = &mut serving => {}
        () = patience => {}
        // Asked twice means at once.
        () = signals.received() => {}
    }
    // Why it failed has been told by the thread that loads.
    failed.map_or(ExitCode::SUCCESS, |refusal: Refusal| refusal.exit().into())
}

/// SIGTERM and SIGINT. The agent sends neither (it kills), but `docker stop`, other runners and a terminal do.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Tells the inference libraries how many threads to start: they size themselves by the host's cores, which in a container
/// with a CPU share is many too many. Where another thread may be reading the environment, it is left as it is.
#[expect(unsafe_code, reason = "the environment can only be set through an unsafe call")]
fn set_thread_variables(config: &Config) -> Result<u64, String> {
    // A CPU share is not visible here, only quotas and affinity.
    let available = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let threads = inference_threads(config.get("FDK_THREADS"), available)?;
    let mut unset = vec!["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"];
    unset.retain(|name| config.get(name).is_none());
    if !unset.is_empty() && !is_only_thread() {
        tracing::warn!(
            target: "fdk::start",
            "{} stay unset: the process has other threads already, or no /proc to count them in, and one may be reading the environment. Inference may start more than {threads} threads. Call `run` before any thread starts, or set them in func.yaml",
            unset.join(" and "),
        );
        return Ok(threads);
    }
    for name in unset {
        // SAFETY: this is the process's only thread, so nothing reads the environment at the same time.
        unsafe { std::env::set_var(name, threads.to_string()) };
    }
    Ok(threads)
}

/// Whether the process has this thread alone. Where that cannot be seen, it may have others.
fn is_only_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// Unless more are asked for, the process has at most 16 threads: our two, and those of two pools of this size, one of which
/// counts the handler's thread among its own. They are the kernels' team and rayon's, which candle uses.
const DEFAULT_MOST: u64 = 7;

/// The most threads that tokio starts for a handler's `spawn_blocking`. The sandbox allows 50 in all, which is enough for these
/// and two pools of 16. By default tokio starts up to 512, and then none is left for inference.
pub(crate) const BLOCKING_THREADS: usize = 16;
const _: () = assert!(2 + (16 - 1) + 16 + BLOCKING_THREADS <= 50);

/// What may be asked for: the sandbox allows 50 threads in all.
fn inference_threads(asked: Option<&str>, available: u64) -> Result<u64, String> {
    match asked.map(str::trim) {
        None | Some("") => Ok(available.clamp(1, DEFAULT_MOST)),
        Some(text) => match text.parse::<u64>() {
            Ok(threads @ 1..=32) => Ok(threads),
            _ => Err(format!("FDK_THREADS is '{text}': it must be a number from 1 to 32")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_the_process_has_sixteen_threads_at_most() {
        for (available, threads) in [(1, 1), (2, 2), (7, 7), (8, 7), (128, 7)] {
            assert_eq!(inference_threads(None, available), Ok(threads));
            assert_eq!(inference_threads(Some(" "), available), Ok(threads));
            // The first thread and the handler's; a team that counts the handler's; rayon's.
            assert!(2 + (threads - 1) + threads <= 16);
        }
        assert_eq!(inference_threads(Some(" 20 "), 2), Ok(20));
        for asked in ["0", "33", "-1", "many"] {
            assert!(inference_threads(Some(asked), 2).unwrap_err().contains("FDK_THREADS"), "{asked}");
        }
    }

    #[test]
    fn the_environment_is_left_as_it_is_beside_other_threads() {
        // The harness has a thread of its own beside each test's.
        assert!(!is_only_thread());
        let before = std::env::var_os("RAYON_NUM_THREADS");
        assert!(
            set_thread_variables(&Config::from_pairs([("FDK_THREADS", "31")]))
                .is_ok_and(|threads| threads == 31)
        );
        assert_eq!(std::env::var_os("RAYON_NUM_THREADS"), before);
    }
}
