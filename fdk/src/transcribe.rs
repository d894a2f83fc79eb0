//! A recording's two ways in: the task's own, and `OpenAI`'s form of several parts, which the inference room reads part by part.

use crate::{Context, Error, Json, Result};
use bytes::Bytes;
use fdk_inference::openai_audio::{Transcription, refused};
use fdk_inference::{TranscribeRequest, Transcriber};
use fdk_runtime::{IntoReply as _, Reply};
use futures_util::stream;

/// The end of the path at which `OpenAI`'s clients ask.
const PATH: &str = "/v1/audio/transcriptions";

/// Answers a call with what is said in the recording that it carries: as the task has it, or, at a path that ends in
/// `/v1/audio/transcriptions`, as `OpenAI`'s clients read it, errors included.
///
/// ```no_run
/// use fdk::{Bytes, Context, Reply, Result, Transcriber};
///
/// async fn transcribe(cx: Context<Transcriber>, body: Bytes) -> Result<Reply> {
///     fdk::transcribe(&cx, cx.state(), body).await
/// }
/// ```
pub async fn transcribe<S>(cx: &Context<S>, model: &Transcriber, body: Bytes) -> Result<Reply> {
    if !cx.http().is_some_and(|http| http.path().trim_end_matches('/').ends_with(PATH)) {
        let reply = cx.infer(|_, interrupt| model.transcribe(&TranscribeRequest::read(&body)?, interrupt));
        return reply.await?.into_reply();
    }
    match form(cx, model, body).await {
        Ok(reply) => Ok(reply),
        Err(error) => match error.caller_status() {
            Some(status) => {
                let (status, told) = refused(status, error.message(), error.path());
                Json(told).into_reply()?.status(status)
            }
            None => Err(error),
        },
    }
}

async fn form<S>(cx: &Context<S>, model: &Transcriber, body: Bytes) -> Result<Reply> {
    let form = read(cx, body).await?;
    let (request, form) = cx.infer(|_, _| form.request(model.name(), model.entry())).await?.0;
    let Json(reply) = cx.infer(|_, interrupt| model.transcribe(&request, interrupt)).await?;
    let written = form.write(&reply);
    Reply::new(written.body).header("content-type", written.content_type)
}

async fn read<S>(cx: &Context<S>, body: Bytes) -> Result<Transcription> {
    let content_type = cx.http().and_then(|http| http.headers().get("content-type")?.to_str().ok());
    let boundary = content_type.and_then(|content_type| multer::parse_boundary(content_type).ok());
    let boundary = boundary
        .ok_or_else(|| Error::input("the request is no form of several parts: send multipart/form-data"))?;
    let fails = |error: multer::Error| Error::input(format!("the form cannot be read: {error}"));
    let whole = stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut form = Transcription::default();
    while let Some(part) = parts.next_field().await.map_err(fails)? {
        let name = part.name().unwrap_or_default().to_owned();
        let value = part.bytes().await.map_err(fails)?;
        cx.infer(|_, _| form.field(&name, value.to_vec())).await?;
    }
    Ok(form)
}
