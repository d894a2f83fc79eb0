//! One invocation: read → handler under its deadline → reply.

use crate::body_limit::{self, Unread};
use crate::calllog::CallLog;
use crate::config::Config;
use crate::context::Call;
use crate::contract::{Outcome, PLATFORM_BODY_LIMIT, header};
use crate::error::{Error, Result};
use crate::executor::{Answer, AnswerBody, Executor, Job};
use crate::logframe::LogFrame;
use crate::reply::{Body as UserBody, Reply};
use crate::wire::WireBody;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

const FDK_VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static(header::FDK_VERSION),
    HeaderValue::from_static(concat!("fdk-rust/", env!("CARGO_PKG_VERSION"))),
);
const FDK_RUNTIME: (HeaderName, HeaderValue) = (
    HeaderName::from_static(header::FDK_RUNTIME),
    HeaderValue::from_static(concat!("rust/", env!("FDK_RUSTC_VERSION"))),
);

/// Turns requests on the socket into calls of the handler.
pub(crate) struct Dispatcher {
    executor: Executor,
    config: Arc<Config>,
    limits: Limits,
    frame: Option<Arc<LogFrame>>,
    /// Held by each call whose request has come whole, until its reply has been handed over.
    in_flight: Arc<()>,
}

/// The sizes above which a body is refused, in bytes; `None` is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    request: Option<u64>,
    reply: Option<u64>,
}

impl Limits {
    /// Reads `FDK_MAX_REQUEST` and `FDK_MAX_REPLY`; the error names the one that is no number.
    pub(crate) fn from_config(config: &Config) -> Result<Self, String> {
        let bytes = |key: &str| match config.get(key).map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| {
                format!("{key} is '{text}': it must be a number of bytes, such as {PLATFORM_BODY_LIMIT}")
            }),
        };
        Ok(Self { request: bytes("FDK_MAX_REQUEST")?, reply: bytes("FDK_MAX_REPLY")? })
    }
}

impl Dispatcher {
    pub(crate) fn new(executor: Executor, config: Arc<Config>, limits: Limits) -> Self {
        let frame = LogFrame::from_config(&config).map(Arc::new);
        Self { executor, config, limits, frame, in_flight: Arc::default() }
    }

    /// Answers one request. Only `POST /call` is a call; the agent sends nothing else.
    pub(crate) async fn dispatch<B>(&self, request: Request<B>) -> Response<WireBody>
    where
        B: Body<Data = Bytes>,
        B::Error: std::fmt::Display,
    {
        let (parts, body) = request.into_parts();
        let wrong = match (parts.uri.path(), parts.method) {
            ("/call", Method::POST) => None,
            ("/call", _) => Some((StatusCode::METHOD_NOT_ALLOWED, "only POST /call is served")),
            _ => Some((StatusCode::NOT_FOUND, "only POST /call is served")),
        };
        // The agent takes a reply's head before the request's end for a fault of the function: read first.
        let limit = if wrong.is_some() { Some(0) } else { self.limits.request };
        let body = body_limit::read(body, limit).await;
        if let Some((status, why)) = wrong {
            return plain(status, why);
        }
        let call = Arc::new(Call::new(parts.headers, self.config.clone(), self.frame.clone()));
        let mut log = CallLog::begin(call.clone());
        let body = match body {
            Ok(body) => body,
            Err(Unread::TooLarge { bytes, limit }) => {
                log.received(bytes);
                let message = format!("the request body is {bytes} bytes, FDK_MAX_REQUEST allows {limit}");
                return fail(&Error::input(message).status(413), log);
            }
            // The connection is gone, and half a body is no call: the handler does not run.
            Err(Unread::Broken(error)) => {
                return fail(&Error::new(format!("the request broke off: {error}")), log);
            }
        };
        log.received(body.len() as u64);
        log.hold(self.in_flight.clone());
        match self.call(&call, body).await {
            Ok(answer) => self.answer(answer, log),
            Err(error) => fail(&error, log),
        }
    }

    /// Waits until no call has been in flight for a second: a request that never comes whole is not waited for.
    pub(crate) async fn drained(&self) {
        let mut idle = 0;
        while idle < 20 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            idle = if Arc::strong_count(&self.in_flight) > 1 { 0 } else { idle + 1 };
        }
    }

    /// Runs the handler until it answers or the hard deadline comes; then the other end of the channel is dropped,
    /// which drops the handler's future.
    async fn call(&self, call: &Arc<Call>, body: Bytes) -> Result<Answer> {
        if call.deadline().is_some_and(|deadline| deadline.is_past(std::time::Instant::now())) {
            return Err(Error::timed_out());
        }
        let (answer, answered) = oneshot::channel();
        self.executor.send(Job { call: call.clone(), body, answer })?;
        let answered = async { answered.await.unwrap_or_else(|_| Err(Error::new("the function has ended"))) };
        match call.deadline() {
            None => answered.await,
            Some(deadline) => tokio::time::timeout_at(deadline.hard().into(), answered)
                .await
                .unwrap_or_else(|_| Err(Error::timed_out())),
        }
    }

    fn answer(&self, answer: Answer, mut log: CallLog) -> Response<WireBody> {
        let Answer { status, headers, body } = answer;
        let body = match body {
            AnswerBody::Whole(body) => {
                let bytes = body.len() as u64;
                if let Some(limit) = self.limits.reply.filter(|limit| bytes > *limit) {
                    let message = format!("the reply is {bytes} bytes, FDK_MAX_REPLY allows {limit}");
                    return fail(&Error::new(message), log);
                }
                if bytes > PLATFORM_BODY_LIMIT {
                    log.oversize(bytes);
                }
                log.answered(Outcome::Ok, bytes);
                WireBody::whole(body)
            }
            AnswerBody::Chunks(chunks) => {
                let to_gateway = log.call().http().is_some();
                let deadline = log.call().deadline().map(|deadline| deadline.hard());
                let body = WireBody::chunks(chunks, deadline, self.limits.reply, log);
                return respond(Outcome::Ok, Reply::wire_headers(status, headers, to_gateway), body);
            }
        };
        respond(Outcome::Ok, Reply::wire_headers(status, headers, log.call().http().is_some()), body)
    }
}

fn fail(error: &Error, mut log: CallLog) -> Response<WireBody> {
    let to_gateway = log.call().http().is_some();
    let (outcome, reply) = Reply::failure(error, to_gateway);
    let UserBody::Whole(body) = reply.body else { return plain(StatusCode::BAD_GATEWAY, "") };
    log.failed(error, outcome, body.len() as u64);
    respond(outcome, Reply::wire_headers(reply.status, reply.headers, to_gateway), WireBody::whole(body))
}

fn respond(outcome: Outcome, mut headers: HeaderMap, body: WireBody) -> Response<WireBody> {
    headers.insert(FDK_VERSION.0, FDK_VERSION.1);
    headers.insert(FDK_RUNTIME.0, FDK_RUNTIME.1);
    let mut response = Response::new(body);
    *response.status_mut() = outcome.status();
    *response.headers_mut() = headers;
    response
}

fn plain(status: StatusCode, why: &'static str) -> Response<WireBody> {
    let mut response = Response::new(WireBody::whole(Bytes::from_static(why.as_bytes())));
    *response.status_mut() = status;
    response
}
