//! The shapes of requests that people's clients already send: translated into a task's own request, and its reply back.
//! Nothing here knows HTTP: a path, a JSON body and a status are all there is of it.

mod oci;
mod oci_chat;
mod openai;
mod openai_chat;
mod openai_said;
mod tei;

use crate::error::Error;
use crate::{
    ClassifyReply, ClassifyRequest, EmbedReply, EmbedRequest, GenerateReply, GenerateRequest, RerankReply,
    RerankRequest,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An operation of a client's API, by the end of its path: what a trigger or a gateway puts before it is no matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    family: Family,
    operation: Operation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// OpenAI's API.
    OpenAi,
    /// Hugging Face's text-embeddings-inference.
    Tei,
    /// OCI Generative AI inference.
    Oci,
}

/// What an operation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Vectors of texts.
    Embed,
    /// Documents in order.
    Rerank,
    /// Labels of texts.
    Classify,
    /// What a model says next in a conversation.
    Chat,
    /// How a text goes on.
    Complete,
    /// What the model is.
    Describe,
}

/// A request as a task takes it, and what its reply needs to be as the client has asked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Asked {
    /// For the task `embed`.
    Embed(EmbedRequest, Form),
    /// For the task `rerank`.
    Rerank(RerankRequest, Form),
    /// For the task `classify`.
    Classify(ClassifyRequest, Form),
    /// For the task `generate`.
    Generate(GenerateRequest, Form),
}

/// How the client wants its reply; read anew for each.
#[expect(clippy::struct_excessive_bools, reason = "each is a client's own wish")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Form {
    /// Vectors as base64 of little-endian f32 (OpenAI).
    base64: bool,
    /// One text was sent, without brackets (TEI).
    single: bool,
    /// A stream ends by what the reply took (OpenAI).
    usage: bool,
    /// In the format of Cohere's models (OCI).
    cohere: bool,
    /// What all events of the reply have in common (OpenAI).
    stamp: openai_said::Stamp,
}

/// What the shapes say of the model.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// What replies call it.
    pub name: &'a str,
    /// Its entry in `models.toml`, or its folder.
    pub entry: &'a str,
    /// The most tokens a text may have.
    pub limit: usize,
    /// What the operation [`Operation::Describe`] tells of its task: `embedding`, `reranker`, `classifier` or `generator`.
    pub kind: &'static str,
}

const SHAPES: [(&str, Family, Operation); 11] = [
    ("/v1/chat/completions", Family::OpenAi, Operation::Chat),
    ("/v1/completions", Family::OpenAi, Operation::Complete),
    ("/actions/chat", Family::Oci, Operation::Chat),
    ("/v1/embeddings", Family::OpenAi, Operation::Embed),
    ("/v1/models", Family::OpenAi, Operation::Describe),
    ("/actions/embedText", Family::Oci, Operation::Embed),
    ("/actions/rerankText", Family::Oci, Operation::Rerank),
    ("/embed", Family::Tei, Operation::Embed),
    ("/rerank", Family::Tei, Operation::Rerank),
    ("/predict", Family::Tei, Operation::Classify),
    ("/info", Family::Tei, Operation::Describe),
];

impl Shape {
    /// The shape that a request asks for by its path; `None` for any other path, where the task's own shape is. At `/rerank`
    /// functions have the task's own as well: a request with `documents` is not TEI's.
    pub fn of(path: &str, body: &[u8]) -> Option<Self> {
        let shape = Self::at(path)?;
        let shared = (shape.family, shape.operation) == (Family::Tei, Operation::Rerank);
        (!shared || !tei::is_native_rerank(body)).then_some(shape)
    }

    fn at(path: &str) -> Option<Self> {
        let path = path.trim_end_matches('/');
        let found = SHAPES.iter().find(|(end, ..)| path.ends_with(end));
        found.map(|(_, family, operation)| Self { family: *family, operation: *operation })
    }

    /// What it asks for.
    pub fn operation(self) -> Operation {
        self.operation
    }

    /// Reads the body. An error is the request's fault.
    pub fn read(self, body: &[u8], model: Described<'_>) -> Result<Asked, Error> {
        match (self.family, self.operation) {
            (Family::OpenAi, Operation::Embed) => openai::embeddings(parse(body)?, model),
            (Family::Oci, Operation::Embed) => oci::embed_text(parse(body)?),
            (Family::Oci, Operation::Rerank) => parse(body).map(oci::rerank_text),
            (Family::OpenAi, Operation::Chat) => openai_chat::chat(body, model),
            (_, Operation::Chat) => oci_chat::chat(parse(body)?),
            (_, Operation::Complete) => openai_chat::completion(body, model),
            (_, Operation::Embed) => tei::embed(parse(body)?),
            (_, Operation::Rerank) => tei::rerank(parse(body)?),
            (_, Operation::Classify) => tei::predict(parse(body)?),
            (_, Operation::Describe) => Err(Error::input("", "it takes no body")),
        }
    }

    /// The reply to an embedding.
    pub fn embedded(self, reply: EmbedReply, form: Form) -> Value {
        match self.family {
            Family::OpenAi => openai::embedded(reply, form.base64),
            Family::Tei => tei::embedded(&reply),
            Family::Oci => oci::embedded(&reply),
        }
    }

    /// The reply to a ranking.
    pub fn ranked(self, reply: RerankReply) -> Value {
        match self.family {
            Family::Oci => oci::ranked(reply),
            Family::OpenAi | Family::Tei => tei::ranked(reply),
        }
    }

    /// The reply to a classification.
    pub fn classified(self, reply: ClassifyReply, form: Form) -> Value {
        tei::classified(reply, form.single)
    }

    /// A reply that was generated.
    pub fn generated(self, reply: &GenerateReply, form: Form) -> Value {
        match (self.family, self.operation) {
            (Family::Oci, _) => oci_chat::generated(reply, form.cohere),
            (_, Operation::Complete) => openai_said::completed(reply, form.stamp),
            _ => openai_said::generated(reply, form.stamp),
        }
    }

    /// The events of a piece of a reply that is streamed; `reply` is what there is of it so far.
    pub fn piece(self, text: &str, first: bool, reply: &GenerateReply, form: Form) -> Vec<Value> {
        match (self.family, self.operation) {
            (Family::Oci, _) => vec![oci_chat::piece(text, form.cohere)],
            (_, Operation::Complete) => vec![openai_said::completion_piece(text, None, reply, form.stamp)],
            _ => openai_said::pieces(text, first, reply, form.stamp),
        }
    }

    /// The events that end a streamed reply, and the line that ends the stream where there is one.
    pub fn end(self, reply: &GenerateReply, form: Form) -> (Vec<Value>, Option<&'static str>) {
        match (self.family, self.operation) {
            (Family::Oci, _) => (vec![oci_chat::end(reply, form.cohere)], None),
            (_, operation) => {
                let chat = operation != Operation::Complete;
                (openai_said::end(reply, chat, form.usage, form.stamp), Some("[DONE]"))
            }
        }
    }

    /// What the model is.
    pub fn described(self, model: Described<'_>) -> Value {
        match self.family {
            Family::OpenAi => openai::models(model),
            Family::Tei | Family::Oci => tei::info(model),
        }
    }

    /// An error as the client's library reads it: the status, and the body.
    pub fn failed(self, status: u16, message: &str, path: Option<&str>) -> (u16, Value) {
        // By the client's name for it.
        let path = path.filter(|path| !path.is_empty()).map(|path| match (self.family, self.operation) {
            (Family::Tei, Operation::Rerank) => path.replacen("documents", "texts", 1),
            (Family::Oci, Operation::Rerank) => path.replacen("query", "input", 1),
            _ => path.to_owned(),
        });
        let path = path.as_deref();
        match self.family {
            Family::OpenAi => openai::failed(status, message, path),
            Family::Tei => tei::failed(status, message, path),
            Family::Oci => oci::failed(status, message, path),
        }
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::input("", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    pub(super) const MODEL: Described<'static> =
        Described { name: "all-MiniLM-L6-v2", entry: "minilm", limit: 256, kind: "embedding" };

    pub(super) fn reply() -> EmbedReply {
        serde_json::from_value(
            json!({"embeddings": [[1.0, -0.5]], "model": "m", "usage": {"tokens": 4, "truncated": []}}),
        )
        .unwrap()
    }

    #[test]
    fn a_path_is_known_by_its_end() {
        let operation = |path| Shape::at(path).map(|shape| (shape.family, shape.operation));
        assert_eq!(operation("/t/app/v1/embeddings"), Some((Family::OpenAi, Operation::Embed)));
        assert_eq!(operation("/20231130/actions/rerankText"), Some((Family::Oci, Operation::Rerank)));
        assert_eq!(operation("/embed/"), Some((Family::Tei, Operation::Embed)));
        assert_eq!(operation("/t/app/serve"), None);
        assert_eq!(operation("/"), None);
    }

    #[test]
    fn the_tasks_own_ranking_is_told_by_its_documents() {
        let family =
            |path, body: &Value| Shape::of(path, body.to_string().as_bytes()).map(|shape| shape.family);
        let (own, teis) = (json!({"query": "q", "documents": ["a"]}), json!({"query": "q", "texts": ["a"]}));
        assert_eq!(family("/t/app/rerank", &own), None);
        assert_eq!(family("/t/app/rerank", &teis), Some(Family::Tei));
        assert_eq!(family("/rerank", &json!(null)), Some(Family::Tei), "whose error it is");
        assert_eq!(family("/20231130/actions/rerankText", &own), Some(Family::Oci));
    }

    #[test]
    fn an_error_names_the_clients_own_field() {
        let told = |path, place| Shape::at(path).unwrap().failed(422, "no", Some(place)).1.to_string();
        assert!(told("/rerank", "documents[2]").contains("texts[2]: no"));
        assert!(told("/actions/rerankText", "query").contains("input: no"));
        assert!(told("/actions/rerankText", "documents").contains("documents: no"));
        assert!(told("/embed", "inputs[1]").contains("inputs[1]: no"));
    }

    #[test]
    fn no_body_makes_a_shape_panic() {
        for (path, ..) in SHAPES {
            let shape = Shape::at(path).unwrap();
            for body in ["", "{", "null", "[]", "{}", "{\"inputs\": {}}", "{\"input\": [[1]]}", "\u{feff}"] {
                let _ = shape.read(body.as_bytes(), MODEL);
            }
        }
    }
}
