//! Models against independent references: `reference/minilm.py` and its like compute the golden values in numpy, from their
//! own tokenizers to the last layer.

mod encoders;
mod fused;
mod generate;
mod memory;
mod minilm;
mod pictures;
mod prepared;
mod prepared_decoder;
mod prepared_pictures;
mod prompts;
mod qwen;
mod requests;
mod sounds;

use fdk_inference::{Assets, EmbedRequest, Embedder, Interrupt, Tokenizer};
use serde::Deserialize;
use std::cell::Cell;
use std::sync::LazyLock;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    truncated: bool,
    ids: Vec<u32>,
    #[serde(default)]
    norm: f64,
    #[serde(default)]
    embedding: Vec<f64>,
}

fn golden(text: &str) -> Vec<Case> {
    serde_json::from_str::<Golden>(text).unwrap().cases
}

fn assets() -> Assets {
    Assets::open(&fdk_models::obtain("minilm").unwrap(), Some("minilm")).unwrap()
}

static MODEL: LazyLock<Embedder> = LazyLock::new(|| Embedder::open(assets()).unwrap());

fn cosine(a: &[f32], b: &[f64]) -> f64 {
    let dot: f64 = a.iter().zip(b).map(|(x, y)| f64::from(*x) * y).sum();
    let length = |squares: f64| squares.sqrt();
    dot / length(a.iter().map(|x| f64::from(*x).powi(2)).sum()) / length(b.iter().map(|y| y * y).sum())
}

#[test]
fn embeddings_equal_the_reference() {
    let cases = golden(include_str!("golden/minilm.json"));
    assert!(cases.len() >= 12);
    let reply =
        MODEL.embed(&EmbedRequest::new(cases.iter().map(|case| &*case.text)), &Interrupt::never()).unwrap();
    for (case, vector) in cases.iter().zip(&reply.embeddings) {
        assert!(cosine(vector, &case.embedding) >= 0.99999, "{:?}", case.text);
        let worst =
            vector.iter().zip(&case.embedding).map(|(x, y)| (f64::from(*x) - y).abs()).fold(0.0, f64::max);
        assert!(worst <= 1e-5, "{:?} differs by {worst}", case.text);
    }
    let cut: Vec<usize> = (0..cases.len()).filter(|index| cases[*index].truncated).collect();
    assert_eq!(reply.usage.truncated, cut);
    assert_eq!(reply.usage.tokens, cases.iter().map(|case| case.ids.len()).sum::<usize>());
}

#[test]
fn without_normalisation_the_length_is_the_references() {
    let cases = golden(include_str!("golden/minilm.json"));
    let mut request = EmbedRequest::new(cases.iter().map(|case| &*case.text));
    request.normalize = false;
    let reply = MODEL.embed(&request, &Interrupt::never()).unwrap();
    for (case, vector) in cases.iter().zip(&reply.embeddings) {
        let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        assert!((length - case.norm).abs() < 1e-4 * case.norm, "{:?}: {length} {}", case.text, case.norm);
    }
}

#[test]
fn a_batch_equals_single_calls() {
    let cases = golden(include_str!("golden/minilm.json"));
    let texts: Vec<&str> = cases.iter().map(|case| &*case.text).collect();
    let batch = MODEL.embed(&EmbedRequest::new(texts.iter().copied()), &Interrupt::never()).unwrap();
    for (text, together) in texts.iter().zip(&batch.embeddings) {
        let alone = MODEL.embed(&EmbedRequest::new([*text]), &Interrupt::never()).unwrap();
        let worst = alone.embeddings[0].iter().zip(together).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
        assert!(worst <= 1e-5, "{text:?} differs by {worst}");
    }
}

#[test]
fn token_ids_equal_the_reference() {
    let tokens = Tokenizer::open(&assets()).unwrap();
    let mut cases = golden(include_str!("golden/minilm.json"));
    cases.extend(golden(include_str!("golden/tokens.json")));
    assert!(cases.len() > 1000);
    for case in cases {
        assert_eq!(tokens.encode(&case.text).unwrap(), case.ids, "{:?}", case.text);
    }
}

#[test]
fn extremes_have_defined_answers() {
    let empty = MODEL.embed(&EmbedRequest::new(Vec::<String>::new()), &Interrupt::never()).unwrap();
    assert_eq!((empty.embeddings.len(), empty.usage.tokens), (0, 0));
    let text = MODEL.embed(&EmbedRequest::new([""]), &Interrupt::never()).unwrap();
    assert_eq!((text.embeddings[0].len(), text.usage.tokens), (384, 2));
    let long = "word ".repeat(10_000);
    let mut request = EmbedRequest::new(["short", &long]);
    let cut = MODEL.embed(&request, &Interrupt::never()).unwrap();
    assert_eq!((cut.usage.truncated, cut.usage.tokens), (vec![1], 3 + 256));
    let huge = MODEL.embed(&EmbedRequest::new(["a".repeat(300_000)]), &Interrupt::never()).unwrap_err();
    assert_eq!(huge.to_string(), "the text has 300000 bytes and may have 262144: split it");
    request.truncate = false;
    let refused = MODEL.embed(&request, &Interrupt::never()).unwrap_err();
    assert_eq!(refused.path(), Some("inputs[1]"));
    assert_eq!(
        refused.to_string(),
        "the text has 10002 tokens and the model takes 256: shorten it, or set truncate to true"
    );
}

#[test]
fn an_interrupt_ends_the_work_between_layers() {
    let asked = Cell::new(0);
    let after_tokenising_and_two_layers = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    let stopped = MODEL.embed(&EmbedRequest::new(["a"]), &Interrupt::when(&after_tokenising_and_two_layers));
    assert!(stopped.unwrap_err().is_interrupted());
    assert_eq!(asked.get(), 4);
}
