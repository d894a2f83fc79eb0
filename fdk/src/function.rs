//! The builder: the runtime's, with the checks and the loader's errors of the other rooms.

use crate::{Error, Init, Result, principal, testing};
use fdk_runtime::{BoxService, Exit, Handler, Invocation, Refusal, Reply};
use std::process::ExitCode;
use tower_layer::Layer;
use tower_service::Service;

/// A function before it runs; [`function`] makes one.
#[derive(Debug)]
#[must_use = "a function does nothing until `run`"]
pub struct Function<S = ()>(fdk_runtime::Function<S>);

/// A function without state. Its resource principal is verified, `FDK_KERNELS` read, and a model that the configuration names
/// looked for, before the socket is published.
pub fn function() -> Function {
    let function = fdk_runtime::function().check(principal::check);
    #[cfg(any(feature = "inference", feature = "vision", feature = "speech"))]
    let function = function.check(|_| {
        fdk_inference::cpu::check_kernels()
            .map_err(|error| Refusal::new(Exit::Configuration, error.to_string()))
    });
    #[cfg(feature = "model")]
    let function =
        function.check(|init| crate::init::check_assets(init).map_err(|error| refusal(&error.into())));
    Function(function)
}

/// Serves `handler` as the Fn platform asks, until the process is told to stop.
///
/// This owns the process's start: call it first thing in a synchronous `main`, not inside `#[tokio::main]`. The exit
/// code is 0 when stopped as asked, 2 for a bad configuration, 3 for the principal, 4 for a model's files, 5 for
/// anything else that had to work before the first call.
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
        Function(self.0.load(move |init| {
            let init = Init::new(init);
            let state = load(&init).map_err(|error| refusal(&error.into()))?;
            #[cfg(feature = "model")]
            init.report();
            Ok(state)
        }))
    }
}

impl<S: 'static> Function<S> {
    /// Wraps the handler in a tower layer; the last one added is the outermost.
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<BoxService<S>> + Send + 'static,
        L::Service: Service<Invocation<S>, Response = Reply> + Send + 'static,
        <L::Service as Service<Invocation<S>>>::Error: Into<Error>,
        <L::Service as Service<Invocation<S>>>::Future: 'static,
    {
        Self(self.0.layer(layer))
    }

    /// Serves `handler`; see [`run`].
    pub fn run<H, Args>(self, handler: H) -> ExitCode
    where
        H: Handler<S, Args> + Send,
        Args: 'static,
    {
        self.0.run(handler)
    }

    /// The function as a test calls it, without a socket; see [`crate::testing`].
    pub fn test<H, Args>(self, handler: H) -> testing::TestFunction
    where
        H: Handler<S, Args> + Send,
        Args: 'static,
    {
        self.0.test(handler)
    }
}

/// Why the state could not be loaded, with the exit code that says which kind of fault it is.
fn refusal(error: &Error) -> Refusal {
    #[cfg(feature = "model")]
    if error.downcast_ref::<fdk_inference::Error>().is_some_and(fdk_inference::Error::is_assets) {
        return Refusal::new(Exit::Assets, error.to_string());
    }
    Refusal::new(Exit::Initialisation, format!("the state could not be loaded: {error:?}"))
}
