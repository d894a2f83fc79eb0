//! What each phase of opening a model cost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The phases of opening a model, in order. Clones share one record.
#[derive(Debug, Clone, Default)]
pub struct Timings(Arc<Mutex<Vec<(&'static str, Duration)>>>);

impl Timings {
    /// Runs one phase and records what it took.
    pub(crate) fn time<T>(&self, phase: &'static str, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((phase, began.elapsed()));
        result
    }

    /// The phases so far.
    pub fn phases(&self) -> Vec<(&'static str, Duration)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
