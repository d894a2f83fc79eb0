//! Checking a signed request, as an OCI service would.
//!
//! Within the five minutes of clock skew a request can be replayed: Signature version 1 has no nonce. A server that
//! minds must remember the signatures of the last ten minutes, or make its operations repeatable.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::authorization::{self, Authorization};
use crate::public_key::PublicKey;
use crate::sign::content_sha256;
use crate::signing_string::{
    BODY_HEADERS, CONTENT_LENGTH, CONTENT_SHA256, DATE, HOST, HeaderFault, REQUEST_TARGET, Why, X_DATE,
    carries_body, signing_string, single_value,
};

/// How far a request's date may be from ours, either way.
const SKEW: Duration = Duration::from_mins(5);

/// What a service asks of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyRule {
    /// POST, PUT and PATCH are signed with length, type and hash. What services ask.
    Signed,
    /// A PUT may leave its body unsigned: Object Storage, which takes streams of unknown hash.
    UnsignedPut,
}

/// Checks the signature of a request, and answers the key id it was made under.
///
/// `find_key` answers the public key known under a key id. For a session (`ST$` and a token) it must verify the token
/// first; see [`SessionToken`](crate::SessionToken).
///
/// No secret is compared here: keys, hashes and signatures are all the sender's to know, so constant time would
/// protect nothing.
pub fn authenticate<'a>(
    head: &'a Parts,
    body: &[u8],
    rule: BodyRule,
    now: SystemTime,
    find_key: impl FnOnce(&str) -> Option<PublicKey>,
) -> Result<&'a str, Denial> {
    let authorization = authorization_of(head)?;
    check_signed_headers(head, &authorization, rule, body)?;
    check_date(head, now)?;
    check_body(head, &authorization, body)?;
    check_signature(head, &authorization, find_key)
}

/// As [`authenticate`], before the body has come: who sends it, for a service that holds large bodies for nobody it does not
/// know. The body itself is not checked, and [`authenticate`] must follow when it is there.
pub fn authenticate_head(
    head: &Parts,
    rule: BodyRule,
    now: SystemTime,
    find_key: impl FnOnce(&str) -> Option<PublicKey>,
) -> Result<&str, Denial> {
    let authorization = authorization_of(head)?;
    check_signed_headers(head, &authorization, rule, b"")?;
    check_date(head, now)?;
    check_signature(head, &authorization, find_key)
}

fn authorization_of(head: &Parts) -> Result<Authorization<'_>, Denial> {
    match single_value(&head.headers, AUTHORIZATION.as_str()) {
        Ok(value) => Ok(Authorization::parse(value)?),
        Err(HeaderFault { why: Why::Missing, .. }) => Err(Kind::NoAuthorization.into()),
        Err(fault) => Err(fault.into()),
    }
}

fn check_signature<'a>(
    head: &Parts,
    authorization: &Authorization<'a>,
    find_key: impl FnOnce(&str) -> Option<PublicKey>,
) -> Result<&'a str, Denial> {
    let key = find_key(authorization.key_id).ok_or(Kind::UnknownKey)?;
    let signing_string = signing_string(head, authorization.headers.iter().copied())?;
    if key.verifies(signing_string.as_bytes(), &authorization.signature) {
        Ok(authorization.key_id)
    } else {
        Err(Kind::BadSignature.into())
    }
}

/// What counts must be under the signature, else it could be changed on the way.
fn check_signed_headers(
    head: &Parts,
    authorization: &Authorization<'_>,
    rule: BodyRule,
    body: &[u8],
) -> Result<(), Denial> {
    let carries_body = carries_body(&head.method).ok_or(Kind::Method)?;
    let must = |name| if authorization.covers(name) { Ok(()) } else { Err(Kind::Unsigned(name)) };

    must(REQUEST_TARGET)?;
    must(HOST)?;
    must(date_header(head))?;
    let may_be_unsigned = rule == BodyRule::UnsignedPut && head.method == http::Method::PUT;
    if carries_body && !may_be_unsigned {
        BODY_HEADERS.into_iter().try_for_each(must)?;
    }
    // A hash is sent to be believed, and a body where none belongs needs one.
    if head.headers.contains_key(CONTENT_SHA256) || (!carries_body && !body.is_empty()) {
        must(CONTENT_SHA256)?;
    }
    Ok(())
}

fn date_header(head: &Parts) -> &'static str {
    if head.headers.contains_key(X_DATE) { X_DATE } else { DATE }
}

fn check_date(head: &Parts, now: SystemTime) -> Result<(), Denial> {
    let name = date_header(head);
    let date = parse_date(single_value(&head.headers, name)?).ok_or(Kind::BadDate(name))?;
    let skew = now.duration_since(date).unwrap_or_else(|ahead| ahead.duration());
    if skew <= SKEW { Ok(()) } else { Err(Kind::Skew(skew).into()) }
}

/// An IMF-fixdate (RFC 9110, section 5.6.7), and no other form: whatever does not print as it was read is refused.
fn parse_date(text: &str) -> Option<SystemTime> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let time = SystemTime::from(time);
    (crate::sign::http_date(time) == text).then_some(time)
}

fn check_body(head: &Parts, authorization: &Authorization<'_>, body: &[u8]) -> Result<(), Denial> {
    let described = [(CONTENT_LENGTH, body.len().to_string()), (CONTENT_SHA256, content_sha256(body))];
    for (name, expected) in described {
        if authorization.covers(name) && single_value(&head.headers, name)? != expected {
            return Err(Kind::BodyDiffers(name).into());
        }
    }
    Ok(())
}

/// Why a request was not believed. An OCI service answers 401 `NotAuthenticated` to every one of them.
pub struct Denial {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    NoAuthorization,
    Authorization(authorization::Fault),
    Method,
    Header(HeaderFault),
    Unsigned(&'static str),
    BadDate(&'static str),
    Skew(Duration),
    BodyDiffers(&'static str),
    UnknownKey,
    BadSignature,
}

impl Denial {
    /// The stable code of this denial, for machines.
    pub fn code(&self) -> &'static str {
        match self.kind {
            Kind::NoAuthorization => "authorization_missing",
            Kind::Authorization(_) => "authorization_malformed",
            Kind::Method => "method_unsupported",
            Kind::Header(_) => "header_invalid",
            Kind::Unsigned(_) => "header_not_signed",
            Kind::BadDate(_) => "date_malformed",
            Kind::Skew(_) => "date_skew",
            Kind::BodyDiffers(_) => "body_mismatch",
            Kind::UnknownKey => "key_unknown",
            Kind::BadSignature => "signature_invalid",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::NoAuthorization => {
                f.write_str("the request is not signed; sign it with Signature version 1")
            }
            Kind::Authorization(fault) => {
                write!(f, "the authorization header is not one of Signature version 1: {fault}")
            }
            Kind::Method => f.write_str("the method is not one OCI uses"),
            Kind::Header(HeaderFault { name, why }) => match why {
                Why::Missing => write!(f, "the {name} header is signed but was not sent"),
                Why::Twice => write!(f, "the {name} header was sent more than once"),
                Why::NotText => write!(f, "the {name} header is not visible ASCII"),
            },
            Kind::Unsigned(name) => write!(f, "{name} is not among the signed headers"),
            Kind::BadDate(name) => {
                write!(f, "the {name} header is not a date such as Sun, 22 Nov 2026 12:00:00 GMT")
            }
            Kind::Skew(skew) => write!(
                f,
                "the date of the request is {} s from ours, more than the 300 allowed; check both clocks",
                skew.as_secs()
            ),
            Kind::BodyDiffers(name) => write!(f, "the body is not the one the {name} header describes"),
            Kind::UnknownKey => f.write_str("no key is known under the key id"),
            Kind::BadSignature => f.write_str("the signature does not fit the request and the key"),
        }
    }
}

impl fmt::Debug for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Denial({}: {self})", self.code())
    }
}

impl std::error::Error for Denial {}

impl From<Kind> for Denial {
    fn from(kind: Kind) -> Self {
        Self { kind }
    }
}

impl From<HeaderFault> for Denial {
    fn from(fault: HeaderFault) -> Self {
        Kind::Header(fault).into()
    }
}

impl From<authorization::Fault> for Denial {
    fn from(fault: authorization::Fault) -> Self {
        Kind::Authorization(fault).into()
    }
}
