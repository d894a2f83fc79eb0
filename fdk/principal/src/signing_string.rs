//! The text a request signature covers: the same rules for signing a request and for checking a signed one.

use http::header::HeaderMap;
use http::request::Parts;
use http::{Method, Uri};

pub(crate) const REQUEST_TARGET: &str = "(request-target)";
pub(crate) const CONTENT_LENGTH: &str = "content-length";
pub(crate) const CONTENT_TYPE: &str = "content-type";
pub(crate) const CONTENT_SHA256: &str = "x-content-sha256";
/// Signed for the methods that have a body, in the order every OCI SDK uses.
pub(crate) const BODY_HEADERS: [&str; 3] = [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_SHA256];
pub(crate) const DATE: &str = "date";
/// Takes the place of `date` where a client cannot set that; the one that counts when both are sent.
pub(crate) const X_DATE: &str = "x-date";
pub(crate) const HOST: &str = "host";

/// Whether requests of this method carry a body: `None` for a method OCI does not use.
///
/// Compared exactly. The signature covers the method in lower case only, so a method in another case would share its
/// signature and escape the rules for bodies.
pub(crate) fn carries_body(method: &Method) -> Option<bool> {
    match *method {
        Method::POST | Method::PUT | Method::PATCH => Some(true),
        Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS => Some(false),
        _ => None,
    }
}

/// One `name: value` line for each name, joined by line feeds.
pub(crate) fn signing_string<'a>(
    head: &Parts,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<String, HeaderFault> {
    let mut lines = Vec::new();
    for name in names {
        let value = if name == REQUEST_TARGET {
            let method = head.method.as_str().to_ascii_lowercase();
            format!("{method} {}", target(&head.uri))
        } else {
            single_value(&head.headers, name)?.to_owned()
        };
        lines.push(format!("{name}: {value}"));
    }
    Ok(lines.join("\n"))
}

/// Path and query exactly as sent: nothing is decoded, normalised or put in order.
///
/// `Display` and not `as_str`, since it is how hyper writes it: with the slash a URL such as `https://host?q` lacks.
fn target(uri: &Uri) -> String {
    uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string)
}

/// A header's value, which must be there once: of two, client and server could each mean the other.
pub(crate) fn single_value<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, HeaderFault> {
    let fault = |why| HeaderFault { name: name.to_owned(), why };
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(fault(Why::Missing)),
        (Some(_), Some(_)) => Err(fault(Why::Twice)),
        // Space around a value is not part of it on the wire (RFC 9110, section 5.5).
        (Some(value), None) => value.to_str().map(str::trim).map_err(|_| fault(Why::NotText)),
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HeaderFault {
    pub(crate) name: String,
    pub(crate) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Missing,
    Twice,
    NotText,
}
