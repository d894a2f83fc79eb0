//! The task `classify`: texts → labels, by a checkpoint's own head, by one that was fitted on a model's embeddings, or by
//! likeness to labels that the request names.

use crate::assets::Assets;
use crate::embed::Embedder;
use crate::encoder::{Encoder, Shortage};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::linear_head::LinearHead;
use crate::manifest::ZeroShot;
use crate::models::family::{Family, Scores};
use crate::models::probability::{sigmoid, softmax};
use crate::prediction::Prediction;
use crate::prompts::Purpose;
use crate::rerank::dot;
use crate::texts::{Usage, many, one_or_many};
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;

/// The most bytes that the predictions of a reply may have as JSON: each text has each label.
const PREDICTION_BYTES: usize = 8 * 1024 * 1024;
/// What a prediction has as JSON besides its label.
const SCORE_BYTES: usize = 36;

/// What to classify: `{"inputs": "text" | ["…"], "labels": ["…"], "multi_label": false}`; `labels` must be there for an
/// embedding model, and must not for a checkpoint that has labels of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClassifyRequest {
    /// The texts, at most 4,096 of at most 256 KiB each; in JSON a single text may stand without brackets.
    #[serde(deserialize_with = "one_or_many")]
    pub inputs: Vec<String>,
    /// The labels, as one would say them: "billing question" rather than `LBL_7`. The predictions of all texts may have 8 MB
    /// as JSON: some 200,000 of short labels.
    #[serde(default, deserialize_with = "labels")]
    pub labels: Option<Vec<String>>,
    /// Whether each label is judged by itself, so that several may hold or none; otherwise they share a probability of 1.
    /// The checkpoint's own rule, or false, unless said. A single label has no other to share with: it is judged by itself.
    #[serde(default)]
    pub multi_label: Option<bool>,
}

fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    many(deserializer).map(Some)
}

impl ClassifyRequest {
    /// A request for these texts.
    pub fn new<T: Into<String>>(inputs: impl IntoIterator<Item = T>) -> Self {
        Self { inputs: inputs.into_iter().map(Into::into).collect(), labels: None, multi_label: None }
    }

    /// With these labels.
    #[must_use]
    pub fn labels<T: Into<String>>(self, labels: impl IntoIterator<Item = T>) -> Self {
        Self { labels: Some(labels.into_iter().map(Into::into).collect()), ..self }
    }
}

/// The labels of each text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClassifyReply {
    /// One list for each text, for a single text as well: every label, the likeliest first. A score is a probability, but of a
    /// checkpoint whose `problem_type` is `regression` the number itself.
    pub predictions: Vec<Vec<Prediction>>,
    /// The model's name.
    pub model: String,
    /// What it took.
    pub usage: Usage,
}

/// A model that classifies.
#[derive(Debug)]
pub struct Classifier(Kind);

#[derive(Debug)]
enum Kind {
    /// By the cosine of text and label.
    ZeroShot { model: Box<Embedder>, fit: ZeroShot },
    /// By a head that was fitted on its embeddings.
    Fitted { model: Box<Embedder>, head: LinearHead },
    /// By the checkpoint's head.
    Head(Box<Encoder>),
}

impl Classifier {
    /// Opens a model: by its head when the checkpoint is one for classifying whole texts, else as an embedding model, with
    /// the head that was fitted on it where it has one.
    pub fn open(assets: Assets) -> Result<Self, Error> {
        if !Family::read(&assets)?.is_sequence_classifier() {
            if let Some(path) = assets.head()? {
                return Self::fitted(Embedder::open(assets)?, LinearHead::open(&path)?);
            }
            let fit = assets.model().zero_shot.unwrap_or_default();
            return Ok(Self(Kind::ZeroShot { model: Box::new(Embedder::open(assets)?), fit }));
        }
        let classifier = Self(Kind::Head(Box::new(Encoder::open(&assets)?)));
        let warm_up = ClassifyRequest::new(["warm up"]);
        assets.timings().time("warm-up", || classifier.classify(&warm_up, &Interrupt::never()))?;
        Ok(classifier)
    }

    /// A model that classifies by a head fitted on its embeddings.
    pub fn fitted(model: Embedder, head: LinearHead) -> Result<Self, Error> {
        if head.width() != model.width() {
            let (is, should) = (head.width(), model.width());
            return Err(Error::assets(format!(
                "the head is for embeddings of {is} numbers and {}'s have {should}: fit one on this model",
                model.name()
            )));
        }
        Ok(Self(Kind::Fitted { model: Box::new(model), head }))
    }

    /// What replies call the model.
    pub fn name(&self) -> &str {
        match &self.0 {
            Kind::ZeroShot { model, .. } | Kind::Fitted { model, .. } => model.name(),
            Kind::Head(model) => model.name(),
        }
    }

    /// The most tokens a text may have.
    pub fn limit(&self) -> usize {
        match &self.0 {
            Kind::ZeroShot { model, .. } | Kind::Fitted { model, .. } => model.limit(),
            Kind::Head(model) => model.tokenizer.limit(),
        }
    }

    /// Classifies the texts of a request. An error is the request's fault when it has labels and the model has its own, or
    /// neither has, and when the predictions would have more than 8 MB as JSON; further errors are those of
    /// [`Embedder::embed`].
    pub fn classify(
        &self,
        request: &ClassifyRequest,
        interrupt: &Interrupt<'_>,
    ) -> Result<ClassifyReply, Error> {
        match (&self.0, &request.labels) {
            (Kind::Head(model), None) => by_head(model, request, interrupt),
            (Kind::Fitted { model, head }, None) => by_fitted_head(model, head, request, interrupt),
            (Kind::Head(model), Some(_)) => Err(has_labels(model.family.labels())),
            (Kind::Fitted { head, .. }, Some(_)) => Err(has_labels(head.labels())),
            (Kind::ZeroShot { .. }, None) => {
                Err(Error::input("labels", "the model has no labels of its own: name at least one"))
            }
            (Kind::ZeroShot { .. }, Some(labels)) if labels.is_empty() => {
                Err(Error::input("labels", "the list is empty: name at least one label"))
            }
            (Kind::ZeroShot { model, fit }, Some(labels)) => {
                by_likeness(model, *fit, labels, request, interrupt)
            }
        }
    }
}

fn by_head(
    model: &Encoder,
    request: &ClassifyRequest,
    interrupt: &Interrupt<'_>,
) -> Result<ClassifyReply, Error> {
    let by = chosen(request, model.family.labels(), model.family.scores());
    let labels = Labels::of(model.family.labels());
    labels.check(request.inputs.len())?;
    let texts = model.tokenise("inputs", "", &request.inputs, true, interrupt)?;
    let mut predictions = vec![Vec::new(); texts.len()];
    model.run(&texts, Shortage::Refuse("inputs"), interrupt, |index, hidden| {
        let logits = model.logits(hidden)?.swap_remove(0);
        predictions[index] = labels.sorted(scores(logits, by));
        Ok(())
    })?;
    Ok(ClassifyReply { predictions, model: model.name().to_owned(), usage: Usage::of(&texts, &[]) })
}

fn has_labels(labels: &[String]) -> Error {
    Error::input("labels", format!("the model has labels of its own: {}", labels.join(", ")))
}

fn by_fitted_head(
    model: &Embedder,
    head: &LinearHead,
    request: &ClassifyRequest,
    interrupt: &Interrupt<'_>,
) -> Result<ClassifyReply, Error> {
    let labels = Labels::of(head.labels());
    labels.check(request.inputs.len())?;
    let (texts, ids) = model.vectors("inputs", &request.inputs, Purpose::Any, interrupt)?;
    let by = chosen(request, head.labels(), Scores::among(head.labels().len()));
    let predict = |text: &Vec<f32>| {
        interrupt.check()?;
        Ok(labels.sorted(scores(head.logits(text), by)))
    };
    Ok(ClassifyReply {
        predictions: texts.iter().map(predict).collect::<Result<_, Error>>()?,
        model: model.name().to_owned(),
        usage: Usage::of(&ids, &[]),
    })
}

/// What a request wants of a head's numbers, or else their own rule.
fn chosen(request: &ClassifyRequest, labels: &[String], own: Scores) -> Scores {
    match request.multi_label {
        Some(true) => Scores::Each,
        Some(false) if labels.len() > 1 => Scores::Shared,
        _ => own,
    }
}

fn scores(logits: Vec<f32>, by: Scores) -> Vec<f32> {
    match by {
        Scores::Shared => softmax(&logits),
        Scores::Each => logits.into_iter().map(sigmoid).collect(),
        Scores::Plain => logits,
    }
}

fn by_likeness(
    model: &Embedder,
    fit: ZeroShot,
    labels: &[String],
    request: &ClassifyRequest,
    interrupt: &Interrupt<'_>,
) -> Result<ClassifyReply, Error> {
    let shared = Labels::of(labels);
    shared.check(request.inputs.len())?;
    let (named, named_ids) = model.vectors("labels", labels, Purpose::Any, interrupt)?;
    let (texts, ids) = model.vectors("inputs", &request.inputs, Purpose::Any, interrupt)?;
    let by = chosen(request, labels, Scores::among(labels.len()));
    let predict = |text: &Vec<f32>| {
        interrupt.check()?;
        // The midpoint is the same for all, so that it changes no share.
        let logit = |label: &Vec<f32>| (dot(text, label) - fit.midpoint) / fit.temperature;
        Ok(shared.sorted(scores(named.iter().map(logit).collect(), by)))
    };
    let mut usage = Usage::of(&ids, &[]);
    usage.tokens += named_ids.iter().map(|label| label.ids.len()).sum::<usize>();
    Ok(ClassifyReply {
        predictions: texts.iter().map(predict).collect::<Result<_, Error>>()?,
        model: model.name().to_owned(),
        usage,
    })
}

/// Labels as all predictions of a reply share them.
struct Labels(Vec<Arc<str>>);

impl Labels {
    fn of(labels: &[String]) -> Self {
        Self(labels.iter().map(|label| label.as_str().into()).collect())
    }

    /// Refuses so many texts where their predictions would have too many bytes: a request of 41 KB would take a gigabyte.
    fn check(&self, texts: usize) -> Result<(), Error> {
        let each: usize = self.0.iter().map(|label| json_bytes(label) + SCORE_BYTES).sum();
        let bytes = texts.saturating_mul(each);
        if bytes <= PREDICTION_BYTES {
            return Ok(());
        }
        let mb = |bytes: usize| bytes.div_ceil(1024 * 1024);
        let message = format!(
            "{texts} texts with {} labels each make predictions of about {} MB, and {} are the most: send fewer texts in a call, or fewer labels",
            self.0.len(),
            mb(bytes),
            mb(PREDICTION_BYTES)
        );
        Err(Error::input("inputs", message))
    }

    /// The likeliest first; equals keep the labels' order.
    fn sorted(&self, scores: Vec<f32>) -> Vec<Prediction> {
        let pairs = self.0.iter().zip(scores);
        let mut sorted: Vec<_> =
            pairs.map(|(label, score)| Prediction { label: label.clone(), score }).collect();
        sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
        sorted
    }
}

/// The bytes of a text as JSON.
fn json_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | 0x08 | 0x09 | 0x0A | 0x0C | 0x0D => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum::<usize>() + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_comes_first() {
        let labels = Labels::of(&["a", "b", "c"].map(String::from));
        let order = labels.sorted(vec![0.2, 0.6, 0.2]);
        assert_eq!(order.iter().map(|one| &*one.label).collect::<Vec<_>>(), ["b", "a", "c"]);
        assert!(Arc::ptr_eq(&order[1].label, &labels.0[0]), "predictions share their labels");
        let scores = softmax(&[1000.0, 1000.0, f32::NEG_INFINITY]);
        assert_eq!(scores, [0.5, 0.5, 0.0]);
    }

    #[test]
    fn predictions_are_counted_in_bytes_before_any_is_made() {
        let three_thousand: Vec<String> = (0..3000).map(|number| format!("label {number}")).collect();
        let refused = Labels::of(&three_thousand).check(3000).unwrap_err();
        assert_eq!(refused.path(), Some("inputs"));
        assert_eq!(
            refused.to_string(),
            "3000 texts with 3000 labels each make predictions of about 409 MB, and 8 are the most: send fewer texts in a call, or fewer labels"
        );
        assert!(Labels::of(&three_thousand).check(50).is_ok());
        // A long label counts as it is written.
        let long = Labels::of(&["\u{1}".repeat(1000)]);
        assert!(long.check(1000).is_ok() && long.check(4096).is_err());
        for text in ["", "a\"\\b", "\n\u{1}\u{7f}é"] {
            assert_eq!(json_bytes(text), serde_json::to_string(text).unwrap().len(), "{text:?}");
        }
        let one = Prediction { label: "".into(), score: f32::MIN_POSITIVE };
        let written = serde_json::to_string(&[one]).unwrap();
        assert!(written.len() <= SCORE_BYTES + 2, "{written}");
    }

    #[test]
    fn a_single_label_is_judged_by_itself() {
        let label = ["spam".to_owned()];
        for multi_label in [None, Some(true), Some(false)] {
            let request = ClassifyRequest { multi_label, ..ClassifyRequest::new(["a"]) };
            let scores = scores(vec![2.0], chosen(&request, &label, Scores::among(1)));
            assert_eq!(scores, [sigmoid(2.0)], "{multi_label:?}");
        }
    }
}
