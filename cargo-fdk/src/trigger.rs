//! What the Fn server makes of an HTTP request on a trigger, and of a function's reply to it
//! (`server/runner_httptrigger.go`).

use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request};

const PREFIX: &str = "fn-http-h-";

/// The headers of the call that a request becomes: every one but `Content-Type` gets a prefix, and method and URL are
/// headers of their own.
pub(crate) fn encode(head: &request::Parts) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(head.headers.len() + 3);
    for (name, value) in &head.headers {
        // Go's server keeps it apart from the headers.
        if name == HOST {
            continue;
        }
        let name = if name == CONTENT_TYPE {
            name.clone()
        } else {
            let Ok(name) = HeaderName::try_from(format!("{PREFIX}{name}")) else { continue };
            name
        };
        headers.append(name, value.clone());
    }
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("fn-http-method", head.method.as_str());
    set("fn-http-request-url", &format!("http://{host}{target}"));
    set("fn-intent", "httprequest");
    headers
}

/// The status and the headers for the caller: those with the prefix, without it, and `Content-Type`.
pub(crate) fn decode(reply: &HeaderMap) -> (StatusCode, HeaderMap) {
    let status = reply.get("fn-http-status").and_then(|status| status.to_str().ok()?.trim().parse().ok());
    // Go's server takes any number above 0 and breaks on what is no status: 500.
    let status = status.filter(|status: &i64| *status > 0).map(|status| {
        let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    });
    let mut headers = HeaderMap::with_capacity(reply.len());
    for (name, value) in reply {
        let name = match name.as_str().strip_prefix(PREFIX) {
            Some(name) => HeaderName::try_from(name).ok(),
            None => (name == CONTENT_TYPE || name == "fn-call-id").then(|| name.clone()),
        };
        if let Some(name) = name {
            headers.append(name, value.clone());
        }
    }
    (status.unwrap_or(StatusCode::OK), headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_wrapped_and_a_reply_unwrapped() {
        let request = http::Request::put("/t/app/f?x=1&x=%20")
            .header("host", "127.0.0.1:8080")
            .header("content-type", "text/plain")
            .header("foo", "a")
            .header("foo", "b")
            .header("fn-http-h-x", "twice");
        let headers = encode(&request.body(()).unwrap().into_parts().0);
        assert_eq!(headers["fn-http-request-url"], "http://127.0.0.1:8080/t/app/f?x=1&x=%20");
        assert_eq!(
            (&headers["fn-http-method"], &headers["fn-intent"]),
            (&"PUT".parse().unwrap(), &"httprequest".parse().unwrap())
        );
        assert_eq!(headers.get_all("fn-http-h-foo").iter().count(), 2);
        assert_eq!(
            (&headers["content-type"], headers.contains_key("foo")),
            (&"text/plain".parse().unwrap(), false)
        );
        assert!(headers.contains_key("fn-http-h-fn-http-h-x"));

        let mut reply = HeaderMap::new();
        for (name, value) in
            [("fn-http-status", "404"), ("fn-http-h-my", "v"), ("content-type", "text/html"), ("bare", "x")]
        {
            reply.insert(name, value.parse().unwrap());
        }
        let (status, headers) = decode(&reply);
        assert_eq!(
            (status, headers.len(), &headers["my"]),
            (StatusCode::NOT_FOUND, 2, &"v".parse().unwrap())
        );
        assert_eq!(decode(&HeaderMap::new()).0, StatusCode::OK);
    }
}
