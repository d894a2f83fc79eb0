//! What a state loader is given, the report it writes into, and the refusal that ends the process.

use crate::config::Config;
use serde_json::{Map, Value};
use std::fmt;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Why a function ended; the number is the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// The platform's variables or the function's configuration (2).
    Configuration = 2,
    /// The resource principal (3).
    Principal = 3,
    /// A model's files (4).
    Assets = 4,
    /// Everything else that must work before the first call (5).
    Initialisation = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a function does not start: what is wrong, and the remedy.
#[derive(Debug, Clone)]
pub struct Refusal {
    exit: Exit,
    message: String,
}

impl Refusal {
    /// A refusal that ends the process with `exit`.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub(crate) fn initialisation(message: String) -> Self {
        Self::new(Exit::Initialisation, message)
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// What a function knows while it starts. Whatever it records here is in the start report.
#[derive(Debug, Clone)]
pub struct Init {
    config: Arc<Config>,
    report: Arc<Mutex<Report>>,
}

#[derive(Debug)]
struct Report {
    started: Instant,
    phases: Map<String, Value>,
    facts: Map<String, Value>,
}

impl Init {
    pub(crate) fn new(config: Arc<Config>, started: Instant) -> Self {
        let report = Report { started, phases: Map::new(), facts: Map::new() };
        Self { config, report: Arc::new(Mutex::new(report)) }
    }

    /// The configuration and what the platform says of the container.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Records how long a phase of the start took; a phase recorded twice adds up.
    pub fn phase(&self, name: &str, took: Duration) {
        let report = &mut *self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let before = report.phases.get(name).and_then(Value::as_f64).unwrap_or_default();
        report.phases.insert(name.into(), milliseconds(before + took.as_secs_f64() * 1e3));
    }

    /// Records a fact, such as the model or the CPU features used.
    pub fn fact(&self, name: &str, value: impl Into<Value>) {
        let report = &mut *self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.facts.insert(name.into(), value.into());
    }

    /// Writes the start report: one line, with what each phase cost.
    pub(crate) fn ready(&self) {
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let total = milliseconds(report.started.elapsed().as_secs_f64() * 1e3);
        crate::logs::start_report(&total, &report.phases, &report.facts);
    }
}

/// Milliseconds to a hundredth: finer digits are noise.
pub(crate) fn milliseconds(ms: f64) -> Value {
    Value::from((ms * 100.0).round() / 100.0)
}
