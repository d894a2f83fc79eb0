//! One function's containers, and its calls in line for them.

use super::{Condition, Lease, Limits, Plan, Seen};
use crate::agent::{Container, Fault, START_LIMIT};
use crate::usage;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// Until a start has come to its end, in whichever way, and that is told.
const START_TOLD: Duration = START_LIMIT.saturating_add(Duration::from_secs(1));

#[derive(Debug)]
pub(super) struct Line {
    limits: Arc<Limits>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The plan of the last call.
    plan: Plan,
    /// The one used last is last.
    idle: Vec<Idle>,
    busy: Vec<Busy>,
    starting: usize,
    waiting: VecDeque<oneshot::Sender<Result<Lease, Fault>>>,
    /// Times a container began to wait; tells one wait from the next.
    waits: u64,
    /// Containers that are no more.
    ended: u64,
    closed: bool,
}

#[derive(Debug)]
struct Idle {
    container: Container,
    calls: u64,
    frozen: bool,
    wait: u64,
    keeper: AbortHandle,
}

/// A container that a lease has.
#[derive(Debug)]
struct Busy {
    number: u64,
    pid: Option<u32>,
    calls: u64,
}

impl State {
    fn alive(&self) -> usize {
        self.starting + self.busy.len() + self.idle.len()
    }

    fn lease(&mut self, line: &Arc<Line>, container: Container, calls: u64) -> Lease {
        self.busy.push(Busy { number: container.number(), pid: container.pid(), calls });
        Lease::new(line.clone(), container, self.plan.revision, calls)
    }

    /// The containers that wait and have not ended, taken out one by one.
    fn take_idle(&mut self) -> Option<Idle> {
        while let Some(mut idle) = self.idle.pop() {
            idle.keeper.abort();
            if !idle.container.has_ended() {
                return Some(idle);
            }
            self.ended += 1;
        }
        None
    }
}

impl Line {
    pub(super) fn new(plan: Plan, limits: Arc<Limits>) -> Arc<Self> {
        let state = State {
            plan,
            idle: Vec::new(),
            busy: Vec::new(),
            starting: 0,
            waiting: VecDeque::new(),
            waits: 0,
            ended: 0,
            closed: false,
        };
        Arc::new(Self { limits, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn acquire(self: &Arc<Self>, plan: &Plan) -> Result<Lease, Fault> {
        let mut receiver = {
            let state = &mut *self.state();
            if state.plan.revision != plan.revision {
                state.plan = plan.clone();
                while state.take_idle().is_some() {
                    state.ended += 1;
                }
            }
            if let Some(idle) = state.take_idle() {
                if idle.frozen {
                    idle.container.thaw();
                }
                return Ok(state.lease(self, idle.container, idle.calls));
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.push_back(sender);
            self.launch(state);
            receiver
        };
        let mut told = tokio::time::timeout(plan.patience, &mut receiver).await;
        // The agent's timer leaves a start out: that has a limit of its own, and an error that says more.
        if told.is_err() && self.is_starting() {
            told = tokio::time::timeout(START_TOLD, &mut receiver).await;
        }
        match told {
            Ok(Ok(lease)) => lease,
            Ok(Err(_)) => Err(Fault::new(404, "Fn not found", "it was removed while the call waited")),
            Err(_) => Err(Fault::new(503, "Timed out - server too busy", "no container was free in time")),
        }
    }

    fn is_starting(&self) -> bool {
        self.state().starting > 0
    }

    /// Starts as many containers as there are calls for, within the limit.
    fn launch(self: &Arc<Self>, state: &mut State) {
        state.waiting.retain(|waiting| !waiting.is_closed());
        while !state.closed && state.starting < state.waiting.len() && state.alive() < self.limits.containers
        {
            state.starting += 1;
            let (line, plan) = (self.clone(), state.plan.clone());
            tokio::spawn(async move {
                let started = match (plan.spec)() {
                    Ok(spec) => Container::start(&spec).await,
                    Err(fault) => Err(fault),
                };
                let state = &mut *line.state();
                state.starting -= 1;
                match started {
                    Ok(container) => line.settle(state, Some(container), plan.revision, 0),
                    Err(fault) => line.fail(state, fault),
                }
            });
        }
    }

    /// A container did not start: the call that waits longest is told.
    fn fail(self: &Arc<Self>, state: &mut State, fault: Fault) {
        let mut told = Err(fault);
        while let Some(waiting) = state.waiting.pop_front() {
            match waiting.send(told) {
                Ok(()) => break,
                Err(back) => told = back,
            }
        }
        self.launch(state);
    }

    /// A lease has ended; without its container when that is of no more use.
    pub(super) fn give_back(
        self: &Arc<Self>,
        number: u64,
        container: Option<Container>,
        revision: u64,
        calls: u64,
    ) {
        let state = &mut *self.state();
        state.busy.retain(|busy| busy.number != number);
        self.settle(state, container, revision, calls);
    }

    /// Gives a container to the call that waits longest, or lets it wait.
    fn settle(self: &Arc<Self>, state: &mut State, container: Option<Container>, revision: u64, calls: u64) {
        let of_use = revision == state.plan.revision && !state.closed;
        let mut left = container.filter(|_| of_use);
        if left.as_mut().is_none_or(Container::has_ended) {
            state.ended += 1;
            drop(left);
            return self.launch(state);
        }
        while let Some(container) = left.take() {
            let Some(waiting) = state.waiting.pop_front() else {
                left = Some(container);
                break;
            };
            let lease = state.lease(self, container, calls);
            if let Err(Ok(back)) = waiting.send(Ok(lease)) {
                state.busy.pop();
                left = back.into_container();
            }
        }
        let Some(container) = left else { return };
        state.waits += 1;
        let keeper = keep(self.clone(), state.waits, self.limits.freeze_after, state.plan.idle);
        let keeper = tokio::spawn(keeper).abort_handle();
        state.idle.push(Idle { container, calls, frozen: false, wait: state.waits, keeper });
    }

    /// Ends it: what waits goes now, what is busy after its call.
    pub(super) fn close(&self) {
        let state = &mut *self.state();
        state.closed = true;
        state.waiting.clear();
        while state.take_idle().is_some() {}
    }

    pub(super) fn ended(&self) -> u64 {
        self.state().ended
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        let state = &*self.state();
        let see = |container, condition, pid: Option<u32>, calls| Seen {
            container,
            function: state.plan.function.clone(),
            condition,
            pid,
            memory: pid.and_then(usage::memory),
            calls,
        };
        let idle = state.idle.iter().map(|idle| {
            let condition = if idle.frozen { Condition::Frozen } else { Condition::Warm };
            see(idle.container.number(), condition, idle.container.pid(), idle.calls)
        });
        let busy = state.busy.iter().map(|busy| see(busy.number, Condition::Busy, busy.pid, busy.calls));
        let starting = (0..state.starting).map(|_| see(0, Condition::Starting, None, 0));
        idle.chain(busy).chain(starting).collect()
    }
}

/// Stops a container that waits, and ends it when it has waited long.
async fn keep(line: Arc<Line>, wait: u64, freeze_after: Option<Duration>, limit: Duration) {
    let began = tokio::time::Instant::now();
    if let Some(freeze_after) = freeze_after.filter(|after| *after < limit) {
        tokio::time::sleep(freeze_after).await;
        let mut state = line.state();
        let Some(idle) = state.idle.iter_mut().find(|idle| idle.wait == wait) else { return };
        idle.container.freeze();
        idle.frozen = true;
    }
    tokio::time::sleep_until(began + limit).await;
    let state = &mut *line.state();
    if let Some(place) = state.idle.iter().position(|idle| idle.wait == wait) {
        state.idle.remove(place);
        state.ended += 1;
    }
}
