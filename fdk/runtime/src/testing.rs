//! Calls a function in a test, without a socket and without a platform.
//!
//! The call takes the way it takes in production, from the envelope's headers to the reply on the wire: only the socket
//! is left out. What the caller of the function would see is what [`TestReply`] shows.
//!
//! ```
//! # use fdk_runtime::{Context, Result, testing};
//! async fn shout(_cx: Context, text: String) -> Result<String> {
//!     Ok(text.to_uppercase())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let reply = testing::function(shout).body("hello").call().await;
//! assert_eq!(reply.text(), "HELLO");
//! # }
//! ```

// A test that asks wrongly must stop there and say why.
#![allow(clippy::panic, clippy::missing_panics_doc, reason = "this module is called by tests")]

use crate::config::Config;
use crate::contract::header;
use crate::dispatch::{Dispatcher, Limits};
use crate::executor::{Executor, Program};
use crate::handler::Handler;
use crate::init::Init;
use crate::reactor::Reactor;
use bytes::Bytes;
use http::header::HeaderMap;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A function without state, to be called by a test. One with state is made by [`crate::Function::test`].
pub fn function<H, Args>(handler: H) -> TestFunction
where
    H: Handler<(), Args> + Send,
    Args: 'static,
{
    crate::function().test(handler)
}

type Start = Box<dyn FnOnce(Arc<Config>) -> Dispatcher + Send>;

/// A function that a test calls. Its state is loaded at the first call and kept for the others.
pub struct TestFunction {
    start: Mutex<Option<Start>>,
    running: OnceLock<Dispatcher>,
    config: Vec<(String, String)>,
}

impl TestFunction {
    pub(crate) fn new<S: 'static>(program: Program<S>) -> Self {
        let start = |config: Arc<Config>| {
            let limits = Limits::from_config(&config).unwrap_or_else(|message| panic!("{message}"));
            let init = Init::new(config.clone(), Instant::now());
            // Nothing but the handler's thread drives it: there is no socket.
            let reactor = Reactor::new().unwrap_or_else(|error| panic!("no reactor: {error}"));
            let executor = Executor::start(program, init, Arc::new(reactor))
                .unwrap_or_else(|error| panic!("no thread: {error}"));
            Dispatcher::new(executor, config, limits)
        };
        Self { start: Mutex::new(Some(Box::new(start))), running: OnceLock::new(), config: Vec::new() }
    }

    /// Sets a configuration key, over the test process's own environment.
    #[must_use]
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.into(), value.into()));
        self
    }

    /// A call with a JSON body.
    pub fn json(&self, value: impl Serialize) -> TestCall<'_> {
        let body = serde_json::to_vec(&value).unwrap_or_else(|error| panic!("the body is no JSON: {error}"));
        self.body(body).header("content-type", "application/json")
    }

    /// A call with a body of bytes or text.
    pub fn body(&self, body: impl Into<Bytes>) -> TestCall<'_> {
        TestCall {
            function: self,
            headers: HeaderMap::new(),
            body: body.into(),
            deadline: Duration::from_secs(30),
        }
    }

    /// A call as a trigger or API Gateway makes it; give it a body with [`TestCall::body`].
    pub fn http(&self, method: &str, url: &str) -> TestCall<'_> {
        self.body(Bytes::new())
            .header(header::INTENT, "httprequest")
            .header(header::HTTP_METHOD, method)
            .header(header::HTTP_REQUEST_URL, url)
    }

    fn dispatcher(&self) -> &Dispatcher {
        self.running.get_or_init(|| {
            let start = self.start.lock().unwrap_or_else(PoisonError::into_inner).take();
            let process = Config::from_process();
            let config = process.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
            let config = Config::from_pairs(config.chain(self.config.iter().cloned()));
            start.unwrap_or_else(|| panic!("the function could not start"))(Arc::new(config))
        })
    }
}

impl std::fmt::Debug for TestFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<_> = self.config.iter().map(|(key, _)| key).collect();
        f.debug_struct("TestFunction").field("config", &keys).finish_non_exhaustive()
    }
}

/// A call to be made.
#[must_use = "a call is made by `call().await`"]
pub struct TestCall<'a> {
    function: &'a TestFunction,
    headers: HeaderMap,
    body: Bytes,
    deadline: Duration,
}

impl std::fmt::Debug for TestCall<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestCall")
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("bytes", &self.body.len())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl TestCall<'_> {
    /// Adds a header to the call as the platform sends it.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap_or_else(|error| panic!("{name:?}: {error}"));
        let value: HeaderValue = value.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        self.headers.append(name, value);
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the time the function has; 30 s unless said. Finer than the whole seconds of the platform.
    pub fn deadline(mut self, left: Duration) -> Self {
        self.deadline = left;
        self
    }

    /// Makes the call.
    pub async fn call(self) -> TestReply {
        let at = jiff::Timestamp::try_from(SystemTime::now() + self.deadline)
            .unwrap_or_else(|error| panic!("the deadline is no time: {error}"));
        let call = self.header(header::DEADLINE, &at.to_string()).header(header::CALL_ID, "test");
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = http::Uri::from_static("/call");
        *request.headers_mut() = call.headers;
        let response = call.function.dispatcher().dispatch(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes);
        TestReply { wire_status: parts.status.as_u16(), headers: parts.headers, body: body.ok() }
    }
}

/// What came back.
pub struct TestReply {
    wire_status: u16,
    headers: HeaderMap,
    body: Option<Bytes>,
}

impl std::fmt::Debug for TestReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestReply")
            .field("wire_status", &self.wire_status)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body", &self.body)
            .finish()
    }
}

impl TestReply {
    /// The status on the wire: 200, 502 or 504.
    pub fn wire_status(&self) -> u16 {
        self.wire_status
    }

    /// The HTTP status as a gateway passes it on.
    pub fn status(&self) -> u16 {
        let inner = self.headers.get(header::HTTP_STATUS).and_then(|value| value.to_str().ok()?.parse().ok());
        if self.wire_status == 200 { inner.unwrap_or(200) } else { self.wire_status }
    }

    /// A header of the reply, with or without the gateway's prefix.
    pub fn header(&self, name: &str) -> Option<&str> {
        let prefixed = format!("{}{name}", header::HTTP_HEADER_PREFIX);
        self.headers.get(name).or_else(|| self.headers.get(prefixed))?.to_str().ok()
    }

    /// Every header on the wire.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body; panics when a streamed reply broke off.
    pub fn bytes(&self) -> &Bytes {
        self.body.as_ref().unwrap_or_else(|| panic!("the reply broke off"))
    }

    /// Whether a streamed reply broke off before its end.
    pub fn broke_off(&self) -> bool {
        self.body.is_none()
    }

    /// The body as text; panics when it is none.
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap_or_else(|error| panic!("the reply is no text: {error}"))
    }

    /// The body as JSON; panics, showing the body, when it is of another shape.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(self.bytes())
            .unwrap_or_else(|error| panic!("{error} in the reply {:?}", self.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::function;
    use crate::{Context, Reply, Result};

    async fn set_cookie(_: Context, (): ()) -> Result<Reply> {
        Reply::new("").header("set-cookie", "secret")
    }

    #[tokio::test]
    async fn debug_shows_no_value_of_the_configuration_or_of_a_header() {
        let function = function(set_cookie).config("KEY", "secret");
        let call = function.http("GET", "/?key=secret").header("authorization", "secret");
        let shown = format!("{function:?} {call:?} {:?}", call.function.json(()).call().await);
        assert!(!shown.contains("secret"), "{shown}");
        for name in ["KEY", "authorization", "set-cookie"] {
            assert!(shown.contains(name), "{shown}");
        }
    }
}
