//! The thread that owns the state and runs the handler.
//!
//! A handler that computes, or blocks against all advice, cannot hold up the reply that its deadline demands: another
//! thread then speaks to the platform (see [`crate::reactor`]). The state is made here and never leaves, so it needs to be
//! neither `Send` nor `Sync`, and neither does the handler's future. There is one such thread: the platform sends one call
//! at a time.

use crate::context::{AtWork, Call, Context};
use crate::error::{Error, Result};
use crate::handler::{BoxService, Invocation};
use crate::init::{Init, Refusal};
use crate::logs::CALL_SPAN;
use crate::reactor::Reactor;
use crate::reply::{Body, Chunks, Reply};
use crate::start::BLOCKING_THREADS;
use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use http::HeaderMap;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, LocalOptions};
use tokio::sync::{mpsc, oneshot, watch};
use tower_service::Service as _;
use tracing::Instrument as _;

/// Makes the state, on the thread that keeps it.
pub(crate) type Load<S> = Box<dyn FnOnce(&Init) -> Result<S, Refusal> + Send>;

/// What runs on the thread: how to make the state, and the service that answers calls with it.
pub(crate) struct Program<S> {
    pub(crate) load: Load<S>,
    pub(crate) service: BoxService<S>,
}

/// A call on its way to the thread. Dropping the other end of `answer` cancels it.
pub(crate) struct Job {
    pub(crate) call: Arc<Call>,
    pub(crate) body: Bytes,
    pub(crate) answer: oneshot::Sender<Result<Answer>>,
}

/// A reply on its way back: what [`Reply`] holds, made fit to cross threads.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: AnswerBody,
}

pub(crate) enum AnswerBody {
    Whole(Bytes),
    /// One chunk at a time: the stream is not polled for the next before the last is taken.
    Chunks(mpsc::Receiver<Result<Bytes>>),
}

/// How far the thread is.
#[derive(Debug, Clone)]
pub(crate) enum Status {
    Loading,
    Ready,
    Failed(Refusal),
}

/// The way to the thread. It ends when this is dropped.
#[derive(Clone)]
pub(crate) struct Executor {
    jobs: mpsc::UnboundedSender<Job>,
    status: watch::Receiver<Status>,
}

impl Executor {
    /// Starts the thread, which loads the state first; calls sent meanwhile wait for it.
    pub(crate) fn start<S: 'static>(
        program: Program<S>,
        init: Init,
        reactor: Arc<Reactor>,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::unbounded_channel();
        let (report, status) = watch::channel(Status::Loading);
        std::thread::Builder::new().name("handler".into()).spawn(move || {
            run(program, &init, queue, &report, &reactor);
            reactor.leave();
        })?;
        Ok(Self { jobs, status })
    }

    pub(crate) fn send(&self, job: Job) -> Result<()> {
        self.jobs.send(job).map_err(|_| Error::new("the function has ended"))
    }

    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
}

fn run<S: 'static>(
    program: Program<S>,
    init: &Init,
    mut queue: mpsc::UnboundedReceiver<Job>,
    status: &watch::Sender<Status>,
    reactor: &Reactor,
) {
    let Program { load, service } = program;
    let loaded = catch_unwind(AssertUnwindSafe(|| load(init))).unwrap_or_else(|panic| {
        Err(Refusal::initialisation(format!("the state loader panicked: {}", message_of(&*panic))))
    });
    // Handlers have a runtime of their own: their tasks are not the platform's to wait for. It is a local one, so that it
    // runs, and counts, what they spawn with `spawn_local` too.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build_local(LocalOptions::default());
    let (state, runtime) = match (loaded, runtime) {
        (Ok(state), Ok(runtime)) => (Arc::new(state), runtime),
        (Err(refusal), _) => return refuse_all(&refusal, queue, status),
        (_, Err(error)) => {
            let refusal = Refusal::initialisation(format!("the handler's thread cannot start: {error}"));
            return refuse_all(&refusal, queue, status);
        }
    };
    init.ready();
    status.send_replace(Status::Ready);
    let service = Rc::new(RefCell::new(service));
    let serve = |job| Box::pin(serve(job, state.clone(), service.clone()));
    // Polled here rather than spawned: the platform sends one call at a time, and a task for each would cost an
    // allocation, a queue and a wake.
    let mut running = FuturesUnordered::new();
    let mut done = Vec::new();
    loop {
        let next = async {
            // Delivered from within the reactor, which needs no waking then.
            done.drain(..).for_each(Done::deliver);
            queue.recv().await
        };
        let Some(job) = reactor.drive(next) else { return };
        let mut call = serve(job);
        reactor.poll();
        // A handler that waits for nothing is done with its first poll. Another is polled again below, whatever woke it: what
        // yields is woken by the `block_on` that it yields in, and only if that goes on.
        match runtime.block_on(std::future::poll_fn(|cx| Poll::Ready(call.poll_unpin(cx)))) {
            Poll::Ready(ended) => done.extend(ended),
            Poll::Pending => running.push(call),
        }
        let idle = || tasks_alive(runtime.handle()) == 0;
        if running.is_empty() && idle() {
            continue;
        }
        reactor.leave();
        let open = runtime.block_on(async {
            done.drain(..).for_each(Done::deliver);
            loop {
                tokio::select! {
                    biased;
                    Some(ended) = running.next(), if !running.is_empty() => {
                        ended.into_iter().for_each(Done::deliver);
                        if running.is_empty() && idle() {
                            return true;
                        }
                    }
                    job = queue.recv() => match job {
                        Some(job) => running.push(serve(job)),
                        None => return false,
                    },
                }
            }
        });
        if !open {
            return;
        }
    }
}

/// A call whose handler has ended.
struct Done {
    call: Arc<Call>,
    answer: oneshot::Sender<Result<Answer>>,
    result: Result<Answer>,
}

impl Done {
    fn deliver(self) {
        let sent = self.answer.send(self.result);
        warn_if_late(&self.call, sent.is_err());
    }
}

/// Answers the calls that waited for a state which never came. The status goes last, so that they are answered before
/// the process ends.
fn refuse_all(refusal: &Refusal, mut queue: mpsc::UnboundedReceiver<Job>, status: &watch::Sender<Status>) {
    // Said before the last reply goes out: the platform may freeze or kill us right after it.
    crate::logs::refusal(&refusal.to_string());
    queue.close();
    while let Ok(job) = queue.try_recv() {
        let _ = job.answer.send(Err(Error::new(format!("the function could not start: {refusal}"))));
    }
    status.send_replace(Status::Failed(refusal.clone()));
}

fn tasks_alive(runtime: &Handle) -> usize {
    runtime.metrics().num_alive_tasks()
}

/// Runs a call to its end, and says how many tasks go on after it.
async fn serve<S: 'static>(job: Job, state: Arc<S>, service: Rc<RefCell<BoxService<S>>>) -> Option<Done> {
    let call = job.call.clone();
    let done = handle(job, state, service).await;
    let runtime = Handle::current();
    if tasks_alive(&runtime) == 0 {
        return done;
    }
    // At once: a task may compute for long.
    done.into_iter().for_each(Done::deliver);
    // What was aborted ends when it is looked at.
    tokio::task::yield_now().await;
    let tasks = tasks_alive(&runtime);
    if tasks > 0 {
        tracing::warn!(
            target: "fdk::call",
            call_id = call.id(),
            tasks,
            "spawned tasks outlive the reply: the platform freezes the container between calls, and they stop in the middle; await them before the reply",
        );
    }
    None
}

async fn handle<S: 'static>(job: Job, state: Arc<S>, service: Rc<RefCell<BoxService<S>>>) -> Option<Done> {
    let Job { call, body, mut answer } = job;
    // Nothing is computed for a caller who left while this waited.
    if answer.is_closed() {
        return None;
    }
    // Not when the call arrived: what the one before it still printed is not its own.
    call.write_frame();
    let _at_work = AtWork::begin(call.clone());
    // The filter lets this target through whatever it is told of others: see `logs`.
    let span = tracing::error_span!(target: CALL_SPAN, "call", id = call.id());
    let invocation = Invocation { context: Context::new(call.clone(), state), body };
    let work = async move {
        std::future::poll_fn(|cx| service.borrow_mut().poll_ready(cx)).await?;
        let reply = service.borrow_mut().call(invocation);
        reply.await
    };
    let mut work = Box::pin(AssertUnwindSafe(work.instrument(span.clone())).catch_unwind());
    let done = tokio::select! {
        biased;
        () = answer.closed() => None,
        done = &mut work => Some(done),
    };
    // Dropping runs the handler's destructors, which may panic as well.
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(work)));
    let reply = match (done, dropped) {
        (None, _) => {
            warn_if_late(&call, true);
            return None;
        }
        (Some(Err(panic)), _) | (_, Err(panic)) => Err(panicked(&*panic)),
        (Some(Ok(reply)), Ok(())) => reply,
    };
    match reply {
        Ok(Reply { status, headers, body: Body::Whole(body) }) => {
            Some(Done { call, answer, result: Ok(Answer { status, headers, body: AnswerBody::Whole(body) }) })
        }
        Ok(Reply { status, headers, body: Body::Chunks(chunks) }) => {
            let (sender, receiver) = mpsc::channel(1);
            if answer.send(Ok(Answer { status, headers, body: AnswerBody::Chunks(receiver) })).is_ok() {
                pump(chunks, sender).instrument(span).await;
            }
            None
        }
        Err(error) => Some(Done { call, answer, result: Err(error) }),
    }
}

/// Polls the handler's stream no faster than the reply is read, and stops when nobody reads it any more.
async fn pump(mut chunks: Chunks, sender: mpsc::Sender<Result<Bytes>>) {
    loop {
        let Ok(permit) = sender.reserve().await else { return };
        let next = tokio::select! {
            biased;
            () = sender.closed() => return,
            next = AssertUnwindSafe(chunks.next()).catch_unwind() => next,
        };
        match next {
            Ok(Some(Ok(chunk))) => permit.send(Ok(chunk)),
            Ok(Some(Err(error))) => return permit.send(Err(error)),
            Err(panic) => return permit.send(Err(panicked(&*panic))),
            Ok(None) => return,
        }
    }
}

/// A handler that works on after its 504 eats the time of the next call; say so while the culprit is known.
fn warn_if_late(call: &Call, unheard: bool) {
    let late = call
        .deadline()
        .map_or(Duration::ZERO, |deadline| Instant::now().saturating_duration_since(deadline.hard()));
    if unheard && late > Duration::from_millis(10) {
        tracing::warn!(
            target: "fdk::call",
            call_id = call.id(),
            late_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX),
            "the handler worked on after its deadline and held up the next call: ask the cancellation token in long loops",
        );
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    Error::new(format!("the handler panicked: {}", message_of(panic)))
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("(no message)")
}
