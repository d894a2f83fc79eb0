//! The requests in `tests/principal/vectors/signing.json`, signed by the real Python SDK: ours must be the same bytes.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use common::{Issued, NOW, Rotating, api_key, session_key, vectors};
use fdk_principal::{ApiKey, Payload, Signer};
use http::request::Parts;
use http::{HeaderMap, Request};
use serde_json::Value;

/// The request of a vector, as it was before the SDK signed it.
fn unsigned(vector: &Value) -> (Parts, Vec<u8>) {
    let request = &vector["request"];
    let mut builder = Request::builder()
        .method(request["method"].as_str().unwrap())
        .uri(request["url_on_wire"].as_str().unwrap());
    for (name, value) in request["headers_given"].as_object().unwrap() {
        builder = builder.header(name, value.as_str().unwrap());
    }
    let body = request["body_base64"].as_str().map(common::base64).unwrap_or_default();
    (builder.body(()).unwrap().into_parts().0, body)
}

fn signer_of(vector: &Value, document: &Value) -> ApiKey {
    let pem = document["keys"][vector["key"].as_str().unwrap()].as_str().unwrap();
    ApiKey::new(vector["key_id"].as_str().unwrap(), pem, None).unwrap()
}

fn payload<'a>(vector: &Value, body: &'a [u8]) -> Payload<'a> {
    let is_put = vector["request"]["method"] == "PUT";
    if is_put && vector["sign_body"] == false { Payload::Unsigned } else { Payload::Bytes(body) }
}

#[test]
fn every_vector_is_reproduced_byte_for_byte() {
    let document = vectors();
    let vectors = document["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 15);
    for vector in vectors {
        let name = &vector["name"];
        let (mut head, body) = unsigned(vector);
        let signed =
            signer_of(vector, document).sign_head(&mut head, payload(vector, &body), UNIX_EPOCH).unwrap();
        assert_eq!(signed.signing_string(), vector["signing_string"], "{name}");
        assert_eq!(signed.authorization(), vector["authorization"], "{name}");
        assert_eq!(head.headers["authorization"], vector["authorization"].as_str().unwrap(), "{name}");
        for signed in vector["signed_headers"].as_array().unwrap() {
            let header = signed.as_str().unwrap();
            if header != "(request-target)" {
                let sent = vector["headers_sent"][header].as_str().unwrap();
                assert_eq!(head.headers[header], sent, "{name}: {header}");
            }
        }
    }
}

#[test]
fn a_principal_signs_the_session_vectors() {
    let document = vectors();
    let principal = common::principal(document["rpst"].as_str().unwrap(), session_key(document));
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    let mut count = 0;
    for vector in document["vectors"].as_array().unwrap().iter().filter(|vector| vector["signer"] == "st") {
        let (mut head, body) = unsigned(vector);
        // The date of the vectors is `now`, so it is ours to write.
        head.headers.remove("date");
        let signed = principal.sign_head(&mut head, payload(vector, &body), now).unwrap();
        assert_eq!(signed.authorization(), vector["authorization"], "{}", vector["name"]);
        count += 1;
    }
    assert_eq!(count, 9);
}

fn headers(request: Request<&'static str>) -> HeaderMap {
    let document = vectors();
    let mut request = request;
    let key = api_key(document);
    Signer::from(Arc::new(key)).sign(&mut request).unwrap();
    request.into_parts().0.headers
}

fn signed_names(headers: &HeaderMap) -> String {
    let authorization = headers["authorization"].to_str().unwrap();
    authorization.split("headers=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[test]
fn an_empty_post_is_described_too() {
    let headers = headers(Request::post("https://example.com/x").body("").unwrap());
    assert_eq!(headers["content-length"], "0");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["x-content-sha256"], "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

#[test]
fn x_date_takes_the_place_of_date() {
    let request = Request::get("https://example.com/x")
        .header("x-date", "Sun, 22 Nov 2026 12:00:00 GMT")
        .header("date", "Mon, 01 Jan 1990 00:00:00 GMT");
    let headers = headers(request.body("").unwrap());
    assert_eq!(signed_names(&headers), "x-date (request-target) host");
}

#[test]
fn only_a_port_of_its_own_is_part_of_the_host() {
    for (url, host) in [
        ("https://example.com/", "example.com"),
        ("https://example.com:443/", "example.com"),
        ("http://example.com:80", "example.com"),
        ("http://example.com:443/", "example.com:443"),
        ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
        ("http://[::1]:8080/", "[::1]:8080"),
        ("https://user:pw@example.com/", "example.com"),
    ] {
        assert_eq!(headers(Request::get(url).body("").unwrap())["host"], host, "{url}");
    }
    let given = Request::get("/x").header("host", "given.example");
    assert_eq!(headers(given.body("").unwrap())["host"], "given.example");
}

#[test]
fn the_target_is_signed_as_it_is() {
    let document = vectors();
    for (uri, target) in [
        ("https://example.com", "/"),
        ("https://example.com/a?", "/a?"),
        ("https://example.com//a/../b%2Fc", "//a/../b%2Fc"),
        ("https://example.com/?b=2&a=1", "/?b=2&a=1"),
        ("https://example.com?q=1", "/?q=1"),
    ] {
        let mut request = Request::get(uri).body("").unwrap();
        let signed = api_key(document).sign(&mut request).unwrap();
        let line = signed.signing_string().lines().nth(1).unwrap();
        assert_eq!(line, format!("(request-target): get {target}"), "{uri}");
    }
}

#[test]
fn what_cannot_be_signed_is_refused_with_a_remedy() {
    let refused = |request: Request<&'static str>| {
        let mut request = request;
        let refusal = api_key(vectors()).sign(&mut request).unwrap_err();
        assert_eq!(refusal.code(), "request_unsignable");
        assert!(!request.headers().contains_key("authorization"));
        refusal.to_string()
    };
    let prefix = "the request cannot be signed: ";
    let to = |method: &str| Request::builder().method(method).uri("https://example.com/x");
    assert_eq!(
        refused(Request::get("/x").body("").unwrap()),
        format!("{prefix}it names no host; give an absolute URL or a host header")
    );
    assert_eq!(
        refused(to("GET").body("body").unwrap()),
        format!("{prefix}GET carries no body; use POST, PUT or PATCH")
    );
    assert_eq!(
        refused(to("pOST").body("").unwrap()),
        format!("{prefix}OCI uses no method pOST; use GET, HEAD, DELETE, OPTIONS, POST, PUT or PATCH")
    );
    assert_eq!(
        refused(to("POST").header("content-length", "3").body("body").unwrap()),
        format!("{prefix}the content-length header does not fit the body; remove it or correct it")
    );
    assert_eq!(
        refused(to("POST").header("x-content-sha256", "AAAA").body("body").unwrap()),
        format!("{prefix}the x-content-sha256 header does not fit the body; remove it or correct it")
    );
    assert_eq!(
        refused(to("GET").header("date", "a").header("date", "b").body("").unwrap()),
        format!("{prefix}the date header is there more than once; keep one")
    );
    assert_eq!(
        refused(to("GET").header("date", "d\u{e9}j\u{e0}").body("").unwrap()),
        format!("{prefix}the date header is not visible ASCII; correct it")
    );
}

#[test]
fn a_described_body_needs_its_description() {
    let document = vectors();
    let url = "https://example.com/x";
    let mut head = Request::put(url).body(()).unwrap().into_parts().0;
    let refusal = api_key(document).sign_head(&mut head, Payload::Described, UNIX_EPOCH).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the request cannot be signed: the content-length header is missing; set it"
    );

    let builder = Request::put(url).header("content-length", "5").header("x-content-sha256", "hash");
    let mut head = builder.body(()).unwrap().into_parts().0;
    let signed = api_key(document).sign_head(&mut head, Payload::Described, UNIX_EPOCH).unwrap();
    assert!(
        signed
            .signing_string()
            .ends_with("content-length: 5\ncontent-type: application/json\nx-content-sha256: hash")
    );
}

#[test]
fn a_key_id_that_could_break_out_of_the_header_is_refused() {
    let document = vectors();
    let pem = document["keys"]["api_key.pkcs8.pem"].as_str().unwrap();
    for key_id in ["", "a\"b", "a b", "a\r\nb", "a\\b", "\u{e9}"] {
        let refusal = ApiKey::new(key_id, pem, None).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the request cannot be signed: the key id is empty or holds a quote, a space or a control character; correct it"
        );
    }
}

#[test]
fn the_date_of_any_clock_fits_a_header() {
    let document = vectors();
    for (seconds, expected) in
        [(0, "Thu, 01 Jan 1970 00:00:00 GMT"), (i64::MAX as u64, "Thu, 30 Dec 9999 22:00:00 GMT")]
    {
        let mut head = Request::get("https://example.com/").body(()).unwrap().into_parts().0;
        let now = UNIX_EPOCH + Duration::from_secs(seconds);
        api_key(document).sign_head(&mut head, Payload::Bytes(b""), now).unwrap();
        assert_eq!(head.headers["date"], expected);
    }
}

#[test]
fn an_expired_principal_signs_nothing() {
    let rotating = Rotating::new();
    rotating.write(&Issued::by_session(NOW).expires(NOW + 600));
    let principal = rotating.principal(NOW).unwrap();
    rotating.remove();
    let mut head = Request::get("https://example.com/").body(()).unwrap().into_parts().0;
    let late = UNIX_EPOCH + Duration::from_secs(NOW + 601);
    let refusal = principal.sign_head(&mut head, Payload::Bytes(b""), late).unwrap_err();
    assert_eq!(refusal.code(), "token_unreadable");
    assert!(!head.headers.contains_key("authorization"));
}
