//! Any environment, token and key: verified, or refused in one line that gives no secret away.
//!
//! The input is entries `NAME=VALUE` with a blank line between two. Besides the variables themselves: `header` and
//! `claims` (JSON) make the token, and `@NAME` as a key is one of the test keys, so that a seed holds none.

use crate::{VECTORS, assert_one_line, vectors_time};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fdk_principal::{ApiKey, Environment, Outcome, Policy, PublicKey, Refusal, SessionToken, verify};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

const TOKEN: &str = "OCI_RESOURCE_PRINCIPAL_RPST";
const KEY: &str = "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM";
const PASSPHRASE: &str = "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM_PASSPHRASE";
const ISSUER_KEYS: &str = "FDK_ISSUER_KEYS";

static ISSUER_FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("fdk-fuzz-issuer-{}", std::process::id())));

fn entries(text: &str) -> HashMap<&str, String> {
    let mut entries: HashMap<&str, String> = text
        .split("\n\n")
        .filter_map(|entry| entry.split_once('='))
        // A path would be read: what then happens depends on the machine.
        .filter(|(_, value)| !value.starts_with('/'))
        .map(|(name, value)| (name.trim_start(), value.trim_end_matches('\n').to_owned()))
        .collect();
    if let (Some(header), Some(claims)) = (entries.get("header"), entries.get("claims")) {
        let jwk = VECTORS["rpst"].as_str().and_then(|token| token.split('.').nth(1));
        let jwk = URL_SAFE_NO_PAD.decode(jwk.expect("a token")).expect("base64url");
        let jwk = serde_json::from_slice::<serde_json::Value>(&jwk).expect("claims")["jwk"].to_string();
        let claims = claims.replace("\"@jwk\"", &jwk);
        let signature = URL_SAFE_NO_PAD.encode([0x5a; 256]);
        let token =
            format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        entries.entry(TOKEN).or_insert(token);
    }
    if entries.get(TOKEN).is_some_and(|token| token == "@") {
        entries.insert(TOKEN, VECTORS["rpst"].as_str().expect("a token").to_owned());
    }
    if let Some(key) = entries.get(KEY).and_then(|name| VECTORS["keys"][name.strip_prefix('@')?].as_str()) {
        entries.insert(KEY, key.to_owned());
    }
    entries
}

fn check(refusal: &Refusal, entries: &HashMap<&str, String>) {
    let message = refusal.to_string();
    assert_one_line(&message);
    assert!(!refusal.code().is_empty());
    for secret in [TOKEN, KEY, PASSPHRASE].into_iter().filter_map(|name| entries.get(name)) {
        // A shorter one may be part of our own words.
        assert!(secret.len() <= 32 || !format!("{refusal:?}").contains(secret.as_str()), "{message}");
    }
}

/// Takes an input through.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut entries = entries(&text);
    if let Some(keys) = entries.get_mut(ISSUER_KEYS).filter(|keys| !keys.is_empty()) {
        std::fs::write(&*ISSUER_FILE, &*keys).expect("a file in the temporary directory");
        *keys = ISSUER_FILE.display().to_string();
    }
    let variable = |name: &str| entries.get(name).map(OsString::from);
    let now = vectors_time();

    let environment = Environment::read(variable);
    assert_one_line(&format!("{environment:?}"));
    match Policy::read(variable).and_then(|policy| verify(&environment, &policy, now)) {
        Err(refusal) => check(&refusal, &entries),
        Ok(Outcome::Absent | Outcome::Off) => {}
        Ok(Outcome::Verified(principal)) => {
            let identity = principal.current_at(now).expect("just verified");
            assert!(!identity.tenancy().is_empty() && !identity.compartment().is_empty());
            for name in identity.region().split('-').chain(identity.realm_domain().split(['-', '.'])) {
                assert!(
                    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                );
            }
            assert_one_line(&format!("{principal:?} {:?}", identity.warnings()));
            let url = format!("https://x.{}.{}/", identity.region(), identity.realm_domain());
            if let Ok(mut request) = http::Request::get(url).body("") {
                // The clock is the real one here, by which the token is over.
                let _ = principal.sign(&mut request);
            }
        }
    }
    if let (Some(token), Some(file)) = (entries.get(TOKEN), entries.get(ISSUER_KEYS))
        && let Err(refusal) = SessionToken::verify(&format!("ST${token}"), file.as_ref(), now)
    {
        check(&refusal, &entries);
    }

    let passphrase = entries.get(PASSPHRASE).map(String::as_str);
    let key_id = entries.get("key_id").map_or("a/b/c", String::as_str);
    if let Some(pem) = entries.get(KEY) {
        match ApiKey::new(key_id, pem, passphrase) {
            Ok(key) => assert!(key.fingerprint().is_some() && key.key_id() == key_id),
            Err(refusal) => check(&refusal, &entries),
        }
    }
    // The whole input once more, as the PEM text and as the bytes within.
    let passphrase = None;
    let _ = (PublicKey::from_pem(&text), ApiKey::new("k", &text, passphrase));
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PUBLIC KEY"] {
        let pem = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(input));
        if let Some(key) = PublicKey::from_pem(&pem) {
            assert_eq!(key.to_jwk()["kty"], "RSA");
        }
        if let Err(refusal) = ApiKey::new("k", &pem, passphrase) {
            assert_one_line(&refusal.to_string());
        }
    }
}
