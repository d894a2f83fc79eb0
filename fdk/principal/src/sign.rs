//! Signing a request: Signature version 1, as the OCI services check it.

use std::fmt;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::request::Parts;
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::error::{Kind, Refusal};
use crate::key::PrivateKey;
use crate::signing_string::{
    BODY_HEADERS, CONTENT_LENGTH, CONTENT_SHA256, CONTENT_TYPE, DATE, HOST, HeaderFault, REQUEST_TARGET, Why,
    X_DATE, carries_body, signing_string, single_value,
};
use crate::verify::unix_seconds;

/// What a signature says about the body of a request.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    /// These bytes: hashed, and the hash signed, for POST, PUT and PATCH. The other methods have none.
    Bytes(&'a [u8]),
    /// A body sent as a stream, whose `content-length` and `x-content-sha256` the caller has set.
    Described,
    /// Not signed. Only Object Storage's `PutObject` and `UploadPart`, and log uploads, accept that.
    Unsigned,
}

/// What was signed, for a tool that shows it. The request has it already.
pub struct Signed {
    signing_string: String,
    authorization: Zeroizing<String>,
}

impl Signed {
    /// The text under the signature.
    pub fn signing_string(&self) -> &str {
        &self.signing_string
    }

    /// The value of the `authorization` header. It holds the token: whoever reads it can replay the request.
    pub fn authorization(&self) -> &str {
        &self.authorization
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("signing_string", &self.signing_string).finish_non_exhaustive()
    }
}

/// Signs the request in place: adds `host`, `date` and the headers of a body where they are missing, and sets
/// `authorization`. Headers already there are signed as they are.
pub(crate) fn sign(
    head: &mut Parts,
    payload: Payload<'_>,
    key_id: &str,
    key: &PrivateKey,
    now: SystemTime,
) -> Result<Signed, Refusal> {
    check_target(head)?;
    add_host(head)?;
    let date = add_date(head, now)?;
    let mut names = vec![date, REQUEST_TARGET, HOST];
    if add_body_headers(head, payload)? {
        names.extend(BODY_HEADERS);
    }

    let signing_string = signing_string(head, names.iter().copied())?;
    let signature = key.sign(signing_string.as_bytes()).ok_or(Fault::Key)?;
    // The order of the Python SDK; a server takes any.
    let authorization = Zeroizing::new(format!(
        "Signature algorithm=\"rsa-sha256\",headers=\"{}\",keyId=\"{key_id}\",signature=\"{}\",version=\"1\"",
        names.join(" "),
        STANDARD.encode(signature),
    ));
    let mut value = HeaderValue::from_str(&authorization).map_err(|_| Fault::KeyId)?;
    value.set_sensitive(true);
    head.headers.insert(AUTHORIZATION, value);
    Ok(Signed { signing_string, authorization })
}

/// True when a name may stand, quoted, in the header: it must not break out of the quotes or of the header.
pub(crate) fn is_key_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// The `date` header for a time. Times no header can hold are moved to the nearest one that can.
pub(crate) fn http_date(time: SystemTime) -> String {
    let seconds = i64::try_from(unix_seconds(time)).unwrap_or(i64::MAX);
    let timestamp = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&timestamp).unwrap_or_default()
}

fn check_target(head: &Parts) -> Result<(), Fault> {
    let target = head.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    if target.is_ascii() { Ok(()) } else { Err(Fault::Target) }
}

/// The `host` header as a client sends it: the port only when it is not the scheme's own, and never a user name.
fn add_host(head: &mut Parts) -> Result<(), Fault> {
    if head.headers.contains_key(HOST) {
        return Ok(());
    }
    let authority = head.uri.authority().ok_or(Fault::NoHost)?;
    let port = authority.port_u16().filter(|port| match head.uri.scheme_str() {
        Some("https") => *port != 443,
        Some("http") => *port != 80,
        _ => true,
    });
    let host = match port {
        Some(port) => format!("{}:{port}", authority.host()),
        None => authority.host().to_owned(),
    };
    insert(head, HOST, &host)
}

/// Answers the name of the header that holds the date.
fn add_date(head: &mut Parts, now: SystemTime) -> Result<&'static str, Fault> {
    if head.headers.contains_key(X_DATE) {
        return Ok(X_DATE);
    }
    if !head.headers.contains_key(DATE) {
        insert(head, DATE, &http_date(now))?;
    }
    Ok(DATE)
}

/// Answers whether the headers of a body are to be signed.
fn add_body_headers(head: &mut Parts, payload: Payload<'_>) -> Result<bool, Fault> {
    let carries = carries_body(&head.method).ok_or_else(|| Fault::Method(head.method.to_string()))?;
    if !carries {
        return match payload {
            Payload::Bytes([]) | Payload::Unsigned => Ok(false),
            Payload::Bytes(_) | Payload::Described => Err(Fault::BodyNotAllowed(head.method.to_string())),
        };
    }
    match payload {
        Payload::Unsigned => return Ok(false),
        Payload::Described => {
            single_value(&head.headers, CONTENT_LENGTH)?;
            single_value(&head.headers, CONTENT_SHA256)?;
        }
        Payload::Bytes(body) => {
            let described =
                [(CONTENT_LENGTH, body.len().to_string()), (CONTENT_SHA256, content_sha256(body))];
            for (name, expected) in described {
                if !head.headers.contains_key(name) {
                    insert(head, name, &expected)?;
                } else if single_value(&head.headers, name)? != expected {
                    return Err(Fault::BodyDiffers(name));
                }
            }
        }
    }
    if !head.headers.contains_key(CONTENT_TYPE) {
        insert(head, CONTENT_TYPE, "application/json")?;
    }
    Ok(true)
}

/// The value of `x-content-sha256` for a body, the empty one included.
pub(crate) fn content_sha256(body: &[u8]) -> String {
    STANDARD.encode(digest(&SHA256, body))
}

fn insert(head: &mut Parts, name: &'static str, value: &str) -> Result<(), Fault> {
    let value = HeaderValue::from_str(value)
        .map_err(|_| Fault::Header(HeaderFault { name: name.to_owned(), why: Why::NotText }))?;
    head.headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

/// Why a request cannot be signed.
#[derive(Debug)]
pub(crate) enum Fault {
    NoHost,
    Target,
    Method(String),
    BodyNotAllowed(String),
    BodyDiffers(&'static str),
    Header(HeaderFault),
    KeyId,
    Key,
}

impl From<HeaderFault> for Fault {
    fn from(fault: HeaderFault) -> Self {
        Self::Header(fault)
    }
}

impl From<HeaderFault> for Refusal {
    fn from(fault: HeaderFault) -> Self {
        Fault::Header(fault).into()
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Kind::Unsignable(fault).into()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request cannot be signed: ")?;
        match self {
            Self::NoHost => f.write_str("it names no host; give an absolute URL or a host header"),
            Self::Target => f.write_str("its path or query is not ASCII; percent-encode it first"),
            Self::Method(method) => {
                write!(f, "OCI uses no method {method}; use GET, HEAD, DELETE, OPTIONS, POST, PUT or PATCH")
            }
            Self::BodyNotAllowed(method) => write!(f, "{method} carries no body; use POST, PUT or PATCH"),
            Self::BodyDiffers(name) => {
                write!(f, "the {name} header does not fit the body; remove it or correct it")
            }
            Self::Header(HeaderFault { name, why }) => match why {
                Why::Missing => write!(f, "the {name} header is missing; set it"),
                Why::Twice => write!(f, "the {name} header is there more than once; keep one"),
                Why::NotText => write!(f, "the {name} header is not visible ASCII; correct it"),
            },
            Self::KeyId => f.write_str(
                "the key id is empty or holds a quote, a space or a control character; correct it",
            ),
            Self::Key => f.write_str("the private key failed"),
        }
    }
}
