//! The resource principal session token: a JWT in JWS compact form (RFC 7515, RFC 7519).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::error::{Origin, ShortValue};
use crate::public_key::PublicKey;

/// A token whose form and algorithm are right. Its claims are not yet believed.
pub(crate) struct Token {
    text: Zeroizing<String>,
    kid: Option<String>,
    claims: Map<String, Value>,
    signature: Zeroizing<Vec<u8>>,
    signed_length: usize,
}

/// RS256 demands a key of 2048 bits or more (RFC 7518, section 3.3), and a signature is as long as its key.
const SHORTEST_SIGNATURE: usize = 256;
/// Seconds a token may be ahead of our clock, in `iat` and `nbf`.
const CLOCK_SKEW: u64 = 60;
/// The last second of the year 9999: no honest time lies behind it.
const LAST_TIME: f64 = 253_402_300_799.0;

impl Token {
    /// Reads a token. White space around it is dropped (a file may end in a line break); inside, only the characters
    /// of a JWS are let through, so that a token never breaks out of the header it is sent in.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Fault::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
            return Err(Fault::Malformed("it holds characters no token has"));
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Fault::Malformed("it does not have three parts"));
        };
        let mut header =
            json_object(header).ok_or(Fault::Malformed("its header is not JSON in base64url"))?;
        let claims = json_object(payload).ok_or(Fault::Malformed("its payload is not JSON in base64url"))?;

        // The one algorithm the service has been seen to use. The others are either no signature at all (none), or
        // one anybody who can verify could have made (HS256).
        match header.get("alg").and_then(Value::as_str) {
            Some("RS256") => {}
            Some(other) => return Err(Fault::Algorithm(other.to_owned())),
            None => return Err(Fault::Algorithm(String::new())),
        }
        if header.contains_key("crit") {
            return Err(Fault::Malformed("its header demands an extension (crit)"));
        }
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map(Zeroizing::new)
            .map_err(|_| Fault::Malformed("its signature is not base64url"))?;
        // Unsigned bytes would do for every other check here, so this is what finds a token file read half-written.
        if signature.len() < SHORTEST_SIGNATURE {
            return Err(Fault::Malformed("its signature is cut short"));
        }
        let kid = match header.remove("kid") {
            Some(Value::String(kid)) => Some(kid),
            _ => None,
        };
        let signed_length = text.rfind('.').unwrap_or_default();
        Ok(Self { text: Zeroizing::new(text.to_owned()), kid, claims, signature, signed_length })
    }

    /// The token as sent: in the character set of a JWS, so safe inside a quoted header parameter.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// What the issuer signed, its signature, and the name of the key it says it used.
    pub(crate) fn signed(&self) -> (&[u8], &[u8], Option<&str>) {
        let signed = self.text.as_bytes().get(..self.signed_length).unwrap_or_default();
        (signed, &self.signature, self.kid.as_deref())
    }

    /// Checks `exp`, `iat` and `nbf` (RFC 7519, section 4.1) at `now`, in Unix seconds; answers `exp`.
    pub(crate) fn check_times(&self, now: u64) -> Result<u64, Fault> {
        let expires = self.time("exp")?.ok_or(Fault::Missing("exp"))?;
        let issued = self.time("iat")?;
        let not_before = self.time("nbf")?;
        if expires <= now {
            return Err(Fault::Expired { ago: now - expires });
        }
        match issued {
            Some(issued) if issued > now + CLOCK_SKEW => {
                return Err(Fault::IssuedInFuture { ahead: issued - now });
            }
            Some(issued) if expires <= issued => {
                return Err(Fault::Claim("exp", "is not after iat"));
            }
            _ => {}
        }
        match not_before {
            Some(start) if start > now + CLOCK_SKEW => Err(Fault::NotYetValid { ahead: start - now }),
            _ => Ok(expires),
        }
    }

    /// A claim that must be there and be a text.
    pub(crate) fn required_text(&self, name: &'static str) -> Result<&str, Fault> {
        match self.claim(name) {
            None | Some(Value::Null) => Err(Fault::Missing(name)),
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            Some(_) => Err(Fault::Claim(name, "is not a text")),
        }
    }

    /// The public key the token is bound to. OCI writes the JWK as a JSON text inside the JSON; an object is read too.
    pub(crate) fn bound_key(&self) -> Result<PublicKey, Fault> {
        let parsed;
        let jwk = match self.claim("jwk") {
            None | Some(Value::Null) => return Err(Fault::Missing("jwk")),
            Some(Value::String(text)) => {
                parsed = serde_json::from_str(text).map_err(|_| Fault::Claim("jwk", "is not JSON"))?;
                &parsed
            }
            Some(value) => value,
        };
        PublicKey::from_jwk(jwk).map_err(|why| Fault::Claim("jwk", why))
    }

    /// A `NumericDate`; fractions, which RFC 7519 allows, are dropped.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    fn time(&self, name: &'static str) -> Result<Option<u64>, Fault> {
        match self.claim(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64() {
                Some(seconds) if (0.0..=LAST_TIME).contains(&seconds) => Ok(Some(seconds as u64)),
                _ => Err(Fault::Claim(name, "is not a time in seconds")),
            },
        }
    }
}

fn json_object(part: &str) -> Option<Map<String, Value>> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(part).ok()?);
    serde_json::from_slice(&bytes).ok()
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} bytes)", self.text.len())
    }
}

/// What is wrong with a token.
pub(crate) enum Fault {
    Empty,
    Malformed(&'static str),
    Algorithm(String),
    Expired { ago: u64 },
    NotYetValid { ahead: u64 },
    IssuedInFuture { ahead: u64 },
    Claim(&'static str, &'static str),
    Missing(&'static str),
}

impl Fault {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Empty => "token_empty",
            Self::Malformed(_) => "token_malformed",
            Self::Algorithm(_) => "alg_not_allowed",
            Self::Expired { .. } => "token_expired",
            Self::NotYetValid { .. } => "token_not_yet_valid",
            Self::IssuedInFuture { .. } => "token_issued_in_future",
            Self::Claim(..) => "token_claims_invalid",
            Self::Missing(_) => "missing_claim",
        }
    }

    pub(crate) fn may_be_half_written(&self) -> bool {
        matches!(self, Self::Empty | Self::Malformed(_))
    }

    pub(crate) fn describe(&self, origin: &Origin, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CLOCK: &str = "check the clock of this machine";
        const FOREIGN: &str = "the token is not one OCI issues: give the one that it issued to this function";
        match self {
            Self::Empty => {
                write!(f, "{origin} is empty; it must hold the token, or be the absolute path of its file")
            }
            Self::Malformed(why) => write!(
                f,
                "{origin} is not a token: {why}; it must hold the token, or be the absolute path of its file"
            ),
            Self::Algorithm(alg) if alg.is_empty() => {
                write!(f, "the token in {origin} names no algorithm; only RS256 is accepted")
            }
            Self::Algorithm(alg) => {
                write!(
                    f,
                    "the token in {origin} uses the algorithm {}; only RS256 is accepted",
                    ShortValue(alg)
                )
            }
            Self::Expired { ago } => {
                write!(f, "the token in {origin} expired {ago} s ago; give a fresh token, or {CLOCK}")
            }
            Self::NotYetValid { ahead } => {
                write!(f, "the token in {origin} is not valid for another {ahead} s; {CLOCK}")
            }
            Self::IssuedInFuture { ahead } => {
                write!(f, "the token in {origin} was issued {ahead} s in the future; {CLOCK}")
            }
            Self::Claim(name, why) => {
                write!(f, "the claim {name} of the token in {origin} {why}; {FOREIGN}")
            }
            Self::Missing(name) => {
                write!(f, "the token in {origin} lacks the claim {name}; {FOREIGN}")
            }
        }
    }
}
