//! Arbitrary input is refused with a code; it never panics, and it never passes.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use std::ffi::OsString;

use common::{Issued, NOW, at, environment};
use fdk_principal::{ApiKey, Environment, Policy, PublicKey, verify};
use proptest::prelude::*;

fn pem_like() -> impl Strategy<Value = String> {
    let label = "(RSA |ENCRYPTED |EC )?(PRIVATE|PUBLIC) KEY";
    (label, "[A-Za-z0-9+/=\n\r ]{0,200}", label)
        .prop_map(|(begin, body, end)| format!("-----BEGIN {begin}-----\n{body}\n-----END {end}-----\n"))
}

/// A real key with some bytes changed reaches the decoders behind the PEM.
fn damaged_key() -> impl Strategy<Value = String> {
    let pem = Issued::by_session(NOW).pem;
    let encrypted = include_str!("../../../tests/principal/keys/encrypted_aes128.pem").to_owned();
    (prop_oneof![Just(pem), Just(encrypted)], any::<prop::sample::Index>(), "[A-Za-z0-9+/]").prop_map(
        |(pem, at, with)| {
            let at = at.index(pem.len());
            format!("{}{with}{}", &pem[..at], &pem[at + 1..])
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tokens(token in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{0,60}(\\.[A-Za-z0-9_-]{0,60}){0,4}"]) {
        let pem = Issued::by_session(NOW).pem;
        prop_assume!(!token.starts_with('/'));
        prop_assert!(verify(&environment(&token, &pem), &Policy::default(), at(NOW)).is_err());
    }

    #[test]
    fn claims_of_any_type(name in prop::sample::select(vec!["exp", "iat", "nbf", "jwk", "res_tenant", "res_type"]),
                          value in prop_oneof![any::<f64>().prop_map(serde_json::Value::from),
                                               any::<i64>().prop_map(serde_json::Value::from),
                                               any::<String>().prop_map(serde_json::Value::from),
                                               any::<Vec<u8>>().prop_map(serde_json::Value::from)]) {
        let issued = Issued::by_session(NOW).claim(name, value);
        // Some of these are right; none may panic.
        let _ = verify(&environment(&issued.token(), &issued.pem), &Policy::default(), at(NOW));
    }

    #[test]
    fn keys(pem in prop_oneof![any::<String>(), pem_like(), damaged_key()], passphrase in "(secret-words|.{0,8})") {
        let _ = ApiKey::new("name", &pem, Some(&passphrase));
        let _ = ApiKey::new("name", &pem, None);
        let _ = PublicKey::from_pem(&pem);
    }

    #[test]
    fn environments(values in prop::collection::vec(prop::option::of(any::<String>()), 7)) {
        let names = ["VERSION", "RPST", "PRIVATE_PEM", "PRIVATE_PEM_PASSPHRASE", "REGION"];
        let environment = Environment::read(|name| {
            let at = names.iter().position(|end| name == format!("OCI_RESOURCE_PRINCIPAL_{end}"));
            let at = at.or_else(|| ["OCI_REGION_METADATA", "FN_FN_ID"].iter().position(|n| *n == name).map(|at| at + 5));
            let value = values.get(at?)?.clone()?;
            // Half of them with the right version, to get further.
            Some(OsString::from(if at == Some(0) && value.len() % 2 == 0 { "2.2".to_owned() } else { value }))
        });
        if environment.is_present() {
            prop_assert!(verify(&environment, &Policy::default(), at(NOW)).is_err());
        }
    }

    #[test]
    fn configuration_files(text in "(\\[DEFAULT\\]\n)?([a-z_ ]{0,12}=?[ -~]{0,20}\n|\\[[A-Z]{0,6}\\]?\n){0,8}") {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        std::fs::write(&file, text).unwrap();
        prop_assert!(ApiKey::from_config(&file, "DEFAULT").is_err());
    }
}
