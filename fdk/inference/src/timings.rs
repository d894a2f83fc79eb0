//! What each phase of opening a model cost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The phases of opening a model, in order, and what was found on the way. Clones share one record.
#[derive(Debug, Clone, Default)]
pub struct Timings(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    phases: Vec<(&'static str, Duration)>,
    facts: Vec<(&'static str, String)>,
}

impl Timings {
    /// Runs one phase and records what it took.
    pub(crate) fn time<T>(&self, phase: &'static str, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        self.record().phases.push((phase, began.elapsed()));
        result
    }

    /// Records a fact, such as which kernels run.
    #[cfg(any(feature = "text", feature = "vision"))]
    pub(crate) fn fact(&self, name: &'static str, value: impl Into<String>) {
        self.record().facts.push((name, value.into()));
    }

    /// The phases so far.
    pub fn phases(&self) -> Vec<(&'static str, Duration)> {
        self.record().phases.clone()
    }

    /// The facts so far.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        self.record().facts.clone()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
