//! A function without code: the configuration names a model, the model's files say what it is for, and a request's path
//! says whose client sends it.

use crate::stream::{Said, streamed};
use crate::{Context, Error, Function, Init, Json, Result};
use bytes::Bytes;
use fdk_inference::shapes::{Asked, Described, Operation, Shape};
use fdk_inference::{Assets, Classifier, Embedder, Generator, Interrupt, Reranker, Tagger, Task};
#[cfg(feature = "vision")]
use fdk_inference::{ClassifyImageRequest, ImageClassifier};
#[cfg(feature = "speech")]
use fdk_inference::{DetectSpeechRequest, SpeechDetector, Transcriber};
use fdk_runtime::{FromBody, IntoReply, Reply};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::process::ExitCode;

/// Serves the model that `FDK_MODEL` names, or the only one, as `FDK_TASK` or else the model's own files say.
///
/// On a direct invoke, and at most paths behind a trigger or gateway, the request and the reply are those of the task. At a
/// path that ends as one of these does, they are what its clients speak, errors included:
///
/// | path ends in | whose | task |
/// |---|---|---|
/// | `/v1/embeddings`, `/v1/models` | `OpenAI` | embed |
/// | `/v1/chat/completions`, `/v1/completions`, `/v1/models` | `OpenAI` | generate |
/// | `/embed`, `/rerank`, `/predict`, `/info` | text-embeddings-inference | embed, rerank, classify |
/// | `/actions/embedText`, `/actions/rerankText`, `/actions/chat` | OCI Generative AI inference | embed, rerank, generate |
///
/// With the features `vision` and `speech` it serves models of pictures and recordings as well, whose requests are the file
/// itself or JSON with base64 in it; and at a path that ends in `/v1/audio/transcriptions`, `OpenAI`'s multipart requests.
///
/// The Fn server matches a trigger's source exactly, so each of them needs a trigger in `func.yaml`.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     fdk::serve_assets()
/// }
/// ```
pub fn serve_assets() -> ExitCode {
    served().run(answer)
}

/// The function that [`serve_assets`] runs, for a test or for layers.
pub fn served() -> Function<Served> {
    crate::function().state(Served::open)
}

/// A model, open for its task.
#[derive(Debug)]
pub struct Served {
    entry: String,
    model: Model,
}

#[derive(Debug)]
enum Model {
    Embed(Embedder),
    Rerank(Reranker),
    Classify(Classifier),
    Tokens(Tagger),
    Generate(Box<Generator>),
    #[cfg(feature = "vision")]
    ClassifyImage(ImageClassifier),
    #[cfg(feature = "speech")]
    DetectSpeech(SpeechDetector),
    #[cfg(feature = "speech")]
    Transcribe(Box<Transcriber>),
}

impl Served {
    /// Opens the model that the configuration names.
    pub fn open(init: &Init) -> Result<Self> {
        let configured = |key| init.config().get(key).filter(|value| !value.is_empty());
        let assets: Assets = init.assets_of(configured("FDK_MODEL"))?;
        let task = match configured("FDK_TASK") {
            Some(task) => Task::parse(task)?,
            None => Task::of(&assets)?,
        };
        init.fact("task", task.name());
        let entry = assets.name().to_owned();
        let model = match task {
            Task::Embed => Model::Embed(Embedder::open(assets)?),
            Task::Rerank => Model::Rerank(Reranker::open(assets)?),
            Task::Classify => Model::Classify(Classifier::open(assets)?),
            Task::Tokens => Model::Tokens(Tagger::open(assets)?),
            Task::Generate => {
                let model = Generator::open_with(assets, &init.generation()?)?;
                init.fact("context_tokens", model.context());
                Model::Generate(Box::new(model))
            }
            #[cfg(feature = "vision")]
            Task::ClassifyImage => Model::ClassifyImage(ImageClassifier::open(assets)?),
            #[cfg(feature = "speech")]
            Task::DetectSpeech => Model::DetectSpeech(SpeechDetector::open(assets)?),
            #[cfg(feature = "speech")]
            Task::Transcribe => Model::Transcribe(Box::new(Transcriber::open(assets)?)),
            other => {
                let message = format!(
                    "the task {} needs a feature that this function was built without: vision for pictures, speech for sound",
                    other.name()
                );
                return Err(Error::new(message));
            }
        };
        Ok(Self { entry, model })
    }

    /// What the shapes say of the model; nothing of one whose task no client's shape has.
    fn described(&self) -> Option<Described<'_>> {
        let (name, limit, kind) = match &self.model {
            Model::Embed(model) => (model.name(), model.limit(), "embedding"),
            Model::Rerank(model) => (model.name(), model.limit(), "reranker"),
            Model::Classify(model) => (model.name(), model.limit(), "classifier"),
            Model::Generate(model) => (model.name(), model.context(), "generator"),
            _ => return None,
        };
        Some(Described { name, entry: &self.entry, limit, kind })
    }
}

/// Answers a call with the model's task, in the shape that its path asks for.
pub async fn answer(cx: Context<Served>, body: Bytes) -> Result<Reply> {
    let shape = cx.http().and_then(|http| Shape::at(http.path()));
    match shape.zip(cx.state().described()) {
        Some((shape, described)) => match shaped(&cx, shape, described, &body).await {
            Ok(reply) => Ok(reply),
            // In the client's own shape where it is the client's fault; every other failure is the platform's to tell.
            Err(error) => match error.caller_status() {
                Some(status) => {
                    let (status, told) = shape.failed(status, error.message(), error.path());
                    Json(told).into_reply()?.status(status)
                }
                None => Err(error),
            },
        },
        None => native(&cx, body).await,
    }
}

async fn native(cx: &Context<Served>, body: Bytes) -> Result<Reply> {
    match &cx.state().model {
        Model::Embed(model) => infer(cx, body, |request, interrupt| model.embed(&request, interrupt)).await,
        Model::Rerank(model) => infer(cx, body, |request, interrupt| model.rerank(&request, interrupt)).await,
        Model::Classify(model) => {
            infer(cx, body, |request, interrupt| model.classify(&request, interrupt)).await
        }
        Model::Tokens(model) => infer(cx, body, |request, interrupt| model.tokens(&request, interrupt)).await,
        Model::Generate(_) => {
            let Json(request) = Json::from_body(cx, body)?;
            generated(cx, request, Said::native()).await
        }
        #[cfg(feature = "vision")]
        Model::ClassifyImage(model) => cx
            .infer(|_, interrupt| model.classify(&ClassifyImageRequest::read(&body)?, interrupt))
            .await?
            .into_reply(),
        #[cfg(feature = "speech")]
        Model::DetectSpeech(model) => cx
            .infer(|_, interrupt| model.detect(&DetectSpeechRequest::read(&body)?, interrupt))
            .await?
            .into_reply(),
        #[cfg(feature = "speech")]
        Model::Transcribe(model) => crate::transcribe(cx, model, body).await,
    }
}

async fn infer<I: DeserializeOwned, O: Serialize>(
    cx: &Context<Served>,
    body: Bytes,
    work: impl FnOnce(I, &Interrupt<'_>) -> std::result::Result<O, fdk_inference::Error>,
) -> Result<Reply> {
    let Json(request) = Json::from_body(cx, body)?;
    cx.infer(|_, interrupt| work(request, interrupt)).await?.into_reply()
}

async fn shaped(cx: &Context<Served>, shape: Shape, described: Described<'_>, body: &[u8]) -> Result<Reply> {
    if shape.operation() == Operation::Describe {
        return Json(shape.described(described)).into_reply();
    }
    let asked = cx.infer(|_, _| shape.read(body, described)).await?.0;
    let reply = match (asked, &cx.state().model) {
        (Asked::Embed(request, form), Model::Embed(model)) => {
            let Json(reply) = cx.infer(|_, interrupt| model.embed(&request, interrupt)).await?;
            shape.embedded(reply, form)
        }
        (Asked::Rerank(request, _), Model::Rerank(model)) => {
            let Json(reply) = cx.infer(|_, interrupt| model.rerank(&request, interrupt)).await?;
            shape.ranked(reply)
        }
        (Asked::Classify(request, form), Model::Classify(model)) => {
            let Json(reply) = cx.infer(|_, interrupt| model.classify(&request, interrupt)).await?;
            shape.classified(reply, form)
        }
        (Asked::Generate(request, form), Model::Generate(_)) => {
            return generated(cx, request, Said::shaped(shape, form)).await;
        }
        _ => {
            let message = format!("the model served here is a model for another task: {}", described.kind);
            return Err(Error::input(message).status(404));
        }
    };
    Json(reply).into_reply()
}

/// What a generating model says to a request: whole, or as it is said where the request asks for that.
async fn generated(
    cx: &Context<Served>,
    request: fdk_inference::GenerateRequest,
    said: Said,
) -> Result<Reply> {
    let Model::Generate(model) = &cx.state().model else {
        return Err(Error::new("no generating model is served"));
    };
    if request.stream {
        return streamed(cx, generator, request, said).await;
    }
    let Json(reply) = cx.infer(|_, interrupt| model.generate(&request, interrupt)).await?;
    Json(said.whole(reply)?).into_reply()
}

fn generator(served: &Served) -> Option<&Generator> {
    match &served.model {
        Model::Generate(model) => Some(model),
        _ => None,
    }
}
