//! The issuer's public keys, when the operator supplies them (a JWK set, RFC 7517).
//!
//! OCI publishes none for the service that issues these tokens, so without such a file a token's signature cannot be
//! checked by anybody but OCI.

use std::fmt;
use std::path::Path;

use serde_json::Value;

use crate::error::{Kind, Material, Origin, Refusal};
use crate::public_key::PublicKey;
use crate::sources::read_small_file;
use crate::token::Token;

/// Verifies the token's signature with the keys in `file`.
///
/// The file is read each time, so that keys can be rotated under a running function.
pub(crate) fn check_signature(token: &Token, file: &Path) -> Result<(), Refusal> {
    let origin = || Origin { name: "issuer keys".into(), path: Some(file.to_path_buf()) };
    let refuse = |fault| Refusal::from(Kind::Issuer(origin(), fault));
    let text = read_small_file(file).map_err(|error| Kind::Unreadable {
        what: Material::IssuerKeys,
        origin: origin(),
        error,
    })?;
    let keys = parse(&text).map_err(|why| refuse(Fault::Malformed(why)))?;

    let (message, signature, kid) = token.signed();
    let mut candidates = keys.iter().filter(|key| key.may_be(kid)).peekable();
    if candidates.peek().is_none() {
        return Err(refuse(Fault::NoSuchKey));
    }
    if candidates.any(|key| key.public.verifies(message, signature)) {
        Ok(())
    } else {
        Err(refuse(Fault::BadSignature))
    }
}

struct IssuerKey {
    kid: Option<String>,
    public: PublicKey,
}

impl IssuerKey {
    /// A name on both sides must agree; where either has none, the signature decides alone.
    fn may_be(&self, kid: Option<&str>) -> bool {
        match (&self.kid, kid) {
            (Some(ours), Some(named)) => ours == named,
            _ => true,
        }
    }
}

fn parse(text: &str) -> Result<Vec<IssuerKey>, &'static str> {
    let set: Value = serde_json::from_str(text).map_err(|_| "it is not JSON")?;
    let keys = set.get("keys").and_then(Value::as_array).ok_or("it has no list named keys")?;
    let mut usable = Vec::new();
    for jwk in keys {
        let field = |name| jwk.get(name).and_then(Value::as_str);
        // RFC 7517, section 5: keys of a kind one does not understand are skipped.
        if field("kty") != Some("RSA") || field("use").is_some_and(|usage| usage != "sig") {
            continue;
        }
        let public = PublicKey::from_jwk(jwk).map_err(|_| "one of its RSA keys lacks n or e")?;
        usable.push(IssuerKey { kid: field("kid").map(str::to_owned), public });
    }
    if usable.is_empty() { Err("it holds no RSA key for signatures") } else { Ok(usable) }
}

pub(crate) enum Fault {
    Malformed(&'static str),
    NoSuchKey,
    BadSignature,
}

impl Fault {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "issuer_keys_malformed",
            Self::NoSuchKey | Self::BadSignature => "bad_signature",
        }
    }

    pub(crate) fn describe(&self, origin: &Origin, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(
                f,
                "{origin} is not a JWK set (RFC 7517): {why}; give a file with the issuer's public keys, or none"
            ),
            Self::NoSuchKey => write!(
                f,
                "the token names a signing key that is not in {origin}; add the issuer's current keys to the file"
            ),
            Self::BadSignature => write!(
                f,
                "the token is not signed by any key in {origin}; the token was forged or altered, or the file holds another issuer's keys"
            ),
        }
    }
}
