//! One log line per call: id, outcome, time, bytes, and for a failure what was wrong and where.

use crate::context::Call;
use crate::contract::{Outcome, PLATFORM_BODY_LIMIT};
use crate::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Whether a call has been answered by this process: the first one pays for what the start left undone.
static ANSWERED: AtomicBool = AtomicBool::new(false);

/// How long after its deadline a handler may still be at work before it counts as one that blocks: one that awaits is
/// dropped within microseconds, or as soon as a machine with much else to do lets its thread run.
const GRACE: Duration = Duration::from_millis(200);

/// A call in flight. Dropped without an outcome, the caller has left: the work is told to stop.
#[derive(Debug)]
pub(crate) struct CallLog {
    call: Arc<Call>,
    began: Instant,
    received: u64,
    told: bool,
    in_flight: Option<Arc<()>>,
}

impl CallLog {
    pub(crate) fn begin(call: Arc<Call>) -> Self {
        Self { call, began: Instant::now(), received: 0, told: false, in_flight: None }
    }

    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    pub(crate) fn received(&mut self, bytes: u64) {
        self.received = bytes;
    }

    /// Counts as a call in flight from here until this is dropped.
    pub(crate) fn hold(&mut self, in_flight: Arc<()>) {
        self.in_flight = Some(in_flight);
    }

    pub(crate) fn oversize(&self, bytes: u64) {
        self.call.write_frame();
        tracing::warn!(
            target: "fdk::call",
            call_id = self.call.id(),
            bytes,
            "the reply is over {PLATFORM_BODY_LIMIT} bytes: OCI refuses such a reply; send less, or a link to it",
        );
    }

    pub(crate) fn answered(&mut self, outcome: Outcome, sent: u64) {
        self.told = true;
        self.call.write_frame();
        let (ms, first) = (self.milliseconds(), !ANSWERED.swap(true, Ordering::Relaxed));
        let outcome = name(outcome);
        if first {
            tracing::info!(target: "fdk::call", call_id = self.call.id(), outcome, ms, r#in = self.received, out = sent, first, "call");
        } else {
            tracing::info!(target: "fdk::call", call_id = self.call.id(), outcome, ms, r#in = self.received, out = sent, "call");
        }
    }

    pub(crate) fn failed(&mut self, error: &Error, outcome: Outcome, sent: u64) {
        self.told = true;
        self.call.cancellation().cancel();
        self.call.write_frame();
        ANSWERED.store(true, Ordering::Relaxed);
        let (id, ms, text) = (self.call.id(), self.milliseconds(), error.chain());
        let (r#in, out, path) = (self.received, sent, error.path());
        if error.is_input() {
            tracing::warn!(target: "fdk::call", call_id = id, outcome = "caller_fault", ms, r#in, out, path, "{text}");
        } else {
            tracing::error!(target: "fdk::call", call_id = id, outcome = name(outcome), ms, r#in, out, path, "{text}");
        }
        if error.is_timed_out()
            && self.call.is_at_work()
            && let Ok(reactor) = tokio::runtime::Handle::try_current()
        {
            reactor.spawn(warn_if_it_blocks(self.call.clone()));
        }
    }

    fn milliseconds(&self) -> f64 {
        (self.began.elapsed().as_secs_f64() * 1e5).round() / 1e2
    }
}

impl Drop for CallLog {
    fn drop(&mut self) {
        if !self.told {
            self.call.cancellation().cancel();
            self.call.write_frame();
            tracing::warn!(
                target: "fdk::call",
                call_id = self.call.id(),
                outcome = "gone",
                ms = self.milliseconds(),
                r#in = self.received,
                "the caller left before the reply",
            );
        }
    }
}

/// Says which handler holds up the next call while it does: it may never return, and then nothing else would.
async fn warn_if_it_blocks(call: Arc<Call>) {
    tokio::time::sleep(GRACE).await;
    if call.is_at_work() {
        tracing::warn!(
            target: "fdk::call",
            call_id = call.id(),
            "the handler still blocks after its deadline, and the next call waits for it: ask the cancellation token in long loops",
        );
    }
}

fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "failed",
        Outcome::TimedOut => "timed_out",
    }
}
