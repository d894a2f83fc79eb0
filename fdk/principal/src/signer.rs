//! Who signs: a resource principal, or an API key.

use std::sync::Arc;
use std::time::SystemTime;

use http::Request;
use http::request::Parts;

use crate::api_key::ApiKey;
use crate::error::Refusal;
use crate::identity::Identity;
use crate::principal::Principal;
use crate::sign::{self, Payload, Signed};

/// Signs requests, as one of the identities OCI knows.
#[derive(Clone, Debug)]
pub enum Signer {
    /// As the function itself.
    Principal(Arc<Principal>),
    /// As a user, from a laptop.
    ApiKey(Arc<ApiKey>),
}

impl Signer {
    /// Signs a request with its whole body in memory, now.
    pub fn sign<B: AsRef<[u8]>>(&self, request: &mut Request<B>) -> Result<Signed, Refusal> {
        sign_request(request, |head, payload| self.sign_head(head, payload, SystemTime::now()))
    }

    /// Signs the head of a request, as of `now`.
    ///
    /// `now` goes into the `date` header unless there is a `date` or an `x-date` already.
    pub fn sign_head(
        &self,
        head: &mut Parts,
        payload: Payload<'_>,
        now: SystemTime,
    ) -> Result<Signed, Refusal> {
        match self {
            Self::Principal(principal) => principal.sign_head(head, payload, now),
            Self::ApiKey(key) => key.sign_head(head, payload, now),
        }
    }
}

impl Principal {
    /// Signs a request with its whole body in memory, now.
    pub fn sign<B: AsRef<[u8]>>(&self, request: &mut Request<B>) -> Result<Signed, Refusal> {
        sign_request(request, |head, payload| self.sign_head(head, payload, SystemTime::now()))
    }

    /// Signs the head of a request, as of `now`; see [`Signer::sign_head`].
    pub fn sign_head(
        &self,
        head: &mut Parts,
        payload: Payload<'_>,
        now: SystemTime,
    ) -> Result<Signed, Refusal> {
        self.current_at(now)?.sign_head(head, payload, now)
    }
}

impl Identity {
    /// Signs the head of a request as exactly this identity, even when there is a newer one.
    ///
    /// Name and signature come from the same snapshot, so no rotation can fall between them.
    pub fn sign_head(
        &self,
        head: &mut Parts,
        payload: Payload<'_>,
        now: SystemTime,
    ) -> Result<Signed, Refusal> {
        sign::sign(head, payload, &self.key_id(), self.key(), now)
    }
}

impl ApiKey {
    /// Signs a request with its whole body in memory, now.
    pub fn sign<B: AsRef<[u8]>>(&self, request: &mut Request<B>) -> Result<Signed, Refusal> {
        sign_request(request, |head, payload| self.sign_head(head, payload, SystemTime::now()))
    }

    /// Signs the head of a request, as of `now`; see [`Signer::sign_head`].
    pub fn sign_head(
        &self,
        head: &mut Parts,
        payload: Payload<'_>,
        now: SystemTime,
    ) -> Result<Signed, Refusal> {
        sign::sign(head, payload, self.key_id(), self.key(), now)
    }
}

impl From<Arc<Principal>> for Signer {
    fn from(principal: Arc<Principal>) -> Self {
        Self::Principal(principal)
    }
}

impl From<Arc<ApiKey>> for Signer {
    fn from(key: Arc<ApiKey>) -> Self {
        Self::ApiKey(key)
    }
}

/// Lends the head of a request, whose parts `http` only gives away, together with its body.
pub(crate) fn sign_request<B: AsRef<[u8]>>(
    request: &mut Request<B>,
    sign: impl FnOnce(&mut Parts, Payload<'_>) -> Result<Signed, Refusal>,
) -> Result<Signed, Refusal> {
    let (mut head, ()) = Request::new(()).into_parts();
    std::mem::swap(&mut head.method, request.method_mut());
    std::mem::swap(&mut head.uri, request.uri_mut());
    std::mem::swap(&mut head.headers, request.headers_mut());
    let result = sign(&mut head, Payload::Bytes(request.body().as_ref()));
    *request.method_mut() = head.method;
    *request.uri_mut() = head.uri;
    *request.headers_mut() = head.headers;
    result
}
