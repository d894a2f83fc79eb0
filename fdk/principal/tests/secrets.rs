//! No key, token or passphrase is ever printed: not by `Display`, not by `Debug`, not by a log, not by a panic.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use std::collections::HashSet;
use std::fmt::Debug;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::{Issued, NOW, Rotating, api_key, at, vectors, vectors_folder};
use fdk_principal::{ApiKey, Environment, Outcome, Payload, Policy, Refusal, SignLayer, Signer, verify};
use http::Request;
use serde_json::Value;

/// Texts that must not appear, in pieces short enough that no part of them can.
struct Secrets {
    pieces: HashSet<String>,
}

const PIECE: usize = 12;

impl Secrets {
    fn new() -> Self {
        Self { pieces: HashSet::new() }
    }

    fn add(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with("-----") && line.is_ascii()) {
            for start in 0..=line.len().saturating_sub(PIECE) {
                self.pieces.insert(line[start..(start + PIECE).min(line.len())].to_owned());
            }
        }
    }

    fn assert_absent(&self, shown: &str) {
        let windows = shown.char_indices().map(|(start, _)| shown.get(start..start + PIECE));
        for piece in windows.flatten() {
            assert!(!self.pieces.contains(piece), "{piece:?} in {shown}");
        }
    }
}

fn shown(value: &(impl Debug + ?Sized)) -> String {
    format!("{value:?} {value:#?}")
}

fn shown_refusal(refusal: &Refusal) -> String {
    let mut text = format!("{refusal} {}", shown(refusal));
    let mut source = std::error::Error::source(refusal);
    while let Some(error) = source {
        text = format!("{text} {error} {error:?}");
        source = error.source();
    }
    text
}

#[test]
fn the_search_finds_what_is_there() {
    let mut secrets = Secrets::new();
    secrets.add("correct horse battery staple");
    secrets.assert_absent("an incorrect house, batteries stapled");
    let found = std::panic::catch_unwind(|| secrets.assert_absent("the words horse battery!"));
    assert!(found.is_err());
}

#[test]
fn no_case_shows_its_key_token_or_passphrase() {
    let mut cases = 0;
    for entry in fs::read_dir(vectors_folder().join("rpst")).unwrap() {
        let case: Value = serde_json::from_str(&fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().to_str().unwrap();
        let mut secrets = Secrets::new();
        for (name, text) in case["files"].as_object().unwrap() {
            fs::write(directory.path().join(name), text.as_str().unwrap()).unwrap();
            secrets.add(text.as_str().unwrap());
        }
        let variables = case["env"].as_object().unwrap();
        for name in ["RPST", "PRIVATE_PEM", "PRIVATE_PEM_PASSPHRASE"] {
            let value = variables.get(&format!("OCI_RESOURCE_PRINCIPAL_{name}")).and_then(Value::as_str);
            secrets.add(value.filter(|value| !value.starts_with("@DIR@")).unwrap_or_default());
        }
        let environment = Environment::read(|name| {
            variables.get(name).map(|value| value.as_str().unwrap().replace("@DIR@", place).into())
        });
        secrets.assert_absent(&shown(&environment));
        match verify(&environment, &Policy::default(), at(NOW)) {
            Ok(outcome) => {
                secrets.assert_absent(&shown(&outcome));
                secrets.assert_absent(&shown(&*outcome.principal().unwrap().identity()));
            }
            Err(refusal) => secrets.assert_absent(&shown_refusal(&refusal)),
        }
        cases += 1;
    }
    assert_eq!(cases, 49);
}

/// A secret in a variable meant for plain text is still a secret.
#[test]
fn a_secret_in_the_wrong_variable_is_not_shown() {
    let token = Issued::by_session(NOW).token();
    for name in ["OCI_RESOURCE_PRINCIPAL_VERSION", "OCI_RESOURCE_PRINCIPAL_REGION"] {
        let mut rest = Secrets::new();
        rest.add(&token);
        let environment = common::environment(&token, "x");
        let swapped = Environment::read(|asked| match asked {
            _ if asked == name => Some(token.clone().into()),
            "OCI_RESOURCE_PRINCIPAL_VERSION" => Some("2.2".into()),
            "OCI_RESOURCE_PRINCIPAL_RPST" | "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM" => Some("x".into()),
            _ => None,
        });
        let refusal = verify(&swapped, &Policy::default(), at(NOW)).unwrap_err();
        assert!(["version_unsupported", "region_invalid"].contains(&refusal.code()));
        rest.assert_absent(&shown_refusal(&refusal));
        rest.assert_absent(&shown(&swapped));
        rest.assert_absent(&shown(&environment));
    }
}

/// What is logged, line by line.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn neither_a_log_nor_a_panic_shows_them() {
    let (issued, other) = (Issued::by_session(NOW), Issued::by_other(NOW));
    let mut secrets = Secrets::new();
    for one in [&issued, &other] {
        secrets.add(&one.pem);
        secrets.add(&one.token());
    }
    let rotating = Rotating::new();
    rotating.write(&issued);
    let principal = rotating.principal(NOW).unwrap();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // Rotations that went wrong, each in its own way: the reason is logged, and the pair that is good stays.
    tracing::subscriber::with_default(subscriber, || {
        let renew = |after: u64| principal.renew_at(&principal.identity(), at(NOW + after)).unwrap();
        rotating.write_key(&other);
        renew(10);
        fs::write(rotating.key_file(), &issued.pem[..issued.pem.len() / 2]).unwrap();
        renew(20);
        rotating.write_key(&issued);
        fs::write(rotating.token_file(), issued.token().replace('.', "-")).unwrap();
        renew(30);
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for code in ["key_mismatch", "key_malformed", "token_malformed"] {
        assert!(log.contains(code), "{log}");
    }
    secrets.assert_absent(&log);

    let unwrapped = catch_unwind(|| rotating.principal(NOW).unwrap()).unwrap_err();
    let held = catch_unwind(AssertUnwindSafe(|| panic!("{principal:?} {:?}", principal.identity())));
    for panicked in [unwrapped, held.unwrap_err()] {
        secrets.assert_absent(panicked.downcast_ref::<String>().unwrap());
    }
}

#[test]
fn signing_shows_nothing_either() {
    let issued = Issued::by_session(NOW);
    let mut secrets = Secrets::new();
    secrets.add(&issued.pem);
    secrets.add(&issued.token());
    secrets.add(vectors()["keys"]["api_key.pkcs8.pem"].as_str().unwrap());
    secrets.add("secret-words");

    let rotating = Rotating::new();
    rotating.write(&issued);
    let principal = rotating.principal(NOW).unwrap();
    let mut head = Request::post("https://example.com/").body(()).unwrap().into_parts().0;
    let signed = principal.sign_head(&mut head, Payload::Bytes(b"body"), at(NOW)).unwrap();
    assert!(signed.authorization().contains(&issued.token()));
    secrets.assert_absent(&shown(&signed));
    secrets.assert_absent(&shown(&head));
    secrets.assert_absent(&shown(&Signer::from(Arc::clone(&principal))));
    secrets.assert_absent(&shown(&SignLayer::new(Arc::clone(&principal))));
    secrets.assert_absent(&shown(&Outcome::Verified(principal)));
    secrets.assert_absent(&shown(&api_key(vectors())));

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/principal/keys");
    for entry in fs::read_dir(folder).unwrap() {
        let pem = fs::read_to_string(entry.unwrap().path()).unwrap();
        secrets.add(&pem);
        for passphrase in [None, Some("secret-words"), Some("wrong")] {
            match ApiKey::new("name", &pem, passphrase) {
                Ok(key) => secrets.assert_absent(&shown(&key)),
                Err(refusal) => secrets.assert_absent(&shown_refusal(&refusal)),
            }
        }
    }
}
