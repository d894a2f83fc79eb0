//! Any request to a service that checks signatures: believed only as it was signed.
//!
//! The input is `METHOD TARGET`, header lines, a blank line, and the body.
#![no_main]

use fdk_principal::{BodyRule, PublicKey, authenticate};
use fuzz::{VECTORS, assert_one_line, headers, split_head, vectors_time};
use http::{Method, Request, Uri};
use std::sync::LazyLock;

/// The key that the seeds were signed with is known under every name.
static KEY: LazyLock<PublicKey> = LazyLock::new(|| {
    let pem = VECTORS["keys"]["api_key.pkcs8.pem"].as_str().expect("a key");
    fdk_principal::ApiKey::new("k", pem, None).expect("a key").public_key().clone()
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let (head, body) = split_head(input);
    let mut lines = head.splitn(2, |byte| *byte == b'\n');
    let mut words = lines.next().unwrap_or_default().splitn(2, |byte| *byte == b' ');
    let method = words.next().and_then(|method| Method::from_bytes(method).ok());
    let target = words.next().and_then(|target| Uri::try_from(target).ok());
    let (Some(method), Some(target)) = (method, target) else { return };
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut()) = (method, target);
    request.headers_mut().extend(headers(lines.next().unwrap_or_default()));
    let (mut request, ()) = request.into_parts();

    for rule in [BodyRule::Signed, BodyRule::UnsignedPut] {
        let key = |_: &str| Some(KEY.clone());
        match authenticate(&request, body, rule, vectors_time(), key) {
            Err(denial) => {
                assert!(!denial.code().is_empty());
                assert_one_line(&denial.to_string());
            }
            Ok(key_id) => {
                assert!(!key_id.is_empty() && !key_id.contains(['"', '\\', ' ']));
                let fails = |head, body| authenticate(head, body, rule, vectors_time(), key).is_err();
                assert!(authenticate(&request, body, rule, vectors_time(), |_| None).is_err());
                if request.method != Method::PUT || rule == BodyRule::Signed {
                    assert!(fails(&request, &[body, b"x"].concat()), "the body can be changed");
                }
                let host = request.headers.insert("host", http::HeaderValue::from_static("elsewhere.example"));
                assert!(fails(&request, body), "the host can be changed");
                request.headers.insert("host", host.expect("it was signed"));
                let target = std::mem::replace(&mut request.uri, Uri::from_static("/elsewhere"));
                assert!(fails(&request, body), "the target can be changed");
                request.uri = target;
            }
        }
    }
});
