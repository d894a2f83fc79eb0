//! Hot containers: for each function those that wait for a call, and the calls that wait for a container.
//!
//! A container has one call at a time. A call takes the container that was used last; when all are busy another is started,
//! up to a limit, and the call takes whichever is free first.

mod lease;
mod line;

use crate::agent::{Fault, Spec};
use crate::usage::Memory;
pub use lease::Lease;
use line::Line;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many containers, and what becomes of them between calls.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Containers of one function at a time.
    pub containers: usize,
    /// After a call a container is stopped for so long a time; `None` leaves it running.
    pub freeze_after: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        // The agent's own `FN_FREEZE_IDLE_MSECS`.
        Self { containers: (2 * cores).max(4), freeze_after: Some(Duration::from_millis(50)) }
    }
}

/// How containers of a function are to be: made anew when the revision differs from theirs.
#[derive(Clone)]
pub struct Plan {
    /// The function's id.
    pub function: String,
    /// What distinguishes this state of the function's image and settings from another.
    pub revision: u64,
    /// How long a call waits for a container, not counting the start of one.
    pub patience: Duration,
    /// How long a container may wait for a call.
    pub idle: Duration,
    /// What to run; asked for once per container.
    pub spec: Arc<dyn Fn() -> Result<Spec, Fault> + Send + Sync>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("function", &self.function)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Its socket is awaited.
    Starting,
    /// It has a call.
    Busy,
    /// It waits for a call and runs.
    Warm,
    /// It waits for a call and is stopped.
    Frozen,
}

/// A container as seen from outside.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Seen {
    /// The container's number.
    pub container: u64,
    /// The function's id.
    pub function: String,
    /// What it is doing.
    pub condition: Condition,
    /// Its process.
    pub pid: Option<u32>,
    /// What it uses, where it waits for a call.
    pub memory: Option<Memory>,
    /// Calls it had.
    pub calls: u64,
}

/// The containers of all functions.
#[derive(Debug)]
pub struct Pool {
    limits: Arc<Limits>,
    lines: Mutex<HashMap<String, Arc<Line>>>,
}

impl Pool {
    /// A pool without containers.
    pub fn new(limits: Limits) -> Self {
        Self { limits: Arc::new(limits), lines: Mutex::default() }
    }

    /// A container for one call, started if none is free. 503 when none becomes free in time.
    pub async fn acquire(&self, plan: &Plan) -> Result<Lease, Fault> {
        let line = {
            let mut lines = self.lines();
            let line = lines.entry(plan.function.clone());
            line.or_insert_with(|| Line::new(plan.clone(), self.limits.clone())).clone()
        };
        line.acquire(plan).await
    }

    /// Ends a function's containers: those that wait at once, those that are busy after their call.
    pub fn retire(&self, function: &str) {
        if let Some(line) = self.lines().remove(function) {
            line.close();
        }
    }

    /// The functions that have, or had, containers.
    pub fn functions(&self) -> Vec<String> {
        self.lines().keys().cloned().collect()
    }

    /// Every container.
    pub fn seen(&self) -> Vec<Seen> {
        let lines: Vec<_> = self.lines().values().cloned().collect();
        lines.iter().flat_map(|line| line.seen()).collect()
    }

    /// How many containers of a function are no more.
    pub fn ended(&self, function: &str) -> u64 {
        self.lines().get(function).map_or(0, |line| line.ended())
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for line in self.lines().values() {
            line.close();
        }
    }
}
