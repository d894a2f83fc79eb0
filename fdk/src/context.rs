//! The context as handlers take it: the runtime's, and what the other rooms add.

use crate::{AllowCaller, Caller, Result};
use fdk_runtime::FromContext;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The first argument of a handler: the call, and the state loaded at start.
///
/// All that [`fdk_runtime::Context`] and [`fdk_runtime::Call`] tell is here as well: id, deadline, headers,
/// configuration, trace, the HTTP request behind a gateway call.
pub struct Context<S = ()>(fdk_runtime::Context<S>);

#[cfg(feature = "model")]
impl<S> Context<S> {
    /// Runs inference on the state. The closure's interrupt fires when the deadline is near or the caller has left; the
    /// call is then answered 504 and the model stays.
    ///
    /// The closure runs here and now, on the thread that owns the state: the platform sends one call at a time, so
    /// there is nothing to make way for. An error that is the request's fault becomes the caller's.
    #[expect(clippy::unused_async, reason = "that it runs in place is no part of the promise")]
    pub async fn infer<T, E>(
        &self,
        work: impl FnOnce(&S, &fdk_inference::Interrupt<'_>) -> std::result::Result<T, E>,
    ) -> Result<crate::Json<T>>
    where
        E: Into<crate::Error>,
    {
        let cancellation = self.cancellation();
        let stop = || cancellation.is_cancelled();
        let interrupt = fdk_inference::Interrupt::when(&stop);
        let interrupt = match self.deadline() {
            Some(deadline) => interrupt.ending(deadline.soft()),
            None => interrupt,
        };
        work(self.state(), &interrupt).map(crate::Json).map_err(|error| crate::fault::told(error.into()))
    }
}

impl<S> Context<S> {
    /// Who this function is: its resource principal, verified at start. `None` where the platform gave none.
    ///
    /// `current()` of it has the claims as of now; it reloads them when that is due.
    pub fn principal(&self) -> Option<&'static Arc<fdk_principal::Principal>> {
        crate::principal::verified()
    }

    /// A client that reads objects and secrets as this function. It blocks, which a handler may. An error where there is
    /// no principal.
    #[cfg(feature = "client")]
    pub fn client(&self) -> Result<fdk_principal::Client> {
        crate::principal::client(self.config())
    }

    /// Who invoked the function. `None` off OCI.
    pub fn caller(&self) -> Option<Caller> {
        Caller::of(self)
    }

    /// The caller, where it is one of those allowed; else an error that a gateway caller sees as 403.
    pub fn allow(&self, allowed: AllowCaller<'_>) -> Result<Caller> {
        allowed.check(self)
    }
}

impl<S> FromContext<S> for Context<S> {
    fn from_context(context: fdk_runtime::Context<S>) -> Self {
        Self(context)
    }
}

impl<S> Deref for Context<S> {
    type Target = fdk_runtime::Context<S>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S> Clone for Context<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> fmt::Debug for Context<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
