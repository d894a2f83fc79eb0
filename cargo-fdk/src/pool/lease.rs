//! A container that is one call's for the time being.

use super::line::Line;
use crate::agent::{Begun, Call, Container, Fault, Reply};
use crate::logs::CallLogs;
use crate::usage::Memory;
use std::sync::Arc;
use std::time::Duration;

/// A container to be called once. Dropped during the call, it is killed, as by the agent when its caller leaves.
#[derive(Debug)]
pub struct Lease {
    line: Arc<Line>,
    /// Always there until this is dropped.
    container: Option<Container>,
    revision: u64,
    calls: u64,
    calling: bool,
}

impl Lease {
    pub(super) fn new(line: Arc<Line>, container: Container, revision: u64, calls: u64) -> Self {
        Self { line, container: Some(container), revision, calls, calling: false }
    }

    /// Takes the container out; nothing is given back any more.
    pub(super) fn into_container(mut self) -> Option<Container> {
        self.container.take()
    }

    /// Whether this is the container's first call.
    pub fn is_cold(&self) -> bool {
        self.calls == 0
    }

    /// The container's number.
    pub fn container(&self) -> u64 {
        self.container.as_ref().map_or(0, Container::number)
    }

    /// From the start of the process to its socket.
    pub fn socket_after(&self) -> Duration {
        self.container.as_ref().map(Container::socket_after).unwrap_or_default()
    }

    /// What the container uses.
    pub fn memory(&self) -> Option<Memory> {
        self.container.as_ref()?.memory()
    }

    /// What the container prints from the beginning of the call on.
    pub fn call_logs(&self) -> CallLogs {
        self.container.as_ref().map(Container::call_logs).unwrap_or_default()
    }

    /// Makes the call.
    pub async fn call(&mut self, call: Call) -> Result<Reply, Fault> {
        let Some(container) = &mut self.container else {
            return Err(Fault::internal("the container is gone"));
        };
        self.calling = true;
        let reply = container.call(call).await;
        self.calling = false;
        self.calls += 1;
        reply
    }
}

impl Lease {
    /// Begins the call; [`Lease::end`] ends it. Dropped between the two, the container is killed.
    pub async fn begin(&mut self, call: Call) -> Result<Begun, Fault> {
        let Some(container) = &mut self.container else {
            return Err(Fault::internal("the container is gone"));
        };
        self.calling = true;
        let begun = container.begin(call).await;
        if begun.is_err() {
            self.end(None);
        }
        begun
    }

    /// The reply has come to its end, or to a fault.
    pub fn end(&mut self, fault: Option<&Fault>) {
        self.calling = false;
        self.calls += 1;
        if let (Some(container), Some(fault)) = (&self.container, fault) {
            container.judge(fault);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(container) = self.container.take() {
            let number = container.number();
            let whole = Some(container).filter(|_| !self.calling);
            self.line.give_back(number, whole, self.revision, self.calls);
        }
    }
}
