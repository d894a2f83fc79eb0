//! Hugging Face's text-embeddings-inference: `/embed`, `/rerank`, `/predict`, `/info` (its `OpenAPI` document, 1.8).

use super::{Asked, Described, Form};
use crate::classify::{ClassifyReply, ClassifyRequest};
use crate::embed::{EmbedReply, EmbedRequest};
use crate::error::Error;
use crate::rerank::{RerankReply, RerankRequest};
use crate::texts::{many, one_or_many, told_apart, yes};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Embed {
    #[serde(deserialize_with = "one_or_many")]
    inputs: Vec<String>,
    #[serde(default = "yes")]
    normalize: bool,
    #[serde(default)]
    truncate: Option<bool>,
    #[serde(default)]
    truncation_direction: Direction,
    #[serde(default)]
    prompt_name: Option<String>,
    #[serde(default)]
    dimensions: Option<usize>,
}

#[derive(Deserialize, Default, PartialEq)]
enum Direction {
    Left,
    #[default]
    Right,
}

impl Direction {
    fn check(&self) -> Result<(), Error> {
        if *self == Self::Right {
            return Ok(());
        }
        Err(Error::input("truncation_direction", "a text is cut at its end: Left is not served"))
    }
}

pub(super) fn embed(asked: Embed) -> Result<Asked, Error> {
    asked.truncation_direction.check()?;
    let mut request = EmbedRequest::new(asked.inputs);
    request.normalize = asked.normalize;
    request.truncate = asked.truncate.unwrap_or(false);
    request.prompt_name = asked.prompt_name;
    request.dimensions = asked.dimensions;
    Ok(Asked::Embed(request, Form::default()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rerank {
    query: String,
    #[serde(deserialize_with = "many")]
    texts: Vec<String>,
    #[serde(default)]
    raw_scores: bool,
    #[serde(default)]
    return_text: bool,
    /// Documents are always cut.
    #[serde(default, rename = "truncate")]
    _truncate: Option<bool>,
    #[serde(default)]
    truncation_direction: Direction,
}

/// Whether it is the task's own request rather than TEI's: that one has documents, this one texts.
pub(super) fn is_native_rerank(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Native {
        #[serde(rename = "documents")]
        _documents: IgnoredAny,
    }
    serde_json::from_slice::<Native>(body).is_ok()
}

pub(super) fn rerank(asked: Rerank) -> Result<Asked, Error> {
    asked.truncation_direction.check()?;
    if asked.raw_scores {
        return Err(Error::input(
            "raw_scores",
            "scores are cosines or probabilities: raw ones are not served",
        ));
    }
    let mut request = RerankRequest::new(asked.query, asked.texts);
    request.return_documents = asked.return_text;
    Ok(Asked::Rerank(request, Form::default()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Predict {
    inputs: Inputs,
    #[serde(default)]
    raw_scores: bool,
    #[serde(default, rename = "truncate")]
    _truncate: Option<bool>,
    #[serde(default)]
    truncation_direction: Direction,
}

/// A text or a list of texts, and which of the two.
struct Inputs {
    texts: Vec<String>,
    single: bool,
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (texts, single) = told_apart(deserializer)?;
        Ok(Self { texts, single })
    }
}

pub(super) fn predict(asked: Predict) -> Result<Asked, Error> {
    asked.truncation_direction.check()?;
    if asked.raw_scores {
        return Err(Error::input("raw_scores", "scores are probabilities: raw ones are not served"));
    }
    let Inputs { texts, single } = asked.inputs;
    Ok(Asked::Classify(ClassifyRequest::new(texts), Form { single, ..Form::default() }))
}

pub(super) fn embedded(reply: &EmbedReply) -> Value {
    json!(reply.embeddings)
}

pub(super) fn ranked(reply: RerankReply) -> Value {
    let one = |ranked: crate::Ranked| match ranked.document {
        Some(text) => json!({"index": ranked.index, "score": ranked.score, "text": text}),
        None => json!({"index": ranked.index, "score": ranked.score}),
    };
    reply.results.into_iter().map(one).collect()
}

pub(super) fn classified(reply: ClassifyReply, single: bool) -> Value {
    let mut predictions = reply.predictions;
    if single { json!(predictions.pop()) } else { json!(predictions) }
}

pub(super) fn info(model: Described<'_>) -> Value {
    json!({
        "model_id": model.name,
        "model_dtype": "float32",
        "model_type": {model.kind: {}},
        "max_input_length": model.limit,
        "max_concurrent_requests": 1,
        "max_client_batch_size": 4096,
        "version": env!("CARGO_PKG_VERSION"),
    })
}

pub(super) fn failed(status: u16, message: &str, path: Option<&str>) -> (u16, Value) {
    let kind = match status {
        400..=499 => "Validation",
        504 => "Timeout",
        _ => "Backend",
    };
    let place = path.map_or(String::new(), |path| format!("{path}: "));
    (status, json!({"error": format!("{place}{message}"), "error_type": kind}))
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::super::tests::{MODEL, reply};
    use super::*;

    fn read(path: &str, body: &Value) -> Result<Asked, Error> {
        Shape::at(path).unwrap().read(body.to_string().as_bytes(), MODEL)
    }

    #[test]
    fn requests_are_understood() {
        let Asked::Embed(request, _) = read("/embed", &json!({"inputs": "a"})).unwrap() else {
            panic!("embed")
        };
        assert!(request.normalize && !request.truncate);
        let body = json!({"query": "q", "texts": ["a"], "return_text": true});
        let Asked::Rerank(request, _) = read("/rerank", &body).unwrap() else { panic!("rerank") };
        assert!(request.return_documents);
        let Asked::Classify(request, form) = read("/predict", &json!({"inputs": "a"})).unwrap() else {
            panic!()
        };
        assert!(form.single && request.labels.is_none());
        let refused =
            read("/rerank", &json!({"query": "q", "texts": ["a"], "raw_scores": true})).unwrap_err();
        assert_eq!(refused.path(), Some("raw_scores"));
        let refused = read("/embed", &json!({"inputs": "a", "truncation_direction": "Left"})).unwrap_err();
        assert_eq!(refused.path(), Some("truncation_direction"));
    }

    #[test]
    fn replies_are_bare_lists() {
        assert_eq!(embedded(&reply()), json!([[1.0, -0.5]]));
        let ranked = json!({"results": [{"index": 1, "score": 0.5, "document": "t"}], "model": "m",
            "usage": {"tokens": 1, "truncated": []}});
        let shown = super::ranked(serde_json::from_value(ranked).unwrap());
        assert_eq!(shown, json!([{"index": 1, "score": 0.5, "text": "t"}]));
        let (status, body) = failed(422, "too long", Some("inputs[0]"));
        assert_eq!(
            (status, body),
            (422, json!({"error": "inputs[0]: too long", "error_type": "Validation"}))
        );
    }
}
