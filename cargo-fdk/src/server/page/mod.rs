//! The page at `/`: what runs, what was called and how long its parts took, and a form to call.
//!
//! It is rendered here; a little script keeps it fresh. Nothing of it comes from elsewhere.

mod access;
mod chart;
mod form;
mod phases;
mod render;

use super::respond::{self, Body};
use super::{Doors, not_allowed, not_found};
use crate::platform::Platform;
use http::{HeaderMap, HeaderValue, Method, Response, header, request::Parts};

const POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Whether a browser asks, and not a client that pings.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// `/` and all under `/page/`.
pub(super) fn answer(platform: &Platform, doors: &Doors, head: &Parts) -> Response<Body> {
    if head.method != Method::GET {
        return not_allowed(&head.method, head.uri.path());
    }
    let html = "text/html; charset=utf-8";
    let mut response = match head.uri.path() {
        "/" => respond::with_type(html, render::page(platform, doors)),
        "/page/live" => respond::with_type(html, render::live(platform, doors)),
        "/page/style.css" => respond::with_type("text/css; charset=utf-8", include_str!("style.css")),
        "/page/script.js" => respond::with_type("text/javascript; charset=utf-8", include_str!("script.js")),
        path => match path.strip_prefix("/page/calls/").and_then(|id| platform.calls.find(id)) {
            Some(record) => respond::with_type(html, render::call(&record)),
            None => return not_found(&head.method, path),
        },
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
