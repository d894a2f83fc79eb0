//! Which family of encoders a checkpoint is of, and what its configuration says in the terms of the first of them, BERT.

use crate::assets::Assets;
use crate::error::Error;
use crate::models::llama;
use candle_nn::VarBuilder;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// The families that are served, as `model_type` has them.
const SUPPORTED: &str = "bert, distilbert, roberta, xlm-roberta, camembert";
/// The heads that are served: what an architecture's name ends in. Without one it is an encoder alone.
const SEQUENCES: &str = "ForSequenceClassification";
const TOKENS: &str = "ForTokenClassification";

/// All that is served of texts, for those who bring something else.
fn served() -> String {
    format!(
        "served are encoders of the types {SUPPORTED}, with a head …{SEQUENCES}, …{TOKENS} or none, and GGUF files of the architectures {}",
        llama::SUPPORTED
    )
}

/// A family, read from `config.json`.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    pub(crate) kind: Kind,
    pub(crate) config: Config,
    /// What the checkpoint was trained for, such as `BertForSequenceClassification`.
    architecture: String,
    /// The names of the classes, in the order of the head's outputs.
    labels: Vec<String>,
    scores: Scores,
}

/// What becomes of a head's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scores {
    /// Probabilities of classes that exclude each other.
    Shared,
    /// A probability of each class by itself.
    Each,
    /// The numbers as they are: the model was trained to give these.
    Plain,
}

impl Scores {
    /// Of so many classes: a single one has no other to share with.
    pub(crate) fn among(classes: usize) -> Self {
        if classes == 1 { Self::Each } else { Self::Shared }
    }
}

/// The sizes of an encoder, by the names that BERT's `config.json` gives them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Config {
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) hidden_act: HiddenAct,
    pub(crate) max_position_embeddings: usize,
    pub(crate) type_vocab_size: usize,
    pub(crate) layer_norm_eps: f64,
    pub(crate) pad_token_id: usize,
    /// Read so that another kind is refused.
    #[serde(default)]
    position_embedding_type: PositionEmbedding,
}

/// The activation between a layer's two wider products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HiddenAct {
    /// By the error function.
    Gelu,
    /// By the hyperbolic tangent.
    #[serde(alias = "gelu_new", alias = "gelu_pytorch_tanh")]
    GeluApproximate,
    Relu,
}

/// How a layer learns of positions: the one kind that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PositionEmbedding {
    #[default]
    Absolute,
}

/// They differ in names, in where positions begin, and in their heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bert,
    DistilBert,
    Roberta,
}

/// What all families' files state under the same names.
#[derive(Deserialize)]
struct Head {
    model_type: Option<String>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    id2label: BTreeMap<String, String>,
    #[serde(default)]
    num_labels: Option<u16>,
    #[serde(default)]
    problem_type: Option<String>,
}

/// `config.json` of DistilBERT (Sanh et al., 2019), which has names of its own.
#[derive(Deserialize)]
struct DistilBert {
    vocab_size: usize,
    dim: usize,
    n_layers: usize,
    n_heads: usize,
    hidden_dim: usize,
    activation: HiddenAct,
    max_position_embeddings: usize,
    #[serde(default)]
    pad_token_id: usize,
}

impl Family {
    pub(crate) fn read(assets: &Assets) -> Result<Self, Error> {
        let text = fs::read(assets.path("config.json"))
            .map_err(|error| Error::model("has no readable config.json", error))?;
        Self::parse(&text)
    }

    fn parse(text: &[u8]) -> Result<Self, Error> {
        let wrong = |error| Error::model("has a config.json that does not parse", error);
        let value: Value = serde_json::from_slice(text).map_err(wrong)?;
        let head: Head = serde_json::from_value(value.clone()).map_err(wrong)?;
        let kind = match head.model_type.as_deref() {
            Some("bert") => Kind::Bert,
            Some("distilbert") => Kind::DistilBert,
            Some("roberta" | "xlm-roberta" | "camembert") => Kind::Roberta,
            other => {
                let other = other.unwrap_or("(no model_type)");
                return Err(Error::model(
                    &format!("is of an architecture that is not served, {other}: {}", served()),
                    "config.json",
                ));
            }
        };
        let config: Config = if kind == Kind::DistilBert {
            serde_json::from_value::<DistilBert>(value).map_err(wrong)?.into()
        } else {
            serde_json::from_value(value).map_err(wrong)?
        };
        let mut labels: Vec<(usize, String)> = Vec::new();
        for (id, label) in head.id2label {
            let id = id
                .parse()
                .map_err(|_| Error::model("has a config.json with an id2label that has no numbers", id))?;
            labels.push((id, label));
        }
        labels.sort_unstable();
        let mut family = Self {
            kind,
            config,
            architecture: head.architectures.into_iter().next().unwrap_or_default(),
            labels: labels.into_iter().map(|(_, label)| label).collect(),
            scores: Scores::Shared,
        };
        if family.labels.is_empty() && (family.is_sequence_classifier() || family.is_token_classifier()) {
            // transformers leaves out what it would call them, and how many they are when they are two.
            let count = head.num_labels.unwrap_or(2);
            family.labels = (0..count).map(|id| format!("LABEL_{id}")).collect();
        }
        // As `TextClassificationPipeline` of transformers has it.
        family.scores = match head.problem_type.as_deref() {
            Some("regression") => Scores::Plain,
            Some("multi_label_classification") => Scores::Each,
            _ => Scores::among(family.labels.len()),
        };
        family.check()?;
        Ok(family)
    }

    /// Refuses positions that begin after the last one there is.
    fn check(&self) -> Result<(), Error> {
        let (padding, positions) = (self.config.pad_token_id, self.config.max_position_embeddings);
        if self.kind != Kind::Roberta || padding.checked_add(1).is_some_and(|first| first < positions) {
            return Ok(());
        }
        let why = format!(
            "pad_token_id is {padding}, and positions begin after it, of which there are {positions}"
        );
        Err(Error::model("has a config.json that cannot be", why))
    }

    /// The most tokens there are positions for.
    pub(crate) fn positions(&self) -> usize {
        self.config.max_position_embeddings.saturating_sub(self.first_position())
    }

    /// Where positions begin: those of RoBERTa come after the padding's own (Liu et al., 2019; as in its first code).
    pub(crate) fn first_position(&self) -> usize {
        if self.kind == Kind::Roberta { self.config.pad_token_id + 1 } else { 0 }
    }

    /// The encoder's weights of a checkpoint, with or without a head, by the names that BERT gives them.
    pub(crate) fn encoder<'w>(&self, checkpoint: &VarBuilder<'w>) -> VarBuilder<'w> {
        let weights = match self.kind {
            Kind::DistilBert => checkpoint.clone().rename_f(distilbert_name),
            Kind::Bert | Kind::Roberta => checkpoint.clone(),
        };
        // A checkpoint with a head keeps the encoder under the name of its family.
        let prefixed = format!("{}.embeddings.word_embeddings.weight", self.prefix());
        if weights.contains_tensor(&prefixed) { weights.pp(self.prefix()) } else { weights }
    }

    /// Whether nothing that is served needs a tensor of the family's checkpoints: numbers that are counted anyway, the layer after
    /// the encoder where no head begins with it, and the heads of the training before this one.
    pub(crate) fn does_without(&self, name: &str) -> bool {
        let own = name.strip_prefix(self.prefix()).and_then(|name| name.strip_prefix('.')).unwrap_or(name);
        let parts: &[&str] = match self.kind {
            Kind::Bert => &["pooler.dense.", "cls."],
            Kind::DistilBert => &["vocab_transform.", "vocab_layer_norm.", "vocab_projector."],
            Kind::Roberta => &["pooler.dense.", "lm_head."],
        };
        ["embeddings.position_ids", "embeddings.token_type_ids"].contains(&own)
            || parts.iter().any(|part| own.starts_with(part))
    }

    /// What weights are called before the name that BERT gives them, in a checkpoint with a head.
    fn prefix(&self) -> &'static str {
        match self.kind {
            Kind::Bert => "bert",
            Kind::DistilBert => "distilbert",
            Kind::Roberta => "roberta",
        }
    }

    pub(crate) fn is_sequence_classifier(&self) -> bool {
        self.architecture.ends_with(SEQUENCES)
    }

    pub(crate) fn is_token_classifier(&self) -> bool {
        self.architecture.ends_with(TOKENS)
    }

    pub(crate) fn labels(&self) -> &[String] {
        &self.labels
    }

    /// What becomes of the head's numbers unless a request says otherwise.
    pub(crate) fn scores(&self) -> Scores {
        self.scores
    }
}

impl From<DistilBert> for Config {
    fn from(config: DistilBert) -> Self {
        Self {
            vocab_size: config.vocab_size,
            hidden_size: config.dim,
            num_hidden_layers: config.n_layers,
            num_attention_heads: config.n_heads,
            intermediate_size: config.hidden_dim,
            hidden_act: config.activation,
            max_position_embeddings: config.max_position_embeddings,
            // It has none.
            type_vocab_size: 0,
            layer_norm_eps: 1e-12,
            pad_token_id: config.pad_token_id,
            position_embedding_type: PositionEmbedding::Absolute,
        }
    }
}

/// The name of one of BERT's weights in a DistilBERT checkpoint: the layers are the same, their parts are called
/// otherwise.
fn distilbert_name(name: &str) -> String {
    let names = [
        ("encoder.layer.", "transformer.layer."),
        ("attention.self.query", "attention.q_lin"),
        ("attention.self.key", "attention.k_lin"),
        ("attention.self.value", "attention.v_lin"),
        ("attention.output.dense", "attention.out_lin"),
        ("attention.output.LayerNorm", "sa_layer_norm"),
        ("intermediate.dense", "ffn.lin1"),
        ("output.dense", "ffn.lin2"),
        ("output.LayerNorm", "output_layer_norm"),
    ];
    names.iter().fold(name.to_owned(), |name, (ours, theirs)| name.replace(ours, theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_that_is_not_served_is_named() {
        let message = |text: &str| Family::parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            message(r#"{"model_type": "mpnet"}"#),
            "the model is of an architecture that is not served, mpnet: served are encoders of the types bert, distilbert, \
             roberta, xlm-roberta, camembert, with a head …ForSequenceClassification, …ForTokenClassification or none, and \
             GGUF files of the architectures llama, qwen2, qwen3"
        );
        assert!(message("{}").contains("not served, (no model_type)"));
        assert_eq!(message("{"), "the model has a config.json that does not parse");
    }

    fn roberta(more: &str) -> Result<Family, Error> {
        let text = format!(
            r#"{{"model_type": "roberta", "architectures": ["RobertaForSequenceClassification"], "vocab_size": 10,
            "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
            "hidden_act": "gelu", "max_position_embeddings": 12, "type_vocab_size": 1, "layer_norm_eps": 1e-5{more}}}"#
        );
        Family::parse(text.as_bytes())
    }

    #[test]
    fn labels_that_are_left_out_are_numbered() {
        let labels = |more: &str| roberta(more).unwrap().labels().to_vec();
        assert_eq!(labels(r#", "pad_token_id": 1"#), ["LABEL_0", "LABEL_1"]);
        assert_eq!(labels(r#", "pad_token_id": 1, "num_labels": 3"#), ["LABEL_0", "LABEL_1", "LABEL_2"]);
        assert_eq!(labels(r#", "pad_token_id": 1, "id2label": {"0": "yes"}, "num_labels": 3"#), ["yes"]);
        let encoder = br#"{"model_type": "distilbert", "architectures": ["DistilBertModel"], "vocab_size": 10, "dim": 8,
            "n_layers": 2, "n_heads": 2, "hidden_dim": 16, "activation": "gelu", "max_position_embeddings": 12}"#;
        assert!(Family::parse(encoder).unwrap().labels().is_empty(), "it has no head");
    }

    #[test]
    fn numbers_become_what_transformers_makes_of_them() {
        let scores = |more: &str| roberta(&format!(r#", "pad_token_id": 1{more}"#)).unwrap().scores();
        let (one, two) = (r#", "num_labels": 1"#, r#", "num_labels": 2"#);
        let problem = |labels: &str, kind: &str| scores(&format!(r#"{labels}, "problem_type": "{kind}""#));
        assert_eq!((scores(one), scores(two)), (Scores::Each, Scores::Shared));
        assert_eq!(problem(two, "multi_label_classification"), Scores::Each);
        assert_eq!(problem(two, "single_label_classification"), Scores::Shared);
        assert_eq!(problem(one, "single_label_classification"), Scores::Each);
        assert_eq!(problem(one, "regression"), Scores::Plain);
        assert_eq!(problem(two, "regression"), Scores::Plain);
    }

    #[test]
    fn positions_that_begin_after_the_last_are_refused() {
        assert_eq!(roberta(r#", "pad_token_id": 10"#).unwrap().positions(), 1);
        for padding in [11, 12, 50, usize::MAX] {
            let error = roberta(&format!(r#", "pad_token_id": {padding}"#)).unwrap_err();
            assert_eq!(error.to_string(), "the model has a config.json that cannot be");
            assert_eq!(
                std::error::Error::source(&error).unwrap().to_string(),
                format!("pad_token_id is {padding}, and positions begin after it, of which there are 12")
            );
        }
    }

    #[test]
    fn a_family_does_without_what_counts_and_what_trained_it() {
        let roberta = roberta(r#", "pad_token_id": 1"#).unwrap();
        let bert = Family { kind: Kind::Bert, ..roberta.clone() };
        let distilbert = Family { kind: Kind::DistilBert, ..roberta.clone() };
        for name in [
            "embeddings.position_ids",
            "bert.embeddings.position_ids",
            "bert.pooler.dense.bias",
            "cls.predictions.bias",
        ] {
            assert!(bert.does_without(name), "{name}");
        }
        for name in
            ["roberta.pooler.dense.weight", "lm_head.decoder.weight", "roberta.embeddings.token_type_ids"]
        {
            assert!(roberta.does_without(name), "{name}");
        }
        assert!(
            distilbert.does_without("vocab_projector.bias")
                && !distilbert.does_without("cls.predictions.bias")
        );
        for name in
            ["encoder.layer.9.output.dense.weight", "classifier.weight", "bert.encoder.extra", "position_ids"]
        {
            assert!(!bert.does_without(name), "{name}");
        }
    }

    #[test]
    fn distilbert_is_bert_by_other_names() {
        let text = br#"{"model_type": "distilbert", "architectures": ["DistilBertForSequenceClassification"],
            "vocab_size": 10, "dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 16, "activation": "gelu",
            "max_position_embeddings": 12, "id2label": {"10": "k", "0": "a", "2": "c"}}"#;
        let family = Family::parse(text).unwrap();
        assert_eq!(
            (family.config.hidden_size, family.config.intermediate_size, family.positions()),
            (8, 16, 12)
        );
        assert_eq!(family.labels(), ["a", "c", "k"]);
        assert!(family.is_sequence_classifier() && !family.is_token_classifier());
        assert_eq!(family.scores(), Scores::Shared);
        let name = "encoder.layer.1.attention.output.LayerNorm.weight";
        assert_eq!(distilbert_name(name), "transformer.layer.1.sa_layer_norm.weight");
        assert_eq!(distilbert_name("encoder.layer.0.output.dense.bias"), "transformer.layer.0.ffn.lin2.bias");
    }
}
