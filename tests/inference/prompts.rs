//! A model's prompts are put before its texts, whichever task embeds them: on a small seeded checkpoint, against one without
//! prompts that is given the same texts with the prompts written out.

use fdk_inference::shapes::{Asked, Described, Shape};
use fdk_inference::{
    Assets, Classifier, ClassifyRequest, EmbedRequest, Embedder, Example, Interrupt, RerankRequest, Reranker,
    fit,
};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const QUERY: &str = "the cat ";
const PASSAGE: &str = "near rome ";
const DEFAULT: &str = "a rate ";

/// A folder as it comes from a hub, with these files beside the checkpoint's.
fn folder(more: &[(&str, Value)]) -> (TempDir, Assets) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("inference/checkpoints/names");
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("names");
    fs::create_dir_all(model.join("1_Pooling")).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(from.join(file), model.join(file)).unwrap();
    }
    for (file, content) in more {
        fs::write(model.join(file), content.to_string()).unwrap();
    }
    let assets = Assets::open(folder.path(), Some("names")).unwrap();
    (folder, assets)
}

fn prompts() -> (&'static str, Value) {
    let prompts = json!({"query": QUERY, "passage": PASSAGE, "other": DEFAULT});
    ("config_sentence_transformers.json", json!({"prompts": prompts, "default_prompt_name": "other"}))
}

/// The same model without and with prompts.
fn both<T>(open: impl Fn(Assets) -> Result<T, fdk_inference::Error>) -> (T, T) {
    let open = |more: &[(&str, Value)]| {
        let (_folder, assets) = folder(more);
        open(assets).unwrap()
    };
    (open(&[]), open(&[prompts()]))
}

fn behind(prompt: &str, texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| format!("{prompt}{text}")).collect()
}

fn close(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{what}: {a:?} is not {b:?}");
}

const TEXTS: [&str; 3] = ["anna lives in oslo", "the rain fell on the bank", "sun"];

#[test]
fn embeddings_are_those_of_prompt_and_text() {
    let (plain, prompted) = both(Embedder::open);
    let embed = |model: &Embedder, request: &EmbedRequest| model.embed(request, &Interrupt::never()).unwrap();
    let described = Described { name: "names", entry: "names", limit: 40, kind: "embedding" };
    let oci = |kind: &str| {
        let body = json!({"inputs": TEXTS, "inputType": kind}).to_string();
        let asked = Shape::of("/actions/embedText", b"").unwrap().read(body.as_bytes(), described).unwrap();
        let Asked::Embed(request, _) = asked else { panic!("embed") };
        request
    };
    let mut named = EmbedRequest::new(TEXTS);
    named.prompt_name = Some("query".into());
    for (request, prompt) in [
        (EmbedRequest::new(TEXTS), DEFAULT),
        (named, QUERY),
        (oci("SEARCH_QUERY"), QUERY),
        (oci("SEARCH_DOCUMENT"), PASSAGE),
        (oci("CLASSIFICATION"), DEFAULT),
    ] {
        let (found, expected) =
            (embed(&prompted, &request), embed(&plain, &EmbedRequest::new(behind(prompt, &TEXTS))));
        assert_eq!(found.usage, expected.usage, "{prompt}");
        for (found, expected) in found.embeddings.iter().zip(&expected.embeddings) {
            close(found, expected, prompt);
        }
    }
    // A prompt's tokens count: 38 letters and the two ends are all that the model takes.
    let mut long = EmbedRequest::new(["z ".repeat(38)]);
    long.truncate = false;
    assert_eq!(embed(&plain, &long).usage.tokens, 40);
    let refused = prompted.embed(&long, &Interrupt::never()).unwrap_err();
    assert_eq!(refused.path(), Some("inputs[0]"));
    assert!(refused.to_string().starts_with("the text has 42 tokens and the model takes 40"), "{refused}");
}

#[test]
fn a_query_and_documents_have_prompts_of_their_own() {
    let (plain, prompted) = both(Reranker::open);
    let rank = |model: &Reranker, request: &RerankRequest| {
        let mut reply = model.rerank(request, &Interrupt::never()).unwrap();
        reply.results.sort_by_key(|ranked| ranked.index);
        (reply.results.iter().map(|ranked| ranked.score).collect::<Vec<f32>>(), reply.usage)
    };
    let (found, usage) = rank(&prompted, &RerankRequest::new("oslo", TEXTS));
    let written = RerankRequest::new(format!("{QUERY}oslo"), behind(PASSAGE, &TEXTS));
    let (expected, as_written) = rank(&plain, &written);
    close(&found, &expected, "scores");
    assert_eq!(usage, as_written);
}

#[test]
fn labels_and_texts_have_the_default_prompt() {
    let (plain, prompted) = both(Classifier::open);
    let labels = ["bank", "dog"];
    let scores = |model: &Classifier, request: &ClassifyRequest, prompt: &str| {
        let reply = model.classify(request, &Interrupt::never()).unwrap();
        let score = |label: &&str| {
            let named = format!("{prompt}{label}");
            let first = reply.predictions[0].iter().find(|prediction| *prediction.label == *named);
            first.unwrap().score
        };
        (labels.iter().map(score).collect::<Vec<f32>>(), reply.usage.clone())
    };
    let (found, usage) = scores(&prompted, &ClassifyRequest::new(TEXTS).labels(labels), "");
    let written = ClassifyRequest::new(behind(DEFAULT, &TEXTS)).labels(behind(DEFAULT, &labels));
    let (expected, as_written) = scores(&plain, &written, DEFAULT);
    close(&found, &expected, "scores");
    assert_eq!(usage, as_written);
}

#[test]
fn a_head_is_fitted_on_and_asked_behind_the_default_prompt() {
    let (plain, prompted) = both(Embedder::open);
    let examples = |prompt: &str| -> Vec<Example> {
        let example = |(text, label): (&str, &str)| Example {
            text: format!("{prompt}{text}"),
            label: label.to_owned(),
        };
        [("the rain fell", "weather"), ("sun", "weather"), ("anna", "names"), ("paul and anna", "names")]
            .map(example)
            .into()
    };
    let head =
        |model: &Embedder, prompt: &str| fit(model, &examples(prompt), &Interrupt::never()).unwrap().head;
    let (found, expected) = (head(&prompted, ""), head(&plain, DEFAULT));
    let scores = |model: Embedder, head, prompt: &str| {
        let request = ClassifyRequest::new(behind(prompt, &TEXTS));
        let model = Classifier::fitted(model, head).unwrap();
        let reply = model.classify(&request, &Interrupt::never()).unwrap();
        reply.predictions.iter().flatten().map(|prediction| prediction.score).collect::<Vec<f32>>()
    };
    close(&scores(prompted, found, ""), &scores(plain, expected, DEFAULT), "scores");
}

#[test]
fn what_a_folder_has_and_is_not_served_is_refused() {
    let message = |more: &[(&str, Value)]| {
        let (_folder, assets) = folder(more);
        Embedder::open(assets).unwrap_err().to_string()
    };
    let module = |path: &str, class: &str| json!({"path": path, "type": format!("sentence_transformers.models.{class}")});
    let modules =
        json!([module("", "Transformer"), module("1_Pooling", "Pooling"), module("2_Dense", "Dense")]);
    assert_eq!(
        message(&[("modules.json", modules)]),
        "the model has the module Dense ('2_Dense'), which is not served: served are Transformer, Pooling, Normalize"
    );
    let pooling = json!({"pooling_mode_mean_tokens": true, "include_prompt": false});
    assert_eq!(message(&[prompts(), ("1_Pooling/config.json", pooling)]), "the model cannot be served");
}

#[test]
fn a_file_that_cannot_be_read_is_not_passed_over() {
    for name in [
        "config_sentence_transformers.json",
        "sentence_bert_config.json",
        "tokenizer_config.json",
        "modules.json",
    ] {
        let (folder, assets) = folder(&[]);
        let path = folder.path().join("names").join(name);
        let message = || {
            let error = Embedder::open(assets.clone()).unwrap_err();
            assert!(std::error::Error::source(&error).is_some(), "it says why");
            error.to_string()
        };
        // A folder is no file that can be read, for any user.
        fs::create_dir(&path).unwrap();
        assert_eq!(message(), format!("the model has no readable {name}"));
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "{").unwrap();
        assert_eq!(message(), format!("the model has a {name} that does not parse"));
    }
}
