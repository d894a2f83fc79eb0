//! The task `rerank`: a query and documents → the documents by how well they answer it.

use crate::assets::Assets;
use crate::embed::Embedder;
use crate::encoder::{Encoder, Shortage, check_size};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::models::family::Family;
use crate::models::probability::sigmoid;
use crate::prompts::Purpose;
use crate::texts::{Usage, many};
use crate::tokenizer::Input;
use serde::{Deserialize, Serialize};

/// What to rank: `{"query": "…", "documents": ["…"], "top_n": n, "return_documents": false}`; the first two must be there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RerankRequest {
    /// What is looked for.
    pub query: String,
    /// The documents, at most 4,096 of at most 256 KiB each. What is over the model's limit is cut, and reported.
    #[serde(deserialize_with = "many")]
    pub documents: Vec<String>,
    /// Answers only the best so many; all unless said.
    #[serde(default)]
    pub top_n: Option<usize>,
    /// Whether the reply repeats the documents. False unless said.
    #[serde(default)]
    pub return_documents: bool,
}

impl RerankRequest {
    /// A request for all of these documents.
    pub fn new<T: Into<String>>(query: impl Into<String>, documents: impl IntoIterator<Item = T>) -> Self {
        let documents = documents.into_iter().map(Into::into).collect();
        Self { query: query.into(), documents, top_n: None, return_documents: false }
    }
}

/// The documents, the best first; of equals the one that came first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RerankReply {
    /// At most `top_n` of them.
    pub results: Vec<Ranked>,
    /// The model's name.
    pub model: String,
    /// What it took; `truncated` counts documents.
    pub usage: Usage,
}

/// One document's place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ranked {
    /// Its index in the request.
    pub index: usize,
    /// The cosine of query and document, −1 to 1, from an embedding model; the probability of an answer, 0 to 1, from a
    /// cross-encoder.
    pub score: f32,
    /// The document, where the request asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
}

/// A model that ranks.
#[derive(Debug)]
pub struct Reranker(Kind);

#[derive(Debug)]
enum Kind {
    /// Query and documents are embedded each by itself.
    Embedding(Box<Embedder>),
    /// Each document is read together with the query.
    CrossEncoder(Box<Encoder>),
}

impl Reranker {
    /// Opens a model: a cross-encoder when the checkpoint has a head for whole texts with one output, else an embedding
    /// model.
    pub fn open(assets: Assets) -> Result<Self, Error> {
        let family = Family::read(&assets)?;
        if !family.is_sequence_classifier() {
            return Embedder::open(assets).map(|model| Self(Kind::Embedding(Box::new(model))));
        }
        if family.labels().len() != 1 {
            let outputs = family.labels().len();
            return Err(Error::model(
                "cannot rank",
                format!("a cross-encoder has one output, this one has {outputs}"),
            ));
        }
        let reranker = Self(Kind::CrossEncoder(Box::new(Encoder::open(&assets)?)));
        let warm_up = RerankRequest::new("warm", ["up"]);
        assets.timings().time("warm-up", || reranker.rerank(&warm_up, &Interrupt::never()))?;
        Ok(reranker)
    }

    /// What replies call the model.
    pub fn name(&self) -> &str {
        match &self.0 {
            Kind::Embedding(model) => model.name(),
            Kind::CrossEncoder(model) => model.name(),
        }
    }

    /// The most tokens a document, or with a cross-encoder query and document, may have.
    pub fn limit(&self) -> usize {
        match &self.0 {
            Kind::Embedding(model) => model.limit(),
            Kind::CrossEncoder(model) => model.tokenizer.limit(),
        }
    }

    /// Ranks the documents of a request. Errors are those of [`Embedder::embed`].
    ///
    /// An embedding model's prompts, where it has them, are put before the texts: `query` before the query, and `document`,
    /// `passage` or `corpus` before each document.
    pub fn rerank(&self, request: &RerankRequest, interrupt: &Interrupt<'_>) -> Result<RerankReply, Error> {
        check_size(&request.query, || "query".into())?;
        let (scores, usage, model) = match &self.0 {
            Kind::Embedding(model) => {
                let (scores, usage) = cosines(model, request, interrupt)?;
                (scores, usage, model.name())
            }
            Kind::CrossEncoder(model) => {
                let (scores, usage) = cross(model, request, interrupt)?;
                (scores, usage, model.name())
            }
        };
        let mut results: Vec<Ranked> = scores
            .into_iter()
            .enumerate()
            .map(|(index, score)| Ranked { index, score, document: None })
            .collect();
        // Stable: equals keep the request's order.
        results.sort_by(|a, b| b.score.total_cmp(&a.score));
        results.truncate(request.top_n.unwrap_or(usize::MAX));
        if request.return_documents {
            for ranked in &mut results {
                ranked.document = Some(request.documents[ranked.index].clone());
            }
        }
        Ok(RerankReply { results, model: model.to_owned(), usage })
    }
}

fn cosines(
    model: &Embedder,
    request: &RerankRequest,
    interrupt: &Interrupt<'_>,
) -> Result<(Vec<f32>, Usage), Error> {
    let (query, query_ids) = model.vectors("query", [&request.query], Purpose::Query, interrupt)?;
    let (documents, ids) = model.vectors("documents", &request.documents, Purpose::Document, interrupt)?;
    let mut usage = Usage::of(&ids, &[]);
    usage.tokens += query_ids[0].ids.len();
    let scores = documents.iter().map(|document| dot(&query[0], document)).collect();
    Ok((scores, usage))
}

fn cross(
    model: &Encoder,
    request: &RerankRequest,
    interrupt: &Interrupt<'_>,
) -> Result<(Vec<f32>, Usage), Error> {
    let query = model.tokenizer.first(&request.query)?;
    let pair = |(index, document): (usize, &String)| {
        interrupt.check()?;
        check_size(document, || format!("documents[{index}]"))?;
        model.tokenizer.pair(&query, document)
    };
    let pairs: Vec<Input> = request.documents.iter().enumerate().map(pair).collect::<Result<_, _>>()?;
    let mut scores = vec![0.0; pairs.len()];
    model.run(&pairs, Shortage::Refuse("documents"), interrupt, |index, hidden| {
        scores[index] = sigmoid(model.logits(hidden)?[0][0]);
        Ok(())
    })?;
    Ok((scores, Usage::of(&pairs, &[])))
}

/// The cosine of two vectors of length 1.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_a_list() {
        let parse =
            |json: &str| serde_json::from_str::<RerankRequest>(json).map_err(|error| error.to_string());
        let request = parse(r#"{"query": "q", "documents": ["a", "b"]}"#).unwrap();
        assert_eq!(request, RerankRequest::new("q", ["a", "b"]));
        let message = parse(r#"{"query": "q", "documents": "a"}"#).unwrap_err();
        assert!(message.starts_with("invalid type: string \"a\", expected a list of texts"), "{message}");
        let message = parse(r#"{"query": "q", "documents": [], "topn": 1}"#).unwrap_err();
        assert!(message.starts_with("unknown field `topn`"), "{message}");
    }
}
