//! The 49 resource principals in `tests/principal/vectors/rpst`, each against the verdict written beside it.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fdk_principal::{Environment, Mode, Outcome, Policy, Refusal, verify};
use serde_json::Value;

/// One case, with its files written out.
struct Case {
    name: String,
    now: SystemTime,
    verdict: String,
    environment: BTreeMap<String, String>,
    // Held for its files.
    _directory: tempfile::TempDir,
}

impl Case {
    fn all() -> Vec<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/principal/vectors/rpst");
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| Self::open(&fs::read_to_string(file).unwrap())).collect()
    }

    fn open(text: &str) -> Self {
        let json: Value = serde_json::from_str(text).unwrap();
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in json["files"].as_object().unwrap() {
            fs::write(directory.path().join(name), content.as_str().unwrap()).unwrap();
        }
        let place = directory.path().to_str().unwrap();
        let environment = json["env"].as_object().unwrap().iter();
        let environment =
            environment.map(|(name, value)| (name.clone(), value.as_str().unwrap().replace("@DIR@", place)));
        Self {
            name: text("name"),
            now: UNIX_EPOCH + Duration::from_secs(json["now"].as_u64().unwrap()),
            verdict: text("strict_verdict"),
            environment: environment.collect(),
            _directory: directory,
        }
    }

    fn verify(&self, strict: bool) -> Result<Outcome, Refusal> {
        let environment = Environment::read(|name| self.environment.get(name).map(OsString::from));
        verify(&environment, &Policy { mode: Mode::Required, strict, issuer_keys: None }, self.now)
    }
}

fn code(result: &Result<Outcome, Refusal>, now: SystemTime) -> &'static str {
    match result {
        Ok(outcome) => outcome.principal().unwrap().identity().code(now),
        Err(refusal) => refusal.code(),
    }
}

#[test]
fn every_case_has_its_strict_verdict() {
    let cases = Case::all();
    assert_eq!(cases.len(), 49);
    let wrong: Vec<_> = cases
        .iter()
        .map(|case| (&case.name, &case.verdict, code(&case.verify(true), case.now)))
        .filter(|(_, expected, got)| expected != got)
        .collect();
    assert!(wrong.is_empty(), "(case, expected, got): {wrong:?}");
}

#[test]
fn what_depends_on_the_deployment_is_a_warning_by_default() {
    for case in Case::all() {
        let result = case.verify(false);
        let expected = match case.verdict.as_str() {
            "wrong_resource_type" | "resource_id_mismatch" => "ok",
            other => other,
        };
        assert_eq!(code(&result, case.now), expected, "{}", case.name);
        if let Ok(outcome) = result {
            let identity = outcome.principal().unwrap().identity();
            let warnings: Vec<_> = identity.warnings().iter().map(fdk_principal::Warning::code).collect();
            let expected: Vec<_> =
                [case.verdict.as_str()].into_iter().filter(|v| !v.starts_with("ok")).collect();
            assert_eq!(warnings, expected, "{}", case.name);
        }
    }
}
