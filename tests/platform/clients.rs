//! The clients that people already have, against functions that answer in their shapes.

use crate::start::Platform;
use cargo_fdk::function::Function;
use serde_json::Value;
use workspace_tests::{python, root};

fn cosine(said: &Value, a: usize, b: usize) -> f64 {
    let vector = |index: usize| -> Vec<f64> {
        said["vectors"][index].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    vector(a).iter().zip(vector(b)).map(|(x, y)| x * y).sum()
}

#[test]
fn openais_and_oracles_own_clients_are_served() {
    let test = "openais_and_oracles_own_clients_are_served";
    let (openai, oci) = (python::with(test, &["openai==3.54.0"]), python::with(test, &["oci==2.189.0"]));
    let (Some(openai), Some(oci)) = (openai, oci) else { return };
    let platform = Platform::start(&["examples/serve"]);
    let base = format!("{}/t/app", platform.url);

    let said = python::run(&openai, "platform/clients.py", &["openai", &base], &[]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["models"][0], "all-MiniLM-L6-v2");
    assert!((cosine(&said, 0, 0) - 1.0).abs() < 1e-4 && cosine(&said, 0, 1) > cosine(&said, 0, 2) + 0.2);
    assert_eq!((&said["short"], said["tokens"].as_u64().unwrap() > 6), (&8.into(), true));
    assert_eq!(said["unknown"][0], "model_not_found");
    assert!(said["unknown"][1].as_str().unwrap().contains("'all-MiniLM-L6-v2' is"), "{}", said["unknown"]);
    assert_eq!(said["long"][0], "input[0]");
    assert!(said["long"][1].as_str().unwrap().contains("the model takes 256"), "{}", said["long"]);

    let key = root().join("tests/principal/keys/pkcs1.pem");
    let said = python::run(&oci, "platform/clients.py", &["oci", &base, key.to_str().unwrap()], &[]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert!(cosine(&said, 0, 1) > cosine(&said, 0, 2) + 0.2);
    assert_eq!((&said["long"][0], &said["long"][1]), (&400.into(), &"InvalidParameter".into()));
    assert!(!platform.stop(), "a function outlived the platform");
}

#[test]
fn oracles_own_client_ranks_documents() {
    let test = "oracles_own_client_ranks_documents";
    let Some(oci) = python::with(test, &["oci==2.189.0"]) else { return };
    let platform = Platform::start(&["examples/rerank"]);
    let base = format!("{}/t/app", platform.url);
    let key = root().join("tests/principal/keys/pkcs1.pem");
    let said = python::run(&oci, "platform/clients.py", &["oci-rerank", &base, key.to_str().unwrap()], &[]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["model"], &said["version"]), (&"all-MiniLM-L6-v2".into(), &"1".into()));
    let ranks = said["ranks"].as_array().unwrap();
    assert_eq!((ranks.len(), &ranks[0][0]), (2, &1.into()), "{said}");
    let score = |rank: usize| ranks[rank][1].as_f64().unwrap();
    assert!(score(0) > score(1) && score(0) <= 1.0, "{said}");
    for rank in ranks {
        let index = usize::try_from(rank[0].as_u64().unwrap()).unwrap();
        assert_eq!(rank[2], said["documents"][index]);
    }
    let plain = said["plain"].as_array().unwrap();
    assert_eq!((plain.len(), &plain[0][0]), (3, &1.into()), "{said}");
    assert!(plain.iter().all(|rank| rank[1].is_null()), "{said}");
    assert_eq!((&said["long"][0], &said["long"][1]), (&400.into(), &"InvalidParameter".into()));
    assert!(
        said["long"][2].as_str().unwrap().starts_with("documents[1]: the text has 300000 bytes"),
        "{said}"
    );
    assert!(!platform.stop(), "a function outlived the platform");
}

#[test]
fn every_path_of_a_client_is_a_trigger_of_an_example() {
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(root().join("examples")).unwrap() {
        let function = Function::read(&entry.unwrap().path()).unwrap();
        sources.extend(function.triggers().map(|(_, source)| source));
    }
    sources.sort_unstable();
    let twice = sources.windows(2).find(|pair| pair[0] == pair[1]);
    assert!(twice.is_none(), "one application takes them all, and a source once: {twice:?}");
    for path in [
        "/v1/embeddings",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/models",
        "/v1/audio/transcriptions",
        "/embed",
        "/rerank",
        "/predict",
        "/info",
        "/20231130/actions/embedText",
        "/20231130/actions/rerankText",
        "/20231130/actions/chat",
    ] {
        assert!(sources.iter().any(|source| source == path), "{path}");
    }
}

#[test]
fn their_clients_chat_with_a_generating_model() {
    let test = "their_clients_chat_with_a_generating_model";
    let (openai, oci) = (python::with(test, &["openai==3.54.0"]), python::with(test, &["oci==2.189.0"]));
    let (Some(openai), Some(oci)) = (openai, oci) else { return };
    let platform = Platform::start(&["examples/generate"]);
    let base = format!("{}/t/app", platform.url);

    let said = python::run(&openai, "platform/clients.py", &["openai-chat", &base], &[]);
    let said: Value = serde_json::from_str(&said).unwrap();
    let words = said["text"].as_str().unwrap();
    assert_eq!(
        (&said["model"], &said["reason"]),
        (&"SmolLM2-135M-Instruct".into(), &"length".into()),
        "{said}"
    );
    assert!(!words.is_empty() && said["tokens"][0] == 3 && said["tokens"][1].as_u64().unwrap() > 5, "{said}");
    assert_eq!((&said["streamed"], &said["streamed_tokens"]), (&words.into(), &3.into()));
    assert_eq!(said["streamed_ids"], 1, "one stream, one id and one time");
    assert!(["red", "green"].contains(&said["json"]["colour"].as_str().unwrap()), "{said}");
    assert_eq!((&said["object"], &said["completed"]), (&true.into(), &" i j k".into()));
    assert_eq!(said["refused"][0], "logit_bias");

    let key = root().join("tests/principal/keys/pkcs1.pem");
    let said = python::run(&oci, "platform/clients.py", &["oci-chat", &base, key.to_str().unwrap()], &[]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said["text"], &said["streamed"], &said["cohere"]),
        (&words.into(), &words.into(), &words.into())
    );
    assert_eq!((&said["reason"], &said["streamed_reason"]), (&"length".into(), &"length".into()));
    assert_eq!((&said["refused"][0], &said["refused"][1]), (&400.into(), &"InvalidParameter".into()));
    assert!(!platform.stop(), "a function outlived the platform");
}
