//! The builder a function is made with.

use crate::error::{Error, Result};
use crate::executor::{Load, Program};
use crate::handler::{BoxService, Handler, HandlerService, Invocation};
use crate::init::{Init, Refusal};
use crate::reply::Reply;
use crate::start::{self, Check};
use crate::testing::TestFunction;
use std::process::ExitCode;
use tower_layer::Layer;
use tower_service::Service;

type Wrap<S> = Box<dyn FnOnce(BoxService<S>) -> BoxService<S> + Send>;

/// A function before it runs: its state, its checks, its layers. [`function`] makes one.
#[must_use = "a function does nothing until `run`"]
pub struct Function<S = ()> {
    checks: Vec<Check>,
    load: Load<S>,
    wrap: Wrap<S>,
}

/// A function without state.
pub fn function() -> Function {
    Function { checks: Vec::new(), load: Box::new(|_| Ok(())), wrap: Box::new(|service| service) }
}

/// Serves `handler` as the Fn platform asks, until the process is told to stop.
///
/// This owns the process's start: call it first thing in a synchronous `main`, and not inside `#[tokio::main]`. It
/// returns the exit code: 0 when stopped as asked, 2 to 5 when the function cannot start (see [`crate::Exit`]).
///
/// ```no_run
/// use fdk_runtime::{Context, Result};
///
/// fn main() -> std::process::ExitCode {
///     fdk_runtime::run(shout)
/// }
///
/// async fn shout(_cx: Context, text: String) -> Result<String> {
///     Ok(text.to_uppercase())
/// }
/// ```
pub fn run<H, Args>(handler: H) -> ExitCode
where
    H: Handler<(), Args> + Send,
    Args: 'static,
{
    function().run(handler)
}

impl Function {
    /// Loads the state that every call shares, once, behind the socket: calls that come meanwhile wait for it. An
    /// error ends the process with its reason on stderr.
    pub fn state<S, E>(self, load: impl FnOnce(&Init) -> Result<S, E> + Send + 'static) -> Function<S>
    where
        S: 'static,
        E: Into<Error>,
    {
        self.load(|init| {
            load(init).map_err(|error| {
                Refusal::initialisation(format!("the state could not be loaded: {}", error.into().chain()))
            })
        })
    }

    /// As [`Function::state`], for a loader that chooses its own exit code.
    pub fn load<S: 'static>(
        self,
        load: impl FnOnce(&Init) -> Result<S, Refusal> + Send + 'static,
    ) -> Function<S> {
        Function { checks: self.checks, load: Box::new(load), wrap: Box::new(|service| service) }
    }
}

impl<S: 'static> Function<S> {
    /// Adds a check that must pass before the socket is published; it should take a few milliseconds at most.
    pub fn check(mut self, check: impl FnOnce(&Init) -> Result<(), Refusal> + 'static) -> Self {
        self.checks.push(Box::new(check));
        self
    }

    /// Wraps the handler in a tower layer; the last one added is the outermost.
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<BoxService<S>> + Send + 'static,
        L::Service: Service<Invocation<S>, Response = Reply> + Send + 'static,
        <L::Service as Service<Invocation<S>>>::Error: Into<Error>,
        <L::Service as Service<Invocation<S>>>::Future: 'static,
    {
        let inner = self.wrap;
        Self { wrap: Box::new(move |service| BoxService::new(layer.layer(inner(service)))), ..self }
    }

    /// Serves `handler`; see [`run`].
    pub fn run<H, Args>(self, handler: H) -> ExitCode
    where
        H: Handler<S, Args> + Send,
        Args: 'static,
    {
        let (checks, program) = self.program(handler);
        start::run(checks, program)
    }

    /// The function as a test calls it, without a socket; see [`crate::testing`].
    pub fn test<H, Args>(self, handler: H) -> TestFunction
    where
        H: Handler<S, Args> + Send,
        Args: 'static,
    {
        TestFunction::new(self.program(handler).1)
    }

    fn program<H, Args>(self, handler: H) -> (Vec<Check>, Program<S>)
    where
        H: Handler<S, Args> + Send,
        Args: 'static,
    {
        let service = (self.wrap)(BoxService::new(HandlerService::new(handler)));
        (self.checks, Program { load: self.load, service })
    }
}

impl<S> std::fmt::Debug for Function<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function").field("checks", &self.checks.len()).finish_non_exhaustive()
    }
}
