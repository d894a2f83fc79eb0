//! The tasks that need no head, on the real MiniLM.

use crate::MODEL;
use fdk_inference::{
    Classifier, ClassifyRequest, EmbedRequest, Example, Interrupt, RerankRequest, Reranker, Tagger,
    TokensRequest, fit_zero_shot,
};
use serde::Deserialize;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(|| Classifier::open(crate::assets()).unwrap());

fn vectors(texts: &[&str]) -> Vec<Vec<f32>> {
    MODEL.embed(&EmbedRequest::new(texts.iter().copied()), &Interrupt::never()).unwrap().embeddings
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[test]
fn documents_are_ranked_by_their_cosine() {
    let model = Reranker::open(crate::assets()).unwrap();
    let documents = [
        "Bread is baked in an oven.",
        "Berlin is the capital of Germany.",
        "Germany lies in central Europe.",
        "Berlin is the capital of Germany.",
    ];
    let request = RerankRequest::new("What is the capital of Germany?", documents);
    let reply = model.rerank(&request, &Interrupt::never()).unwrap();
    let order: Vec<usize> = reply.results.iter().map(|ranked| ranked.index).collect();
    assert_eq!(order, [1, 3, 2, 0], "equals keep their order");
    let [query, best] = &vectors(&[&request.query, documents[1]])[..] else { panic!("two vectors") };
    assert!((reply.results[0].score - dot(query, best)).abs() < 1e-5);
    let none = model.rerank(&RerankRequest::new("q", Vec::<String>::new()), &Interrupt::never()).unwrap();
    assert!(none.results.is_empty());
    let mut top = request;
    top.top_n = Some(0);
    assert!(model.rerank(&top, &Interrupt::never()).unwrap().results.is_empty());
    let long = RerankRequest::new("q".repeat(300_000), ["d"]);
    assert_eq!(model.rerank(&long, &Interrupt::never()).unwrap_err().path(), Some("query"));
}

#[test]
fn labels_named_in_the_request_are_told_by_likeness() {
    #[derive(Deserialize)]
    struct Sentence {
        text: String,
        label: String,
    }
    let sentences: Vec<Sentence> =
        include_str!("labelled.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let labels: BTreeSet<&str> = sentences.iter().map(|sentence| sentence.label.as_str()).collect();
    let request =
        ClassifyRequest::new(sentences.iter().map(|sentence| sentence.text.as_str())).labels(labels.clone());
    let reply = CLASSIFIER.classify(&request, &Interrupt::never()).unwrap();
    let mut hits = 0;
    for (predictions, sentence) in reply.predictions.iter().zip(&sentences) {
        assert_eq!(predictions.len(), labels.len());
        assert!((predictions.iter().map(|one| one.score).sum::<f32>() - 1.0).abs() < 1e-4);
        hits += usize::from(*predictions[0].label == *sentence.label);
    }
    assert!(hits * 10 >= sentences.len() * 8, "{hits} of {}", sentences.len());
}

#[test]
fn scores_are_the_softmax_and_the_logistic_curve_of_cosines() {
    let fit = crate::assets().model().zero_shot.unwrap();
    let (text, labels) = ("The striker scored twice.", ["sports", "cooking"]);
    let all = vectors(&[text, labels[0], labels[1]]);
    let cosines = [dot(&all[0], &all[1]), dot(&all[0], &all[2])];
    let mut request = ClassifyRequest::new([text]).labels(labels);
    let first = |request: &ClassifyRequest| {
        let reply = CLASSIFIER.classify(request, &Interrupt::never()).unwrap();
        let first = reply.predictions[0][0].clone();
        (first.label.to_string(), first.score)
    };
    let (label, score) = first(&request);
    assert_eq!(label, "sports");
    assert!((score - 1.0 / (1.0 + ((cosines[1] - cosines[0]) / fit.temperature).exp())).abs() < 1e-4);
    request.multi_label = Some(true);
    let (_, score) = first(&request);
    assert!((score - 1.0 / (1.0 + ((fit.midpoint - cosines[0]) / fit.temperature).exp())).abs() < 1e-4);
    // One label alone is judged by itself, as `ZeroShotClassificationPipeline` of transformers has it.
    request = ClassifyRequest::new([text]).labels([labels[0]]);
    assert!((first(&request).1 - score).abs() < 1e-6);
    let message = |request: &ClassifyRequest| {
        CLASSIFIER.classify(request, &Interrupt::never()).unwrap_err().to_string()
    };
    request.labels = None;
    assert_eq!(message(&request), "the model has no labels of its own: name at least one");
    request.labels = Some(Vec::new());
    assert_eq!(message(&request), "the list is empty: name at least one label");
    assert!(Tagger::open(crate::assets()).is_err(), "it has no head");
    assert_eq!(TokensRequest::new(["a"]).inputs, ["a"]);
}

#[test]
fn the_entry_states_what_the_sentences_fit() {
    let lines = include_str!("labelled.jsonl").lines();
    let examples: Vec<Example> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let fitted = fit_zero_shot(&MODEL, &examples, &Interrupt::never()).unwrap();
    let (stated, found) = (crate::assets().model().zero_shot.unwrap(), fitted.zero_shot);
    // In as many digits as the entry has.
    assert!((found.temperature - stated.temperature).abs() <= 0.005, "{found:?}");
    assert!((found.midpoint - stated.midpoint).abs() <= 0.005, "{found:?}");
    assert!(fitted.right * 10 >= examples.len() * 8, "{} of {}", fitted.right, examples.len());
    let refused = fit_zero_shot(&MODEL, &examples[..1], &Interrupt::never()).unwrap_err();
    assert_eq!(refused.to_string(), "labels are told apart: give examples of at least two");
}

#[test]
fn the_memory_is_reckoned_from_the_headers() {
    // 22.7 million numbers as f32, activations, tokenizer, process: what 256 MB hold and 192 do not.
    let assets = crate::assets();
    let needed = assets.memory_needed() / (1024 * 1024);
    assert!((170..=230).contains(&needed), "{needed} MB");
    assert!(assets.check_memory(256 * 1024 * 1024).is_ok());
    let refused = assets.check_memory(128 * 1024 * 1024).unwrap_err().to_string();
    assert!(refused.ends_with("and FN_MEMORY grants 128: raise `memory` in func.yaml"), "{refused}");
}

#[test]
fn dimensions_cut_and_scale_a_vector() {
    let whole = vectors(&["a text"]).remove(0);
    let mut request = EmbedRequest::new(["a text"]);
    request.dimensions = Some(64);
    let cut = MODEL.embed(&request, &Interrupt::never()).unwrap().embeddings.remove(0);
    assert_eq!(cut.len(), 64);
    assert!((dot(&cut, &cut) - 1.0).abs() < 1e-5);
    let length = dot(&whole[..64], &whole[..64]).sqrt();
    assert!(cut.iter().zip(&whole).all(|(x, y)| (x - y / length).abs() < 1e-5));
    for wrong in [0, 385] {
        request.dimensions = Some(wrong);
        let refused = MODEL.embed(&request, &Interrupt::never()).unwrap_err();
        assert_eq!(refused.to_string(), format!("{wrong} is none of 1 to 384, the dimensions of the model"));
    }
    request.dimensions = None;
    request.prompt_name = Some("query".into());
    let refused = MODEL.embed(&request, &Interrupt::never()).unwrap_err();
    assert_eq!(refused.to_string(), "the model has no prompt 'query'; it has: none");
}

#[test]
fn the_product_of_texts_and_labels_is_bounded() {
    let three_thousand = || (0..3000).map(|number| format!("{number}"));
    let request = ClassifyRequest::new(three_thousand()).labels(three_thousand());
    let asked = Cell::new(0);
    let count = || {
        asked.set(asked.get() + 1);
        false
    };
    let refused = CLASSIFIER.classify(&request, &Interrupt::when(&count)).unwrap_err();
    assert_eq!((refused.path(), asked.get()), (Some("inputs"), 0), "before any work");
    assert_eq!(
        refused.to_string(),
        "3000 texts with 3000 labels each make predictions of about 358 MB, and 8 are the most: send fewer texts in a call, or fewer labels"
    );
}

#[test]
fn an_error_names_the_field_of_the_task() {
    let documents: Vec<String> = (0..2000).map(|number| format!("word {number} ").repeat(60)).collect();
    let soon = || Interrupt::when(&|| false).ending(Instant::now() + Duration::from_secs(2));
    let model = Reranker::open(crate::assets()).unwrap();
    let refused = model.rerank(&RerankRequest::new("q", documents.clone()), &soon()).unwrap_err();
    assert_eq!(refused.path(), Some("documents"), "{refused}");
    let labels = ClassifyRequest::new(["a"]).labels(documents);
    assert_eq!(CLASSIFIER.classify(&labels, &soon()).unwrap_err().path(), Some("labels"));
}

#[test]
fn what_there_is_no_time_for_fails_early_or_is_left_out() {
    let texts: Vec<String> = (0..2000).map(|number| format!("word {number} ").repeat(60)).collect();
    let mut request = EmbedRequest::new(texts);
    let began = Instant::now();
    let soon = || Interrupt::when(&|| false).ending(Instant::now() + Duration::from_secs(2));
    let refused = MODEL.embed(&request, &soon()).unwrap_err();
    assert_eq!(refused.path(), Some("inputs"));
    assert!(refused.to_string().ends_with(": send fewer in a call"), "{refused}");
    assert!(began.elapsed() < Duration::from_mins(1), "it is known after a few sub-batches");
    request.partial = true;
    let reply = MODEL.embed(&request, &soon()).unwrap();
    assert!(!reply.incomplete.is_empty() && reply.incomplete.len() < 2000);
    for (index, vector) in reply.embeddings.iter().enumerate() {
        assert_eq!(vector.is_empty(), reply.incomplete.contains(&index), "{index}");
    }
}
