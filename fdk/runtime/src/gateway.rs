//! The HTTP request behind a trigger or API Gateway call, and the reply to it: `Fn-Http-*` both ways.

use crate::contract::header;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use std::borrow::Cow;
use std::fmt;

/// The HTTP request that a trigger or a gateway turned into this call (`Fn-Intent: httprequest`).
///
/// `Debug` shows neither the query nor the value of a header: either may be a credential.
#[derive(Clone)]
pub struct HttpRequest {
    method: Method,
    url: String,
    path: String,
    query: String,
    headers: HeaderMap,
}

impl HttpRequest {
    /// Decodes the envelope. `None` without the intent: `Fn-Http-*` alone is whatever a direct caller chose to send.
    ///
    /// A caller may set the intent and neither method nor URL (an `InvokeFunction` with `fn_intent=httprequest` does):
    /// that is `POST /`.
    pub(crate) fn decode(envelope: &HeaderMap) -> Option<Self> {
        let intent = envelope.get(header::INTENT)?;
        if !intent.as_bytes().eq_ignore_ascii_case(b"httprequest") {
            return None;
        }
        let method = envelope
            .get(header::HTTP_METHOD)
            .and_then(|value| Method::from_bytes(value.as_bytes()).ok())
            .unwrap_or(Method::POST);
        let url = envelope
            .get(header::HTTP_REQUEST_URL)
            .map_or(Cow::Borrowed("/"), |value| String::from_utf8_lossy(value.as_bytes()));
        let (path, query) = split_url(&url);
        Some(Self { method, path, query, headers: decode_headers(envelope), url: url.into_owned() })
    }

    /// The method the caller used.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The URL as the platform gives it, absolute behind a trigger or gateway.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL's path, percent-encoded as it came; `/` when there is none.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The URL's query without the `?`, as it came.
    pub fn query_string(&self) -> &str {
        &self.query
    }

    /// The decoded query parameters in order; a name may come more than once.
    pub fn query(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query.as_bytes())
    }

    /// The caller's own headers, without the transport's.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Method, URI and headers as `http` types, for a router. A URL that is none becomes `/`.
    pub fn to_parts(&self) -> http::request::Parts {
        let uri = self.url.parse::<Uri>().or_else(|_| self.path.parse()).unwrap_or_default();
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = self.method.clone();
        parts.uri = uri;
        parts.headers = self.headers.clone();
        parts
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

fn split_url(url: &str) -> (String, String) {
    let after_authority = match url.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?', '#']).map_or("", |start| &rest[start..]),
        None => url,
    };
    let without_fragment = after_authority.split('#').next().unwrap_or_default();
    let (path, query) = without_fragment.split_once('?').unwrap_or((without_fragment, ""));
    (if path.is_empty() { "/".into() } else { path.into() }, query.into())
}

/// `Fn-Http-H-X` becomes `x`; `Content-Type` travels bare; everything else belongs to the transport.
fn decode_headers(envelope: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(envelope.len());
    for (name, value) in envelope {
        if let Some(name) = name.as_str().strip_prefix(header::HTTP_HEADER_PREFIX)
            && let Ok(name) = HeaderName::from_bytes(name.as_bytes())
        {
            headers.append(name, value.clone());
        }
    }
    if let Some(content_type) = envelope.get(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, content_type.clone());
    }
    headers
}

/// Wraps a reply's status and headers for the way back: every header but `Content-Type` and those that are the
/// platform's own (`Fn-…`) gets the prefix, once; the status is a header.
pub(crate) fn encode(status: u16, headers: HeaderMap) -> HeaderMap {
    let mut envelope = HeaderMap::with_capacity(headers.len() + 1);
    let mut name = None;
    for (next, value) in headers {
        // `HeaderMap` yields the name only with the first of its values.
        if let Some(next) = next {
            name = Some(encode_name(next));
        }
        if let Some(name) = &name {
            envelope.append(name.clone(), value);
        }
    }
    envelope.insert(header::HTTP_STATUS, HeaderValue::from(status));
    envelope
}

fn encode_name(name: HeaderName) -> HeaderName {
    if name == CONTENT_TYPE || name.as_str().starts_with("fn-") {
        return name;
    }
    let prefixed = format!("{}{name}", header::HTTP_HEADER_PREFIX);
    HeaderName::from_bytes(prefixed.as_bytes()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn a_trigger_call_is_unwrapped() {
        let request = HttpRequest::decode(&map(&[
            ("Host", "localhost"),
            ("User-Agent", "Go-http-client/1.1"),
            ("Fn-Deadline", "2026-11-22T12:00:00Z"),
            ("Fn-Intent", "httprequest"),
            ("Fn-Http-Method", "PUT"),
            ("Fn-Http-Request-Url", "http://h/t/a?x=1&x=2&y=%20z"),
            ("Fn-Http-H-Foo", "a"),
            ("Fn-Http-H-Foo", "b"),
            ("Fn-Http-H-", "nameless"),
            ("Content-Type", "text/html"),
        ]))
        .unwrap();
        assert_eq!((request.method(), request.path()), (&Method::PUT, "/t/a"));
        assert_eq!(request.url(), "http://h/t/a?x=1&x=2&y=%20z");
        let query: Vec<_> = request.query().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(query, ["x=1", "x=2", "y= z"]);
        assert_eq!(values(request.headers(), "foo"), ["a", "b"]);
        assert_eq!(request.headers().keys_len(), 2, "foo and content-type only");
    }

    #[test]
    fn without_the_intent_it_is_a_direct_call() {
        assert!(HttpRequest::decode(&map(&[("Fn-Http-Method", "GET")])).is_none());
        assert!(HttpRequest::decode(&map(&[("Fn-Intent", "cloudevent")])).is_none());
    }

    #[test]
    fn the_intent_alone_is_post_to_the_root() {
        let request = HttpRequest::decode(&map(&[("Fn-Intent", "httprequest")])).unwrap();
        assert_eq!((request.method(), request.url(), request.path()), (&Method::POST, "/", "/"));
    }

    #[test]
    fn a_reply_is_wrapped_once() {
        let envelope = encode(
            404,
            map(&[
                ("My-Header", "v1"),
                ("My-Header", "v2"),
                ("Content-Type", "text/html"),
                ("Fn-Http-H-X", "single"),
            ]),
        );
        assert_eq!(values(&envelope, "fn-http-status"), ["404"]);
        assert_eq!(values(&envelope, "fn-http-h-my-header"), ["v1", "v2"]);
        assert_eq!(values(&envelope, "fn-http-h-x"), ["single"]);
        assert_eq!(values(&envelope, "content-type"), ["text/html"]);
        assert!(!envelope.contains_key("my-header"));
    }

    proptest! {
        #[test]
        fn headers_survive_the_way_there_and_back(names in prop::collection::vec("[a-z][a-z0-9-]{0,12}", 0..8)) {
            let mut headers = HeaderMap::new();
            for (index, name) in names.iter().enumerate().filter(|(_, name)| !name.starts_with("fn-")) {
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from(index));
            }
            let mut envelope = encode(200, headers.clone());
            envelope.insert("fn-intent", HeaderValue::from_static("httprequest"));
            let request = HttpRequest::decode(&envelope).unwrap();
            prop_assert_eq!(request.headers(), &headers);
        }

        #[test]
        fn any_url_splits(url in "\\PC{0,60}") {
            let (path, _) = split_url(&url);
            prop_assert!(!path.is_empty());
        }
    }
}
