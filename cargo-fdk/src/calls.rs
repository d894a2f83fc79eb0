//! The calls of late: what came of each, and how long its parts took.

use crate::logs::CallLogs;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;

/// How many calls are kept.
const KEPT: usize = 500;

/// A call that has ended.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Record {
    /// The call's id.
    pub id: String,
    /// The function's id.
    pub function: String,
    /// The function's name.
    pub name: String,
    /// When it came, in milliseconds since 1970.
    pub at: u64,
    /// What its caller was told.
    pub status: u16,
    /// What was behind a fault; empty otherwise.
    pub fault: String,
    /// Whether a container was started for it, or was new.
    pub cold: bool,
    /// The container's number; 0 when there was none.
    pub container: u64,
    /// Until it had a container, less the start of that.
    #[serde(serialize_with = "ms")]
    pub queued: Duration,
    /// From the start of the process to its socket, when it was started for this call.
    #[serde(serialize_with = "ms")]
    pub start: Duration,
    /// From the first byte sent to the last received.
    #[serde(serialize_with = "ms")]
    pub call: Duration,
    /// Bytes of the request's body.
    pub request: usize,
    /// Bytes of the reply's body.
    pub reply: usize,
    /// What the container used after it, in KiB of its own share.
    pub memory_kib: Option<u64>,
    /// What the function printed from its beginning to that of the next.
    #[serde(skip)]
    pub logs: CallLogs,
}

impl Record {
    /// All of it.
    pub fn took(&self) -> Duration {
        self.queued + self.start + self.call
    }
}

fn ms<S: serde::Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e3)
}

/// The last calls, the newest last.
#[derive(Debug)]
pub struct Calls {
    kept: Mutex<VecDeque<Arc<Record>>>,
    news: broadcast::Sender<Arc<Record>>,
}

impl Default for Calls {
    fn default() -> Self {
        Self { kept: Mutex::default(), news: broadcast::Sender::new(KEPT) }
    }
}

impl Calls {
    /// Keeps a call, and tells those who listen.
    pub fn add(&self, record: Record) {
        let record = Arc::new(record);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(record.clone());
        drop(kept);
        // Nobody may listen.
        let _ = self.news.send(record);
    }

    /// The calls from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Record>> {
        self.news.subscribe()
    }

    /// The calls so far, the oldest first.
    pub fn all(&self) -> Vec<Arc<Record>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// A call by its id.
    pub fn find(&self, id: &str) -> Option<Arc<Record>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().rev().find(|record| record.id == id).cloned()
    }
}
