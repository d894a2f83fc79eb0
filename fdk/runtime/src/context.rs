//! What a handler knows of its call.

use crate::config::Config;
use crate::contract::header;
use crate::deadline::{Cancellation, Deadline};
use crate::gateway::HttpRequest;
use crate::logframe::LogFrame;
use crate::trace::TraceContext;
use http::HeaderMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::{Instant, SystemTime};

/// One call, without the function's state. `Debug` shows the names of its headers and no value.
pub struct Call {
    id: String,
    envelope: HeaderMap,
    http: Option<HttpRequest>,
    deadline: Option<Deadline>,
    cancellation: Cancellation,
    config: Arc<Config>,
    frame: Option<Arc<LogFrame>>,
    framed: Once,
    /// Whether the handler has begun and not ended.
    at_work: AtomicBool,
}

impl Call {
    pub(crate) fn new(mut envelope: HeaderMap, config: Arc<Config>, frame: Option<Arc<LogFrame>>) -> Self {
        // Which of them are credentials is the caller's choice, so none shows itself when a handler logs them.
        envelope.values_mut().for_each(|value| value.set_sensitive(true));
        let text = |name| envelope.get(name).and_then(|value| value.to_str().ok());
        let deadline =
            text(header::DEADLINE).and_then(|at| Deadline::parse(at, SystemTime::now(), Instant::now()));
        Self {
            id: text(header::CALL_ID).unwrap_or_default().into(),
            http: HttpRequest::decode(&envelope),
            cancellation: Cancellation::new(deadline.map(|deadline| deadline.soft())),
            deadline,
            config,
            envelope,
            frame,
            framed: Once::new(),
            at_work: AtomicBool::new(false),
        }
    }

    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self::new(HeaderMap::new(), Arc::default(), None)
    }

    /// The platform's id of this call (`Fn-Call-Id`); empty when it gives none.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When the call must be answered; `None` when the platform does not say.
    pub fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// The token that says when to stop.
    pub fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }

    /// The HTTP request behind a trigger or gateway call; `None` on a direct invoke.
    pub fn http(&self) -> Option<&HttpRequest> {
        self.http.as_ref()
    }

    /// The caller's headers: behind a gateway those of the HTTP request, else those of the call. Each value is marked
    /// sensitive, so that `Debug` of the map shows names alone.
    pub fn headers(&self) -> &HeaderMap {
        self.http.as_ref().map_or(&self.envelope, HttpRequest::headers)
    }

    /// The first value of one of [`Call::headers`], any case; `None` when absent or not ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Every header as the platform sent it, its own among them. Only `Fn-Call-Id` and `Fn-Deadline` are always the
    /// platform's: a direct caller of the open-source server can send any other.
    pub fn envelope(&self) -> &HeaderMap {
        &self.envelope
    }

    /// The configuration and what the platform says of the container.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The trace the call belongs to.
    pub fn trace(&self) -> TraceContext {
        TraceContext::read(&self.config, &self.envelope)
    }

    /// Writes the log frame, where one is asked for, before the first line of this call: the handler's, or the one that
    /// says why no handler ran.
    pub(crate) fn write_frame(&self) {
        if let Some(frame) = &self.frame {
            self.framed.call_once(|| frame.write(&self.envelope));
        }
    }

    pub(crate) fn is_at_work(&self) -> bool {
        self.at_work.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.id)
            .field("http", &self.http)
            .field("deadline", &self.deadline)
            .field("headers", &self.envelope.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// While it lives, the call's handler is at work.
pub(crate) struct AtWork(Arc<Call>);

impl AtWork {
    pub(crate) fn begin(call: Arc<Call>) -> Self {
        call.at_work.store(true, Ordering::Relaxed);
        Self(call)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.at_work.store(false, Ordering::Relaxed);
    }
}

/// The first argument of a handler: the call, and the state the function loaded at start.
///
/// Everything [`Call`] tells is here as well.
pub struct Context<S = ()> {
    call: Arc<Call>,
    state: Arc<S>,
}

impl<S> Context<S> {
    pub(crate) fn new(call: Arc<Call>, state: Arc<S>) -> Self {
        Self { call, state }
    }

    /// What the function's `state` loader made.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The call, to keep beyond the context.
    pub fn call(&self) -> &Arc<Call> {
        &self.call
    }
}

impl<S> std::ops::Deref for Context<S> {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.call
    }
}

impl<S> Clone for Context<S> {
    fn clone(&self) -> Self {
        Self { call: self.call.clone(), state: self.state.clone() }
    }
}

impl<S> fmt::Debug for Context<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("call", &self.call).finish_non_exhaustive()
    }
}

/// A type that a handler may take as its first argument. A front door implements it to hand out a richer context.
pub trait FromContext<S>: Sized {
    /// Makes it of the runtime's own context.
    fn from_context(context: Context<S>) -> Self;
}

impl<S> FromContext<S> for Context<S> {
    fn from_context(context: Self) -> Self {
        context
    }
}
