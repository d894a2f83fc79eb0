//! The reactor that speaks to the platform, and which of two threads drives it.
//!
//! While nothing runs, the handler's thread drives it: a request is then read, handled and answered on one thread, and a
//! call that takes microseconds pays for no hand-over, which costs more than all the rest of it. When a handler takes
//! longer, or waits for something of its own, the process's first thread takes over, so that nothing a handler does holds
//! up a deadline's reply. tokio allows this: a current-thread runtime is driven by whichever thread is in `block_on`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// How often the first thread looks whether a handler is still at the same poll. A call that is shorter never meets it.
const TICK: Duration = Duration::from_millis(2);
/// Ticks without a call after which it sleeps until the next: well before the platform freezes an idle container.
const IDLE_TICKS: u32 = 10;

/// What the handler's thread does: it drives, it is away, or it is at the poll of this number, which counts from 2.
const DRIVING: u64 = 0;
const AWAY: u64 = 1;

/// The reactor, shared by both threads.
pub(crate) struct Reactor {
    runtime: Runtime,
    handler: AtomicU64,
    /// The number of the last poll that began.
    polls: AtomicU64,
    /// Whether the first thread drives, or wants to.
    on_duty: AtomicBool,
    /// Asks the first thread to let go.
    relieved: Notify,
    /// Whether the first thread ticks; otherwise it must be woken for a call.
    ticking: AtomicBool,
    ended: AtomicBool,
    bell: (Mutex<()>, Condvar),
}

impl Reactor {
    /// A reactor that the handler's thread does not drive yet.
    pub(crate) fn new() -> std::io::Result<Self> {
        // Nothing blocks here: a handler's blocking work is its own runtime's.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
        Ok(Self {
            runtime,
            handler: AtomicU64::new(AWAY),
            polls: AtomicU64::new(1),
            on_duty: AtomicBool::new(false),
            relieved: Notify::new(),
            ticking: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            bell: (Mutex::new(()), Condvar::new()),
        })
    }

    /// Runs `life` as a task of the reactor until it ends, on the process's first thread.
    pub(crate) fn live<T: Send + 'static>(
        self: &Arc<Self>,
        life: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        let reactor = self.clone();
        let mut life = self.runtime.spawn(async move {
            let result = life.await;
            reactor.ended.store(true, SeqCst);
            reactor.ring();
            result
        });
        loop {
            self.on_duty.store(true, SeqCst);
            let ended = self.runtime.block_on(async {
                tokio::select! {
                    biased;
                    ended = &mut life => Some(ended),
                    () = self.relief() => None,
                }
            });
            self.on_duty.store(false, SeqCst);
            match ended {
                Some(ended) => return ended,
                None => self.stand_by(),
            }
        }
    }

    /// Until the handler's thread drives.
    async fn relief(&self) {
        while self.handler.load(SeqCst) != DRIVING || self.ended.load(SeqCst) {
            self.relieved.notified().await;
        }
    }

    /// Until the handler's thread is away, or has been at one poll for a tick, or all is over.
    fn stand_by(&self) {
        let (lock, bell) = &self.bell;
        let mut guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut seen, mut idle) = (DRIVING, 0);
        self.ticking.store(true, SeqCst);
        loop {
            let (now, polls) = (self.handler.load(SeqCst), self.polls.load(SeqCst));
            if now == AWAY || self.ended.load(SeqCst) || (now == seen && now != DRIVING) {
                return;
            }
            idle = if polls == seen { idle + 1 } else { 0 };
            seen = polls;
            if idle < IDLE_TICKS {
                guard = bell.wait_timeout(guard, TICK).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            self.ticking.store(false, SeqCst);
            // What began before this store has not rung, and is seen here.
            if self.handler.load(SeqCst) == DRIVING && !self.ended.load(SeqCst) {
                guard = bell.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            self.ticking.store(true, SeqCst);
            idle = 0;
        }
    }

    fn ring(&self) {
        let _guard = self.bell.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.bell.1.notify_one();
    }

    /// On the handler's thread: drives the reactor until `future` is ready.
    pub(crate) fn drive<T>(&self, future: impl Future<Output = T>) -> T {
        self.handler.store(DRIVING, SeqCst);
        if self.on_duty.load(SeqCst) {
            self.relieved.notify_one();
        }
        self.runtime.block_on(future)
    }

    /// On the handler's thread: from here it polls handlers, for however long that takes.
    pub(crate) fn poll(&self) {
        // Only this thread writes the count.
        let poll = self.polls.load(SeqCst) + 1;
        self.polls.store(poll, SeqCst);
        self.handler.store(poll, SeqCst);
        if !self.ticking.load(SeqCst) {
            self.ring();
        }
    }

    /// On the handler's thread: from here it has something else to wait for.
    pub(crate) fn leave(&self) {
        self.handler.store(AWAY, SeqCst);
        self.ring();
    }

    /// The runtime's context, to make sockets and timers of.
    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }
}
