//! Any request to a service that checks signatures: believed only as it was signed.
//!
//! The input is `METHOD TARGET`, header lines, a blank line, and the body.

use crate::{VECTORS, assert_one_line, headers, split_head, vectors_time};
use fdk_principal::{BodyRule, PublicKey, authenticate};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Uri};
use std::sync::LazyLock;

/// The key that the seeds were signed with is known under every name.
static KEY: LazyLock<PublicKey> = LazyLock::new(|| {
    let pem = VECTORS["keys"]["api_key.pkcs8.pem"].as_str().expect("a key");
    fdk_principal::ApiKey::new("k", pem, None).expect("a key").public_key().clone()
});

/// Takes an input through.
pub fn run(input: &[u8]) {
    let (head, body) = split_head(input);
    let mut lines = head.splitn(2, |byte| *byte == b'\n');
    let mut words = lines.next().unwrap_or_default().splitn(2, |byte| *byte == b' ');
    let method = words.next().and_then(|method| Method::from_bytes(method).ok());
    let target = words.next().and_then(|target| Uri::try_from(target).ok());
    let (Some(method), Some(target)) = (method, target) else { return };
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut()) = (method, target);
    request.headers_mut().extend(headers(lines.next().unwrap_or_default()));
    let (request, ()) = request.into_parts();

    for rule in [BodyRule::Signed, BodyRule::UnsignedPut] {
        match authenticate(&request, body, rule, vectors_time(), |_| Some(KEY.clone())) {
            Err(denial) => {
                assert!(!denial.code().is_empty());
                assert_one_line(&denial.to_string());
                continue;
            }
            Ok(key_id) => assert!(!key_id.is_empty() && !key_id.contains(['"', '\\', ' '])),
        }
        assert!(authenticate(&request, body, rule, vectors_time(), |_| None).is_err(), "nobody's key");
        if request.method != Method::PUT || rule == BodyRule::Signed {
            assert!(!is_believed(&request, &[body, b"x"].concat(), rule), "the body can be changed");
        }
        let mut changed = request.clone();
        changed.headers.insert("host", HeaderValue::from_static("elsewhere.example"));
        assert!(!is_believed(&changed, body, rule), "the host can be changed");
        changed = request.clone();
        changed.uri = Uri::from_static("/elsewhere");
        assert!(!is_believed(&changed, body, rule), "the target can be changed");
    }
}

fn is_believed(head: &Parts, body: &[u8], rule: BodyRule) -> bool {
    authenticate(head, body, rule, vectors_time(), |_| Some(KEY.clone())).is_ok()
}
