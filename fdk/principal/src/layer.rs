//! Signing as a tower layer, with the one retry a rotation can make necessary.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use http::{Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::error::Refusal;
use crate::identity::Identity;
use crate::sign::Signed;
use crate::signer::{Signer, sign_request};

/// Signs every request on its way to the service within.
///
/// A principal's request that is answered 401 is sent once more, with the same body and a new date, if there is a
/// newer token by then: OCI may withdraw a token before it expires. Within a second of the last reload the files are not
/// read again (see [`Principal::renew`](crate::Principal::renew)), and the 401 is the answer.
#[derive(Clone, Debug)]
pub struct SignLayer {
    signer: Signer,
}

impl SignLayer {
    /// Signs as this signer.
    pub fn new(signer: impl Into<Signer>) -> Self {
        Self { signer: signer.into() }
    }
}

impl<S> Layer<S> for SignLayer {
    type Service = SignService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SignService { inner, signer: self.signer.clone() }
    }
}

/// The service a [`SignLayer`] makes.
#[derive(Clone)]
pub struct SignService<S> {
    inner: S,
    signer: Signer,
}

type BoxError = Box<dyn Error + Send + Sync>;

impl<S, B, R> Service<Request<B>> for SignService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: AsRef<[u8]> + Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that is ready is the one to call; its copy may not be.
        let copy = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, copy);
        let signer = self.signer.clone();
        Box::pin(async move {
            let mut request = request;
            let principal = match signer {
                Signer::Principal(principal) => principal,
                Signer::ApiKey(key) => {
                    key.sign(&mut request)?;
                    return inner.call(request).await.map_err(Into::into);
                }
            };
            let unsigned = request.clone();
            let used = principal.current()?;
            sign_as(&used, &mut request)?;
            let response = inner.call(request).await.map_err(Into::into)?;
            if response.status() != StatusCode::UNAUTHORIZED {
                return Ok(response);
            }
            let newer = match principal.renew(&used) {
                Ok(newer) if !Arc::ptr_eq(&newer, &used) => newer,
                _ => return Ok(response),
            };
            let mut request = unsigned;
            sign_as(&newer, &mut request)?;
            std::future::poll_fn(|context| inner.poll_ready(context)).await.map_err(Into::into)?;
            inner.call(request).await.map_err(Into::into)
        })
    }
}

fn sign_as<B: AsRef<[u8]>>(identity: &Identity, request: &mut Request<B>) -> Result<Signed, Refusal> {
    sign_request(request, |head, payload| identity.sign_head(head, payload, SystemTime::now()))
}

impl<S> fmt::Debug for SignService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignService").field("signer", &self.signer).finish_non_exhaustive()
    }
}
