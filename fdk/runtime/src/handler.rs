//! The handler trait, and the tower service beneath it.

use crate::body::{FromBody, IntoReply};
use crate::context::{Call, Context, FromContext};
use crate::error::{Error, Result};
use crate::reply::Reply;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{self, Poll};
use tower_service::Service;

/// One call on its way to the handler: the request type of the tower service.
pub struct Invocation<S = ()> {
    /// The call and the state.
    pub context: Context<S>,
    /// The whole request body.
    pub body: Bytes,
}

impl<S> std::fmt::Debug for Invocation<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invocation").field("context", &self.context).field("bytes", &self.body.len()).finish()
    }
}

/// A function: `async fn(Context<S>, I) -> Result<O>`.
///
/// `I` is any [`FromBody`], `O` any [`IntoReply`]; there are always two arguments, as in the Go and Python FDKs.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler",
    label = "not a handler",
    note = "a handler is `async fn name(cx: Context<S>, input: I) -> Result<O>` with exactly two arguments: S is what \
            `state` loads (`()` without one), I is `Json<T>`, `Bytes`, `String` or `()`, O is `Json<T>`, `Bytes`, \
            `String`, `()` or `Reply`"
)]
pub trait Handler<S, Args>: 'static {
    /// Binds the body and runs the function.
    fn call(&self, context: Context<S>, body: Bytes) -> LocalBoxFuture<'static, Result<Reply>>;
}

impl<F, C, I, Fut, O, E, S> Handler<S, (C, I, O, E)> for F
where
    F: Fn(C, I) -> Fut + 'static,
    C: FromContext<S>,
    I: FromBody,
    Fut: Future<Output = Result<O, E>> + 'static,
    O: IntoReply,
    E: Into<Error>,
{
    fn call(&self, context: Context<S>, body: Bytes) -> LocalBoxFuture<'static, Result<Reply>> {
        let call: Arc<Call> = context.call().clone();
        match I::from_body(&call, body) {
            Ok(input) => {
                let reply = self(C::from_context(context), input);
                Box::pin(async move { reply.await.map_err(Into::into)?.into_reply() })
            }
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

/// A handler as a [`tower_service::Service`], the innermost of the layers.
pub struct HandlerService<H, Args> {
    handler: H,
    args: PhantomData<fn() -> Args>,
}

impl<H, Args> HandlerService<H, Args> {
    pub(crate) fn new(handler: H) -> Self {
        Self { handler, args: PhantomData }
    }
}

impl<H, Args> std::fmt::Debug for HandlerService<H, Args> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HandlerService")
    }
}

impl<S, H: Handler<S, Args>, Args> Service<Invocation<S>> for HandlerService<H, Args> {
    type Response = Reply;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Reply>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, invocation: Invocation<S>) -> Self::Future {
        self.handler.call(invocation.context, invocation.body)
    }
}

/// Any service that answers calls, its type erased: what layers wrap.
pub struct BoxService<S>(Box<dyn DynService<S> + Send>);

impl<S> BoxService<S> {
    pub(crate) fn new<T>(service: T) -> Self
    where
        T: Service<Invocation<S>, Response = Reply> + Send + 'static,
        T::Error: Into<Error>,
        T::Future: 'static,
    {
        Self(Box::new(service))
    }
}

impl<S> std::fmt::Debug for BoxService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BoxService")
    }
}

impl<S> Service<Invocation<S>> for BoxService<S> {
    type Response = Reply;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Reply>>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, invocation: Invocation<S>) -> Self::Future {
        self.0.call(invocation)
    }
}

trait DynService<S> {
    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<()>>;
    fn call(&mut self, invocation: Invocation<S>) -> LocalBoxFuture<'static, Result<Reply>>;
}

impl<S, T> DynService<S> for T
where
    T: Service<Invocation<S>, Response = Reply>,
    T::Error: Into<Error>,
    T::Future: 'static,
{
    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<()>> {
        Service::poll_ready(self, cx).map_err(Into::into)
    }

    fn call(&mut self, invocation: Invocation<S>) -> LocalBoxFuture<'static, Result<Reply>> {
        let reply = Service::call(self, invocation);
        Box::pin(async move { reply.await.map_err(Into::into) })
    }
}
