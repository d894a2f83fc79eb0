//! `cargo fdk principal` and `cargo fdk sign` against vectors made with Oracle's own SDK.

mod client;
mod issued;
mod sdk;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use workspace_tests::command_line::program;
use workspace_tests::root;

fn vectors() -> PathBuf {
    root().join("tests/principal/vectors")
}

/// The command's own binary: what it reads of the environment must be the vector's alone.
fn fdk(arguments: &[&str], variables: &BTreeMap<String, String>) -> Output {
    Command::new(program()).args(arguments).env_clear().envs(variables).output().unwrap()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Lays out a vector's files and returns its environment.
fn environment(vector: &Value, folder: &TempDir) -> BTreeMap<String, String> {
    let directory = folder.path().to_str().unwrap();
    for (name, content) in vector["files"].as_object().into_iter().flatten() {
        fs::write(folder.path().join(name), content.as_str().unwrap()).unwrap();
    }
    let variables = vector["env"].as_object().unwrap().iter();
    variables
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().replace("@DIR@", directory)))
        .collect()
}

#[test]
fn every_case_has_its_verdict() {
    let mut cases = 0;
    for entry in fs::read_dir(vectors().join("rpst")).unwrap() {
        let vector = read(&entry.unwrap().path());
        let folder = tempfile::tempdir().unwrap();
        let variables = environment(&vector, &folder);
        let now = vector["now"].to_string();
        let output = fdk(&["principal", "verify", "--strict", "--json", "--now", &now], &variables);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let verdict = vector["strict_verdict"].as_str().unwrap();
        assert_eq!(report["verdict"], verdict, "{}: {report}", vector["name"]);
        let good = verdict.starts_with("ok");
        assert_eq!(output.status.code(), Some(i32::from(!good)), "{}", vector["name"]);
        assert!(!report["message"].as_str().unwrap().is_empty(), "{}", vector["name"]);
        cases += 1;
    }
    assert_eq!(cases, 49);
}

#[test]
fn show_tells_who_it_is() {
    let vector = read(&vectors().join("rpst/ok_files.json"));
    let folder = tempfile::tempdir().unwrap();
    let variables = environment(&vector, &folder);
    let now = vector["now"].to_string();
    let output = fdk(&["principal", "show", "--now", &now], &variables);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("ok: verified ocid1.fnfunc.oc1.phx.aaaaaaaaexamplefunction, "), "{text}");
    assert!(text.contains("region         us-phoenix-1\n"), "{text}");
    let absent = fdk(&["principal", "verify"], &BTreeMap::new());
    assert_eq!(absent.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&absent.stdout).starts_with("env_missing: "));
}

#[test]
fn signatures_equal_the_sdks() {
    let file = read(&vectors().join("signing.json"));
    let folder = tempfile::tempdir().unwrap();
    for (name, pem) in file["keys"].as_object().unwrap() {
        fs::write(folder.path().join(name), pem.as_str().unwrap()).unwrap();
    }
    let mut compared = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let request = &vector["request"];
        let body = folder.path().join("body");
        fs::write(&body, decode(request["body_base64"].as_str().unwrap_or_default())).unwrap();
        let key = folder.path().join(text(&vector["key"]));
        let mut arguments =
            vec!["sign".to_owned(), "--json".into(), "--method".into(), text(&request["method"])];
        arguments.extend([
            "--url".into(),
            text(&request["url_on_wire"]),
            "--key".into(),
            key.display().to_string(),
        ]);
        arguments.extend(["--key-id".into(), text(&vector["key_id"])]);
        if fs::metadata(&body).unwrap().len() > 0 {
            arguments.extend(["--body".into(), format!("@{}", body.display())]);
        }
        if vector["sign_body"] == false {
            arguments.push("--unsigned-body".into());
        }
        for (name, value) in request["headers_given"].as_object().unwrap() {
            if name == "date" {
                arguments.extend(["--date".into(), text(value)]);
            } else {
                arguments.extend(["--header".into(), format!("{name}: {}", text(value))]);
            }
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = fdk(&arguments, &BTreeMap::new());
        let name = &vector["name"];
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["signing_string"], vector["signing_string"], "{name}");
        assert_eq!(report["authorization"], vector["authorization"], "{name}");
        compared += 1;
    }
    assert_eq!(compared, 15);
}

#[test]
fn what_is_asked_wrongly_is_said() {
    let none = BTreeMap::new();
    for (arguments, code, message) in [
        (&["sign", "--url", "https://h/"][..], 2, "--resource-principal"),
        (&["sign", "--url", "/path", "--resource-principal"], 2, "--url /path names no host"),
        (&["sign", "--url", "https://h/", "--resource-principal"], 1, "env_missing: "),
        (&["sign", "--url", "https://h/", "--key", "/nowhere", "--key-id", "t/u/f"], 1, "key_unreadable: "),
        (
            &["sign", "--url", "https://h/", "--date", "yesterday", "--resource-principal"],
            2,
            "--date \"yesterday\" is no IMF-fixdate",
        ),
        (&["principal", "verify", "--now", "18446744073709551615"], 2, "18446744073709551615 is not in"),
        (
            &["sign", "--url", "https://h/", "--config-profile", "DEFAULT"],
            2,
            "neither OCI_CONFIG_FILE nor HOME is set",
        ),
    ] {
        let output = fdk(arguments, &none);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(message), "{arguments:?}: {said}");
    }
}

/// Base64 as RFC 4648 has it, with padding.
fn decode(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 6 | u32::from(value(*byte)))
            << (6 * (4 - group.len()));
        bytes.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}
