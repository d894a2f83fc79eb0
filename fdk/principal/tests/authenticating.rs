//! Signed requests checked as a service would: those of the real Python SDK pass, and nothing else does.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;
mod received;

use ::base64::Engine;
use ::base64::engine::general_purpose::STANDARD;
use common::{Issued, NOW, at, base64, vectors};
use fdk_principal::{ApiKey, BodyRule, Payload, PublicKey, SessionToken, authenticate, authenticate_head};
use http::header::HeaderValue;
use http::{Method, Uri};
use received::{Received, find_key, to};

#[test]
fn what_the_python_sdk_signs_is_accepted() {
    let all = Received::all();
    assert_eq!(all.len(), 15);
    for request in all {
        let key_id = request.check().unwrap();
        assert!(request.authorization().contains(key_id));
    }
}

#[test]
fn who_sends_is_known_before_the_body_has_come() {
    for mut request in Received::all() {
        let known = |request: &Received| {
            authenticate_head(&request.head, request.rule, request.now, find_key)
                .map(str::to_owned)
                .map_err(|denial| denial.code())
        };
        assert_eq!(known(&request).unwrap(), request.check().unwrap());
        // Another body is not seen yet; another path is, and another key.
        request.body.push(b'x');
        known(&request).unwrap();
        let nobody = |_: &str| None;
        let unknown = authenticate_head(&request.head, request.rule, request.now, nobody).unwrap_err();
        assert_eq!(unknown.code(), "key_unknown");
        request.head.uri = Uri::from_static("/elsewhere");
        assert_eq!(known(&request), Err("signature_invalid"));
    }
}

#[test]
fn the_parameters_may_come_in_any_order() {
    for request in Received::all() {
        let text = request.authorization();
        let list: Vec<_> = text.strip_prefix("Signature ").unwrap().split("\",").collect();
        let mut list: Vec<_> = list.iter().map(|one| format!("{}\"", one.trim_end_matches('"'))).collect();
        for _ in 0..list.len() {
            list.rotate_left(1);
            request.clone().set("authorization", &format!("Signature {}", list.join(","))).check().unwrap();
        }
        list.retain(|one| !one.starts_with("version"));
        request.set("authorization", &format!("Signature {}", list.join(", "))).check().unwrap();
    }
}

#[test]
fn the_clocks_may_differ_by_five_minutes() {
    let mut request = Received::all().remove(0);
    for seconds in [NOW - 300, NOW - 299, NOW + 299, NOW + 300] {
        request.now = at(seconds);
        request.check().unwrap();
    }
    for seconds in [NOW - 301, NOW + 301] {
        request.now = at(seconds);
        let text = "the date of the request is 301 s from ours, more than the 300 allowed; check both clocks";
        assert_eq!(request.denied(), ("date_skew", text.to_owned()));
    }
}

#[test]
fn x_date_counts_where_both_are_sent() {
    let date = "Sun, 22 Nov 2026 12:00:00 GMT";
    let old = "Sun, 22 Nov 2026 11:00:00 GMT";
    let signed = |builder| Received::signed_here(builder, b"", Payload::Bytes(b""));
    signed(to("GET").header("x-date", date)).check().unwrap();
    signed(to("GET").header("x-date", date).header("date", old)).check().unwrap();
    assert_eq!(signed(to("GET").header("x-date", old).header("date", date)).denied().0, "date_skew");
    // Signed is only the date, so the x-date could be anybody's.
    let request = signed(to("GET")).set("x-date", date);
    assert_eq!(request.denied(), ("header_not_signed", "x-date is not among the signed headers".into()));
}

#[test]
fn only_one_form_of_date_is_read() {
    for date in [
        "Sunday, 22-Nov-26 12:00:00 GMT",
        "Sun, 22 Nov 2026 12:00:00 +0000",
        "22 Nov 2026 12:00:00 GMT",
        "now",
    ] {
        let request = Received::signed_here(to("GET").header("date", date), b"", Payload::Bytes(b""));
        let text = "the date header is not a date such as Sun, 22 Nov 2026 12:00:00 GMT";
        assert_eq!(request.denied(), ("date_malformed", text.to_owned()), "{date}");
    }
}

#[test]
fn a_body_must_be_signed_except_for_an_object() {
    let unsigned = |method| Received::signed_here(to(method), b"body", Payload::Unsigned);
    let text = "content-length is not among the signed headers";
    for method in ["POST", "PUT", "PATCH"] {
        assert_eq!(unsigned(method).denied(), ("header_not_signed", text.to_owned()));
    }
    let mut request = unsigned("PUT");
    request.rule = BodyRule::UnsignedPut;
    request.check().unwrap();
    let mut request = unsigned("POST");
    request.rule = BodyRule::UnsignedPut;
    assert_eq!(request.denied().0, "header_not_signed");
}

#[test]
fn a_hash_that_is_sent_must_be_signed() {
    let mut request = Received::signed_here(to("PUT"), b"body", Payload::Unsigned);
    request.rule = BodyRule::UnsignedPut;
    let request = request.set("x-content-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    assert_eq!(
        request.denied(),
        ("header_not_signed", "x-content-sha256 is not among the signed headers".into())
    );
}

#[test]
fn a_body_where_none_belongs_is_denied() {
    let mut request = Received::signed_here(to("GET"), b"", Payload::Bytes(b""));
    request.body = b"smuggled".to_vec();
    assert_eq!(
        request.denied(),
        ("header_not_signed", "x-content-sha256 is not among the signed headers".into())
    );
}

/// A request whose signature is right, over the headers named and no others.
fn signed_over(method: &str, names: &[&str]) -> Received {
    let mut request = Received::signed_here(to(method), b"body", Payload::Unsigned);
    let body_headers = [
        ("content-length", "4"),
        ("content-type", "text/plain"),
        ("x-content-sha256", "Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU="),
    ];
    for (name, value) in body_headers {
        request = request.set(name, value);
    }
    let line = |name: &&str| match *name {
        "(request-target)" => format!("{name}: {} /a?b=1&c=2", method.to_ascii_lowercase()),
        name => format!("{name}: {}", request.head.headers[name].to_str().unwrap()),
    };
    let text = names.iter().map(line).collect::<Vec<_>>().join("\n");

    let document = vectors();
    let pem = document["keys"]["api_key.pkcs8.pem"].as_str().unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = ring::rsa::KeyPair::from_pkcs8(&base64(&der)).unwrap();
    let mut signature = vec![0; 256];
    let random = ring::rand::SystemRandom::new();
    key.sign(&ring::signature::RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
    let authorization = format!(
        "Signature keyId=\"{}\",algorithm=\"rsa-sha256\",headers=\"{}\",signature=\"{}\"",
        document["api_key_id"].as_str().unwrap(),
        names.join(" "),
        STANDARD.encode(signature)
    );
    request.set("authorization", &authorization)
}

#[test]
fn each_header_that_counts_must_be_signed() {
    let names = ["date", "(request-target)", "host", "content-length", "content-type", "x-content-sha256"];
    // In another order than ours, too.
    let mut reversed = names;
    reversed.reverse();
    for method in ["POST", "PUT", "PATCH"] {
        signed_over(method, &names).check().unwrap();
        signed_over(method, &reversed).check().unwrap();
        for missing in names {
            let fewer: Vec<_> = names.into_iter().filter(|name| *name != missing).collect();
            let text = format!("{missing} is not among the signed headers");
            assert_eq!(signed_over(method, &fewer).denied(), ("header_not_signed", text));
        }
    }
}

#[test]
fn a_method_in_another_case_does_not_escape_the_rules() {
    let mut request = Received::signed_here(to("POST"), b"", Payload::Unsigned);
    request.head.method = Method::from_bytes(b"post").unwrap();
    assert_eq!(request.denied(), ("method_unsupported", "the method is not one OCI uses".into()));
}

#[test]
fn each_denial_says_what_is_wrong() {
    let request = || Received::signed_here(to("POST"), b"body", Payload::Bytes(b"body"));
    request().check().unwrap();

    let mut changed = request();
    changed.head.headers.remove("authorization");
    let text = "the request is not signed; sign it with Signature version 1";
    assert_eq!(changed.denied(), ("authorization_missing", text.to_owned()));

    let changed = request().set("authorization", "Bearer token");
    let text = "the authorization header is not one of Signature version 1: its scheme is not Signature";
    assert_eq!(changed.denied(), ("authorization_malformed", text.to_owned()));

    let mut changed = request();
    changed.head.headers.append("host", HeaderValue::from_static("other.example"));
    assert_eq!(changed.denied(), ("header_invalid", "the host header was sent more than once".into()));

    let mut changed = request();
    changed.head.headers.remove("content-type");
    assert_eq!(
        changed.denied(),
        ("header_invalid", "the content-type header is signed but was not sent".into())
    );

    let changed = request().set("content-length", "5");
    assert_eq!(
        changed.denied(),
        ("body_mismatch", "the body is not the one the content-length header describes".into())
    );

    let mut changed = request();
    changed.body = b"Body".to_vec();
    assert_eq!(
        changed.denied(),
        ("body_mismatch", "the body is not the one the x-content-sha256 header describes".into())
    );

    let changed = request().set("authorization", &request().authorization().replace("user", "loser"));
    assert_eq!(changed.denied(), ("key_unknown", "no key is known under the key id".into()));

    let mut changed = request();
    changed.head.uri = "/a?c=2&b=1".parse().unwrap();
    let text = "the signature does not fit the request and the key";
    assert_eq!(changed.denied(), ("signature_invalid", text.to_owned()));
}

#[test]
fn a_session_signs_only_with_the_key_of_its_token() {
    // Signed with the API key, under the token of the session key.
    let document = vectors();
    let pem = document["keys"]["api_key.pkcs8.pem"].as_str().unwrap();
    let stolen = format!("ST${}", document["rpst"].as_str().unwrap());
    let mut head = to("GET").body(()).unwrap().into_parts().0;
    ApiKey::new(&stolen, pem, None).unwrap().sign_head(&mut head, Payload::Bytes(b""), at(NOW)).unwrap();
    let denial = authenticate(&head, b"", BodyRule::Signed, at(NOW), find_key).unwrap_err();
    assert_eq!(denial.code(), "signature_invalid");
}

#[test]
fn a_session_token_is_believed_only_under_the_issuer_s_keys() {
    let document = vectors();
    let token = document["rpst"].as_str().unwrap();
    let key_id = format!("ST${token}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jwks.json");
    let write = |key: &PublicKey| {
        std::fs::write(&file, serde_json::json!({"keys": [key.to_jwk()]}).to_string()).unwrap();
    };

    write(&common::issuer_key());
    let session = SessionToken::verify(&key_id, &file, at(NOW)).unwrap();
    assert_eq!(session.claim("res_type").unwrap(), "fnfunc");
    assert_eq!(Some(session.key()), find_key(&key_id).as_ref());
    assert!(!format!("{session:?}").contains(token));
    assert_eq!(SessionToken::verify(&key_id, &file, at(NOW + 100_000)).unwrap_err().code(), "token_expired");
    assert_eq!(SessionToken::verify(token, &file, at(NOW)).unwrap_err().code(), "token_malformed");
    let forged = format!("ST${}", Issued::by_session(NOW).token());
    assert_eq!(SessionToken::verify(&forged, &file, at(NOW)).unwrap_err().code(), "bad_signature");

    write(session.key());
    assert_eq!(SessionToken::verify(&key_id, &file, at(NOW)).unwrap_err().code(), "bad_signature");
}
