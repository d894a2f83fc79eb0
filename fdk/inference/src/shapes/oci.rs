//! OCI Generative AI inference, version 20231130: `actions/embedText` and `actions/rerankText`.

use super::{Asked, Form};
use crate::embed::{EmbedReply, EmbedRequest};
use crate::error::Error;
use crate::prompts::Purpose;
use crate::rerank::{RerankReply, RerankRequest};
use crate::texts::many;
use serde::Deserialize;
use serde_json::{Value, json};

/// What the service says of a model it does not version.
pub(super) const VERSION: &str = "1";

/// `EmbedTextDetails`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EmbedText {
    #[serde(deserialize_with = "many")]
    inputs: Vec<String>,
    #[serde(default)]
    truncate: Option<Truncate>,
    #[serde(default)]
    output_dimensions: Option<usize>,
    /// Further types, such as `CLASSIFICATION`, are no matter to the models that are served here.
    #[serde(default)]
    input_type: Option<String>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum Truncate {
    None,
    Start,
    End,
}

/// The serving mode and the compartment are the service's to know; here one model is served.
pub(super) fn embed_text(asked: EmbedText) -> Result<Asked, Error> {
    let mut request = EmbedRequest::new(asked.inputs);
    request.dimensions = asked.output_dimensions;
    request.purpose = match asked.input_type.as_deref() {
        Some("SEARCH_QUERY") => Purpose::Query,
        Some("SEARCH_DOCUMENT") => Purpose::Document,
        _ => Purpose::Any,
    };
    request.truncate = match asked.truncate {
        None | Some(Truncate::None) => false,
        Some(Truncate::End) => true,
        Some(Truncate::Start) => {
            return Err(Error::input("truncate", "a text is cut at its end: START is not served"));
        }
    };
    Ok(Asked::Embed(request, Form::default()))
}

/// `RerankTextDetails`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RerankText {
    input: String,
    #[serde(deserialize_with = "many")]
    documents: Vec<String>,
    #[serde(default)]
    top_n: Option<usize>,
    #[serde(default)]
    is_echo: Option<bool>,
}

pub(super) fn rerank_text(asked: RerankText) -> Asked {
    let mut request = RerankRequest::new(asked.input, asked.documents);
    request.top_n = asked.top_n;
    request.return_documents = asked.is_echo.unwrap_or(false);
    Asked::Rerank(request, Form::default())
}

pub(super) fn embedded(reply: &EmbedReply) -> Value {
    json!({"id": "", "embeddings": reply.embeddings, "modelId": reply.model, "modelVersion": VERSION})
}

pub(super) fn ranked(reply: RerankReply) -> Value {
    let one = |ranked: crate::Ranked| {
        let document = ranked.document.map(|text| json!({ "text": text }));
        json!({"index": ranked.index, "relevanceScore": ranked.score, "document": document})
    };
    let ranks: Vec<Value> = reply.results.into_iter().map(one).collect();
    json!({"id": "", "documentRanks": ranks, "modelId": reply.model, "modelVersion": VERSION})
}

pub(super) fn failed(status: u16, message: &str, path: Option<&str>) -> (u16, Value) {
    let status = if status == 422 { 400 } else { status };
    let code = match status {
        400 => "InvalidParameter",
        404 => "NotAuthorizedOrNotFound",
        413 => "PayloadTooLarge",
        504 => "GatewayTimeout",
        _ => "InternalServerError",
    };
    let place = path.map_or(String::new(), |path| format!("{path}: "));
    (status, json!({"code": code, "message": format!("{place}{message}")}))
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::super::tests::{MODEL, reply};
    use super::*;

    #[test]
    fn what_the_sdk_sends_is_understood() {
        let mode = json!({"servingType": "ON_DEMAND", "modelId": "cohere.embed"});
        let body = json!({"inputs": ["a"], "servingMode": mode, "compartmentId": "c", "truncate": "END", "isEcho": false});
        let read =
            |path: &str, body: &Value| Shape::at(path).unwrap().read(body.to_string().as_bytes(), MODEL);
        let Asked::Embed(request, _) = read("/20231130/actions/embedText", &body).unwrap() else {
            panic!("embed")
        };
        assert!(request.truncate);
        for (kind, purpose) in [
            ("SEARCH_QUERY", Purpose::Query),
            ("SEARCH_DOCUMENT", Purpose::Document),
            ("CLUSTERING", Purpose::Any),
        ] {
            let body = json!({"inputs": ["a"], "inputType": kind});
            let Asked::Embed(request, _) = read("/actions/embedText", &body).unwrap() else {
                panic!("embed")
            };
            assert_eq!(request.purpose, purpose, "{kind}");
        }
        let body =
            json!({"input": "q", "documents": ["a", "b"], "servingMode": mode, "topN": 1, "isEcho": true});
        let Asked::Rerank(request, _) = read("/actions/rerankText", &body).unwrap() else { panic!("rerank") };
        assert_eq!((request.top_n, request.return_documents), (Some(1), true));
        let start = json!({"inputs": ["a"], "truncate": "START"});
        assert_eq!(read("/actions/embedText", &start).unwrap_err().path(), Some("truncate"));
    }

    #[test]
    fn replies_are_what_the_sdk_reads() {
        assert_eq!(embedded(&reply())["embeddings"], json!([[1.0, -0.5]]));
        let (status, body) = failed(422, "bad", Some("inputs"));
        assert_eq!((status, body), (400, json!({"code": "InvalidParameter", "message": "inputs: bad"})));
    }
}
