//! A token that came with a request, as the service receiving it checks it.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

use crate::error::{Kind, Origin, Refusal};
use crate::issuer;
use crate::public_key::PublicKey;
use crate::token::{Fault, Token};
use crate::verify::unix_seconds;

/// The verified token of a request signed under `ST$` and that token.
pub struct SessionToken {
    token: Token,
    key: PublicKey,
}

impl SessionToken {
    /// Checks the token of a key id: its form, the issuer's signature by a key in the JWKS file, and its times.
    ///
    /// Unlike at a function's start the issuer's keys are not optional: the claims say whom to trust, and here they
    /// come from a stranger.
    pub fn verify(key_id: &str, issuer_keys: &Path, now: SystemTime) -> Result<Self, Refusal> {
        let refuse = |fault| Kind::Token(Origin { name: "the key id".into(), path: None }, fault);
        let text =
            key_id.strip_prefix("ST$").ok_or(refuse(Fault::Malformed("it does not begin with ST$")))?;
        let token = Token::parse(text).map_err(refuse)?;
        issuer::check_signature(&token, issuer_keys)?;
        token.check_times(unix_seconds(now)).map_err(refuse)?;
        let key = token.bound_key().map_err(refuse)?;
        Ok(Self { token, key })
    }

    /// The key the request must be signed with.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Any claim of the token, by name.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.token.claim(name)
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionToken").field("res_id", &self.claim("res_id")).finish_non_exhaustive()
    }
}
