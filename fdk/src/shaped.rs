//! The tasks of texts behind HTTP: a request's path says whose client sends it, and so how it is read and answered.

use crate::stream::{Said, streamed};
use crate::{Context, Error, Json, Result};
use bytes::Bytes;
use fdk_inference::shapes::{Asked, Described, Operation, Shape};
use fdk_inference::{Classifier, Embedder, GenerateRequest, Generator, Interrupt, Reranker};
use fdk_runtime::{FromBody, IntoReply, Reply};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Answers a call with documents, the best first: as the task has it, or, at a path that ends in `/rerank` or
/// `/actions/rerankText`, as the clients of text-embeddings-inference and OCI Generative AI read it, errors included. A request
/// with `documents` is the task's own at `/rerank` as well.
///
/// ```no_run
/// use fdk::{Bytes, Context, Reply, Reranker, Result};
///
/// async fn rerank(cx: Context<Reranker>, body: Bytes) -> Result<Reply> {
///     fdk::rerank(&cx, cx.state(), body).await
/// }
/// ```
pub async fn rerank<S: 'static>(cx: &Context<S>, model: &Reranker, body: Bytes) -> Result<Reply> {
    answered(cx, &Texts::Rerank(model), model.name(), body).await
}

/// Answers a call with the labels of texts: as the task has it, or, at a path that ends in `/predict`, as the clients of
/// text-embeddings-inference read it, errors included. They name no labels: the model has to have its own.
///
/// ```no_run
/// use fdk::{Bytes, Classifier, Context, Reply, Result};
///
/// async fn classify(cx: Context<Classifier>, body: Bytes) -> Result<Reply> {
///     fdk::classify(&cx, cx.state(), body).await
/// }
/// ```
pub async fn classify<S: 'static>(cx: &Context<S>, model: &Classifier, body: Bytes) -> Result<Reply> {
    answered(cx, &Texts::Classify(model), model.name(), body).await
}

/// A model of texts whose task clients have a shape for.
pub(crate) enum Texts<'a, S> {
    Embed(&'a Embedder),
    Rerank(&'a Reranker),
    Classify(&'a Classifier),
    /// And where it is in the state: a reply that is streamed outlives the call of the handler.
    Generate(&'a Generator, fn(&S) -> Option<&Generator>),
}

impl<S> Texts<'_, S> {
    /// What the shapes say of the model; `entry` is its entry in `models.toml`, or its folder.
    fn described<'d>(&'d self, entry: &'d str) -> Described<'d> {
        let (name, limit, kind) = match self {
            Self::Embed(model) => (model.name(), model.limit(), "embedding"),
            Self::Rerank(model) => (model.name(), model.limit(), "reranker"),
            Self::Classify(model) => (model.name(), model.limit(), "classifier"),
            Self::Generate(model, _) => (model.name(), model.context(), "generator"),
        };
        Described { name, entry, limit, kind }
    }
}

/// Answers a call with the model's task, in the shape that the request asks for.
pub(crate) async fn answered<S: 'static>(
    cx: &Context<S>,
    model: &Texts<'_, S>,
    entry: &str,
    body: Bytes,
) -> Result<Reply> {
    let Some(shape) = cx.http().and_then(|http| Shape::of(http.path(), &body)) else {
        return native(cx, model, body).await;
    };
    match shaped(cx, shape, model, model.described(entry), &body).await {
        Ok(reply) => Ok(reply),
        // In the client's own shape where it is the client's fault; every other failure is the platform's to tell.
        Err(error) => match error.caller_status() {
            Some(status) => {
                let (status, told) = shape.failed(status, error.message(), error.path());
                Json(told).into_reply()?.status(status)
            }
            None => Err(error),
        },
    }
}

async fn native<S: 'static>(cx: &Context<S>, model: &Texts<'_, S>, body: Bytes) -> Result<Reply> {
    match model {
        Texts::Embed(model) => infer(cx, body, |request, interrupt| model.embed(&request, interrupt)).await,
        Texts::Rerank(model) => infer(cx, body, |request, interrupt| model.rerank(&request, interrupt)).await,
        Texts::Classify(model) => {
            infer(cx, body, |request, interrupt| model.classify(&request, interrupt)).await
        }
        Texts::Generate(model, generator) => {
            let Json(request) = Json::from_body(cx, body)?;
            generated(cx, model, *generator, request, Said::native()).await
        }
    }
}

/// Answers a task's own request.
pub(crate) async fn infer<S, I: DeserializeOwned, O: Serialize>(
    cx: &Context<S>,
    body: Bytes,
    work: impl FnOnce(I, &Interrupt<'_>) -> std::result::Result<O, fdk_inference::Error>,
) -> Result<Reply> {
    let Json(request) = Json::from_body(cx, body)?;
    cx.infer(|_, interrupt| work(request, interrupt)).await?.into_reply()
}

async fn shaped<S: 'static>(
    cx: &Context<S>,
    shape: Shape,
    model: &Texts<'_, S>,
    described: Described<'_>,
    body: &[u8],
) -> Result<Reply> {
    if shape.operation() == Operation::Describe {
        return Json(shape.described(described)).into_reply();
    }
    let asked = cx.infer(|_, _| shape.read(body, described)).await?.0;
    let reply = match (asked, model) {
        (Asked::Embed(request, form), Texts::Embed(model)) => {
            let Json(reply) = cx.infer(|_, interrupt| model.embed(&request, interrupt)).await?;
            shape.embedded(reply, form)
        }
        (Asked::Rerank(request, _), Texts::Rerank(model)) => {
            let Json(reply) = cx.infer(|_, interrupt| model.rerank(&request, interrupt)).await?;
            shape.ranked(reply)
        }
        (Asked::Classify(request, form), Texts::Classify(model)) => {
            let Json(reply) = cx.infer(|_, interrupt| model.classify(&request, interrupt)).await?;
            shape.classified(reply, form)
        }
        (Asked::Generate(request, form), Texts::Generate(model, generator)) => {
            return generated(cx, model, *generator, request, Said::shaped(shape, form)).await;
        }
        _ => {
            let message = format!("the model served here is a model for another task: {}", described.kind);
            return Err(Error::input(message).status(404));
        }
    };
    Json(reply).into_reply()
}

/// What a generating model says to a request: whole, or as it is said where the request asks for that.
async fn generated<S: 'static>(
    cx: &Context<S>,
    model: &Generator,
    generator: fn(&S) -> Option<&Generator>,
    request: GenerateRequest,
    said: Said,
) -> Result<Reply> {
    if request.stream {
        return streamed(cx, generator, request, said).await;
    }
    let Json(reply) = cx.infer(|_, interrupt| model.generate(&request, interrupt)).await?;
    Json(said.whole(reply)?).into_reply()
}
