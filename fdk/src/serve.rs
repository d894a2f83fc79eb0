//! A function without code: the configuration names a model, the model's files say what it is for, and a request's path
//! says whose client sends it.

use crate::shaped::{Texts, answered, infer};
use crate::{Context, Error, Function, Init, Result};
use bytes::Bytes;
use fdk_inference::{Assets, Classifier, Embedder, Generator, Reranker, Tagger, Task};
#[cfg(feature = "vision")]
use fdk_inference::{ClassifyImageRequest, ImageClassifier};
#[cfg(feature = "speech")]
use fdk_inference::{DetectSpeechRequest, SpeechDetector, Transcriber};
#[cfg(any(feature = "vision", feature = "speech"))]
use fdk_runtime::IntoReply as _;
use fdk_runtime::Reply;
use std::process::ExitCode;

/// Serves the model that `FDK_MODEL` names, or the only one, as `FDK_TASK` or else the model's own files say.
///
/// On a direct invoke, and at most paths behind a trigger or gateway, the request and the reply are those of the task. At a
/// path that ends as one of these does, they are what its clients speak, the errors that are their fault included:
///
/// | path ends in | whose | task |
/// |---|---|---|
/// | `/v1/embeddings`, `/v1/models` | `OpenAI` | embed |
/// | `/v1/chat/completions`, `/v1/completions`, `/v1/models` | `OpenAI` | generate |
/// | `/embed`, `/rerank`, `/predict`, `/info` | text-embeddings-inference | embed, rerank, classify |
/// | `/actions/embedText`, `/actions/rerankText`, `/actions/chat` | OCI Generative AI inference | embed, rerank, generate |
///
/// A request with `documents` is the task's own at `/rerank` as well. The 413 of a body over `FDK_MAX_REQUEST` is
/// `{"message": "…"}` at every path, since it comes before a shape is chosen; 502 and 504 are the platform's.
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
    DetectSpeech(Box<SpeechDetector>),
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
            Task::DetectSpeech => Model::DetectSpeech(Box::new(SpeechDetector::open(assets)?)),
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
}

/// Answers a call with the model's task, in the shape that the request asks for.
pub async fn answer(cx: Context<Served>, body: Bytes) -> Result<Reply> {
    let Served { entry, model } = cx.state();
    let texts: Texts<'_, Served> = match model {
        Model::Embed(model) => Texts::Embed(model),
        Model::Rerank(model) => Texts::Rerank(model),
        Model::Classify(model) => Texts::Classify(model),
        Model::Generate(model) => Texts::Generate(model, generator),
        Model::Tokens(model) => {
            return infer(&cx, body, |request, interrupt| model.tokens(&request, interrupt)).await;
        }
        #[cfg(feature = "vision")]
        Model::ClassifyImage(model) => {
            return cx
                .infer(|_, interrupt| model.classify(&ClassifyImageRequest::read(&body)?, interrupt))
                .await?
                .into_reply();
        }
        #[cfg(feature = "speech")]
        Model::DetectSpeech(model) => {
            return cx
                .infer(|_, interrupt| model.detect(&DetectSpeechRequest::read(&body)?, interrupt))
                .await?
                .into_reply();
        }
        #[cfg(feature = "speech")]
        Model::Transcribe(model) => return crate::transcribe(&cx, model, body).await,
    };
    answered(&cx, &texts, entry, body).await
}

fn generator(served: &Served) -> Option<&Generator> {
    match &served.model {
        Model::Generate(model) => Some(model),
        _ => None,
    }
}
