//! `OpenAI`'s own client, against the function that transcribes.

use crate::start::Platform;
use serde_json::Value;
use workspace_tests::{python, root};

#[test]
fn openais_own_client_gets_its_transcriptions() {
    let test = "openais_own_client_gets_its_transcriptions";
    let Some(openai) = python::with(test, &["openai==3.54.0"]) else { return };
    let platform = Platform::start(&["examples/transcribe"]);
    let base = format!("{}/t/app", platform.url);
    let recording = root().join("tests/inference/recordings/sentence.ogg");
    let arguments = [base.as_str(), recording.to_str().unwrap()];
    let said = python::run(&openai, "platform/transcriptions.py", &arguments, &[]);
    assert!(!platform.stop(), "a function outlived the platform");

    let said: Value = serde_json::from_str(&said).unwrap();
    let words = said["json"].as_str().unwrap();
    assert!(words.contains("cold today"), "{words}");
    assert_eq!(said["verbose"], words);
    assert!((4.0..7.0).contains(&said["duration"].as_f64().unwrap()), "{}", said["duration"]);
    let segments = said["segments"].as_array().unwrap();
    assert!(segments.iter().all(|part| part[0].as_f64() < part[1].as_f64()), "{segments:?}");
    assert_eq!(said["text"], format!("{words}\n"));
    assert!(said["srt"].as_str().unwrap().starts_with("1\n00:00:0"), "{}", said["srt"]);
    assert!(said["vtt"].as_str().unwrap().starts_with("WEBVTT\n\n00:00:0"), "{}", said["vtt"]);
    assert_eq!((&said["unknown"][0], &said["unknown"][1]), (&"model_not_found".into(), &"model".into()));
    for (name, param, reason) in [
        ("language", "language", "knows English alone"),
        ("format", "response_format", "there is no format 'xml'"),
        ("file", "file", "no recording that is read here"),
        ("words", "timestamp_granularities[]", "'word' is not told"),
    ] {
        assert_eq!(said[name][0], param, "{said}");
        assert!(said[name][1].as_str().unwrap().contains(reason), "{}", said[name]);
    }
}
