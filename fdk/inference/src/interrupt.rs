//! How long work tells whether to go on.

use crate::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

/// Asked between layers, sub-batches and tokens; says whether anybody still waits for the result.
pub struct Interrupt<'a> {
    stop: Option<&'a dyn Fn() -> bool>,
    end: Option<Instant>,
}

impl<'a> Interrupt<'a> {
    /// Stops the work once `stop` is true. It is asked every few milliseconds, from the thread that works.
    pub fn when(stop: &'a dyn Fn() -> bool) -> Self {
        Self { stop: Some(stop), end: None }
    }

    /// Lets the work end by itself.
    pub fn never() -> Self {
        Self { stop: None, end: None }
    }

    /// Says when `stop` will be true at the latest, so that work which cannot be done by then need not be begun.
    #[must_use]
    pub fn ending(self, end: Instant) -> Self {
        Self { end: Some(end), ..self }
    }

    /// An error for which [`Error::is_interrupted`] holds, once the work is to stop.
    pub fn check(&self) -> Result<(), Error> {
        match self.stop {
            Some(stop) if stop() => Err(Error::interrupted()),
            _ => Ok(()),
        }
    }

    /// The time that is left, where an end is known.
    pub fn remaining(&self) -> Option<Duration> {
        self.end.map(|end| end.saturating_duration_since(Instant::now()))
    }
}

impl fmt::Debug for Interrupt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupt")
            .field("never", &self.stop.is_none())
            .field("remaining", &self.remaining())
            .finish()
    }
}
