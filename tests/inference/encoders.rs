//! The tasks that have heads, on small seeded checkpoints of each family: `reference/encoders.py` made them and computed
//! the golden values in numpy.

use fdk_inference::assets::sha256;
use fdk_inference::{
    Assets, Classifier, ClassifyRequest, Interrupt, RerankRequest, Reranker, Tagger, TokensRequest,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

#[derive(Deserialize)]
struct Golden {
    cross: Cross,
    mood: Vec<Case>,
    topic: Vec<Case>,
    names: Vec<Named>,
}

#[derive(Deserialize)]
struct Cross {
    query: String,
    documents: Vec<String>,
    scores: Vec<f32>,
    /// Of each document by itself.
    alone: Vec<f32>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    /// Against each other.
    scores: BTreeMap<String, f32>,
    /// Each by itself.
    alone: BTreeMap<String, f32>,
}

#[derive(Deserialize)]
struct Named {
    text: String,
    entities: Vec<fdk_inference::Entity>,
}

static GOLDEN: LazyLock<Golden> =
    LazyLock::new(|| serde_json::from_str(include_str!("golden/encoders.json")).unwrap());

/// An assets folder with one checkpoint, and its manifest.
fn assets(name: &str) -> (tempfile::TempDir, Assets) {
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("inference/checkpoints").join(name);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(name)).unwrap();
    let mut files = String::new();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let size = fs::copy(from.join(file), folder.path().join(name).join(file)).unwrap();
        let sha256 = sha256(&from.join(file)).unwrap();
        writeln!(files, "{{ path = \"{file}\", size = {size}, sha256 = \"{sha256}\" }},").unwrap();
    }
    let entry = format!(
        "[{name}]\nname = \"{name}\"\ntask = \"classify\"\nlicense = \"Apache-2.0\"\norigin = \"a seed\"\nfiles = [\n{files}]\n"
    );
    fs::write(folder.path().join("models.toml"), entry).unwrap();
    let assets = Assets::open(folder.path(), None).unwrap();
    (folder, assets)
}

fn close(a: f32, b: f32, what: &str) {
    assert!((a - b).abs() < 2e-5, "{what}: {a} is not {b}");
}

#[test]
fn a_cross_encoder_scores_as_the_reference() {
    let (_folder, assets) = assets("cross");
    let model = Reranker::open(assets).unwrap();
    let golden = &GOLDEN.cross;
    let mut request = RerankRequest::new(golden.query.clone(), golden.documents.clone());
    let reply = model.rerank(&request, &Interrupt::never()).unwrap();
    assert_eq!(reply.results.len(), golden.documents.len());
    for ranked in &reply.results {
        close(ranked.score, golden.scores[ranked.index], &golden.documents[ranked.index]);
        assert_eq!(ranked.document, None);
    }
    assert!(reply.results.is_sorted_by(|a, b| a.score >= b.score));
    request.top_n = Some(2);
    request.return_documents = true;
    let best = model.rerank(&request, &Interrupt::never()).unwrap().results;
    assert_eq!(best.len(), 2);
    assert_eq!(best[0].document.as_deref(), Some(golden.documents[best[0].index].as_str()));
    // A pair over the limit keeps some of both.
    request.documents = vec!["rate ".repeat(500)];
    let long = model.rerank(&request, &Interrupt::never()).unwrap();
    assert_eq!((long.usage.tokens, long.usage.truncated), (40, vec![0]));
}

#[test]
fn heads_of_distilbert_and_roberta_score_as_the_reference() {
    for (name, cases) in [("mood", &GOLDEN.mood), ("topic", &GOLDEN.topic)] {
        let (_folder, assets) = assets(name);
        let model = Classifier::open(assets).unwrap();
        let mut request = ClassifyRequest::new(cases.iter().map(|case| case.text.as_str()));
        let together = model.classify(&request, &Interrupt::never()).unwrap();
        request.multi_label = Some(true);
        let alone = model.classify(&request, &Interrupt::never()).unwrap();
        // A token is a letter for one, and a word for the other.
        let cut: &[usize] = if name == "topic" { &[1, 6] } else { &[6] };
        assert_eq!(together.usage.truncated, cut, "{name}");
        for (index, case) in cases.iter().enumerate() {
            for (predictions, golden) in
                [(&together.predictions[index], &case.scores), (&alone.predictions[index], &case.alone)]
            {
                assert_eq!(predictions.len(), golden.len());
                assert!(predictions.is_sorted_by(|a, b| a.score >= b.score));
                for prediction in predictions {
                    close(prediction.score, golden[&*prediction.label], &format!("{name}: {:?}", case.text));
                }
            }
        }
        let refused = model.classify(&request.labels(["x"]), &Interrupt::never()).unwrap_err();
        assert_eq!(refused.path(), Some("labels"));
        assert!(refused.to_string().starts_with("the model has labels of its own: "), "{refused}");
    }
}

/// A checkpoint with another configuration.
fn configured(name: &str, change: impl FnOnce(&mut Value)) -> (tempfile::TempDir, Assets) {
    let (folder, listed) = assets(name);
    let path = listed.path("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(&path, config.to_string()).unwrap();
    // Without an entry nobody says what the file should be.
    fs::remove_file(folder.path().join("models.toml")).unwrap();
    let assets = Assets::open(folder.path(), Some(name)).unwrap();
    (folder, assets)
}

#[test]
fn a_single_label_is_judged_by_itself() {
    let (_folder, assets) = assets("cross");
    let model = Classifier::open(assets).unwrap();
    let golden = &GOLDEN.cross;
    let mut request = ClassifyRequest::new(golden.documents.clone());
    // Among one label there is nothing to share.
    for multi_label in [None, Some(true), Some(false)] {
        request.multi_label = multi_label;
        let reply = model.classify(&request, &Interrupt::never()).unwrap();
        for (index, predictions) in reply.predictions.iter().enumerate() {
            assert_eq!((predictions.len(), &*predictions[0].label), (1, "LABEL_0"));
            close(predictions[0].score, golden.alone[index], &golden.documents[index]);
        }
    }
}

#[test]
fn a_problem_type_says_what_becomes_of_numbers() {
    let open = |problem: &str| {
        let (_folder, assets) = configured("mood", |config| config["problem_type"] = problem.into());
        Classifier::open(assets).unwrap()
    };
    let (multi, plain) = (open("multi_label_classification"), open("regression"));
    let mut request = ClassifyRequest::new(GOLDEN.mood.iter().map(|case| case.text.as_str()));
    let scores = |model: &Classifier, request: &ClassifyRequest, case: usize| {
        let reply = model.classify(request, &Interrupt::never()).unwrap();
        reply.predictions[case].iter().map(|one| (one.label.clone(), one.score)).collect::<BTreeMap<_, _>>()
    };
    for (index, case) in GOLDEN.mood.iter().enumerate() {
        request.multi_label = None;
        for (label, score) in scores(&multi, &request, index) {
            close(score, case.alone[&*label], &case.text);
        }
        for (label, score) in scores(&plain, &request, index) {
            close(1.0 / (1.0 + (-score).exp()), case.alone[&*label], &case.text);
        }
        request.multi_label = Some(false);
        for (label, score) in scores(&plain, &request, index) {
            close(score, case.scores[&*label], &case.text);
        }
    }
}

#[test]
fn labels_that_a_configuration_leaves_out_are_numbered() {
    let (_folder, assets) = configured("mood", |config| {
        config.as_object_mut().unwrap().remove("id2label");
        config["num_labels"] = 3.into();
    });
    let model = Classifier::open(assets).unwrap();
    let case = &GOLDEN.mood[0];
    let reply = model.classify(&ClassifyRequest::new([case.text.as_str()]), &Interrupt::never()).unwrap();
    assert_eq!(reply.predictions[0].len(), 3);
    for prediction in &reply.predictions[0] {
        let class: usize = prediction.label.strip_prefix("LABEL_").unwrap().parse().unwrap();
        close(prediction.score, case.scores[["bad", "neutral", "good"][class]], &case.text);
    }
}

#[test]
fn entities_are_those_of_the_reference() {
    let (_folder, assets) = assets("names");
    let model = Tagger::open(assets).unwrap();
    let texts = GOLDEN.names.iter().map(|case| case.text.as_str());
    let reply = model.tokens(&TokensRequest::new(texts), &Interrupt::never()).unwrap();
    assert!(GOLDEN.names.iter().map(|case| case.entities.len()).sum::<usize>() >= 5);
    for (found, case) in reply.entities.iter().zip(&GOLDEN.names) {
        assert_eq!(found.len(), case.entities.len(), "{:?}", case.text);
        for (found, expected) in found.iter().zip(&case.entities) {
            close(found.score, expected.score, &case.text);
            assert_eq!(
                (&found.label, found.start, found.end, &found.text),
                (&expected.label, expected.start, expected.end, &expected.text)
            );
        }
    }
}

#[test]
fn a_checkpoint_of_another_task_is_refused_by_what_it_lacks() {
    let (_folder, mood) = assets("mood");
    let error = Tagger::open(mood.clone()).unwrap_err();
    assert_eq!(error.to_string(), "the model has no head for tokens");
    let error = Reranker::open(mood).unwrap_err();
    assert_eq!(error.to_string(), "the model cannot rank");
}
