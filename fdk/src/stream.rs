//! A reply that is sent as it is said: server-sent events (the HTML standard, 9.2).

use crate::{Context, Error, Json, Result};
use bytes::Bytes;
use fdk_inference::shapes::{Form, Shape};
use fdk_inference::{Completion, GenerateReply, GenerateRequest, Generator};
use fdk_runtime::Reply;
use futures_util::stream;
use serde_json::Value;

/// In whose shape a reply is said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said(Option<(Shape, Form)>);

impl Said {
    /// The task's own.
    pub(crate) fn native() -> Self {
        Self(None)
    }

    /// A client's.
    pub(crate) fn shaped(shape: Shape, form: Form) -> Self {
        Self(Some((shape, form)))
    }

    /// A reply that is whole.
    pub(crate) fn whole(self, reply: GenerateReply) -> Result<Value> {
        match self.0 {
            None => Ok(serde_json::to_value(reply)?),
            Some((shape, form)) => Ok(shape.generated(&reply, form)),
        }
    }

    /// A piece of a reply.
    fn piece(self, text: &str, first: bool, reply: &GenerateReply) -> Vec<Value> {
        match self.0 {
            None => vec![serde_json::json!({ "text": text })],
            Some((shape, form)) => shape.piece(text, first, reply, form),
        }
    }

    /// What follows the last piece, and the line that ends the stream where the shape has one.
    fn end(self, reply: &GenerateReply) -> Result<(Vec<Value>, Option<&'static str>)> {
        match self.0 {
            None => {
                let mut last = serde_json::to_value(reply)?;
                // The pieces had it.
                last["text"] = "".into();
                Ok((vec![last], None))
            }
            Some((shape, form)) => Ok(shape.end(reply, form)),
        }
    }
}

/// Sends a reply as it is made. What is wrong with the request, and a deadline that comes before the first token, is told
/// before anything is sent.
///
/// The Fn server and OCI collect a reply before they pass it on: behind them the caller sees all events at once.
pub(crate) async fn streamed<S: 'static>(
    cx: &Context<S>,
    generator: fn(&S) -> Option<&Generator>,
    request: GenerateRequest,
    said: Said,
) -> Result<Reply> {
    let Json((completion, first)) = cx
        .infer(|state, interrupt| {
            let model = generator(state).ok_or_else(|| Error::new("no generating model is served"))?;
            let mut completion = model.begin(&request, interrupt)?;
            let mut first = String::new();
            // A schema may make the first words come before the model was asked.
            while first.is_empty() || !completion.is_heard() {
                match model.advance(&mut completion, interrupt)? {
                    Some(piece) => first += &piece,
                    None => break,
                }
            }
            Ok::<_, Error>((completion, first))
        })
        .await?;
    let said = Saying { cx: cx.clone(), generator, completion, said, first: Some(first), done: false };
    let chunks = stream::unfold(said, |mut saying| async move {
        match saying.next().await {
            Ok(Some(chunk)) => Some((Ok(chunk), saying)),
            Ok(None) => None,
            Err(error) => {
                saying.done = true;
                Some((Err(error), saying))
            }
        }
    });
    Reply::stream(chunks).header("content-type", "text/event-stream")?.header("cache-control", "no-cache")
}

struct Saying<S> {
    cx: Context<S>,
    generator: fn(&S) -> Option<&Generator>,
    completion: Completion,
    said: Said,
    first: Option<String>,
    done: bool,
}

impl<S: 'static> Saying<S> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.done {
            return Ok(None);
        }
        let Some(model) = (self.generator)(self.cx.state()) else { return Ok(None) };
        let (piece, first) = if let Some(first) = self.first.take() {
            (Some(first), true)
        } else {
            let completion = &mut self.completion;
            let Json(piece) = self.cx.infer(|_, interrupt| model.advance(completion, interrupt)).await?;
            (piece, false)
        };
        let reply = self.completion.reply(model.name());
        let mut out = String::new();
        let mut event = |data: &str| out.extend(["data: ", data, "\n\n"]);
        if let Some(text) = piece {
            if first || !text.is_empty() {
                for value in self.said.piece(&text, first, &reply) {
                    event(&value.to_string());
                }
            }
        } else {
            let (last, end) = self.said.end(&reply)?;
            for value in last {
                event(&value.to_string());
            }
            if let Some(end) = end {
                event(end);
            }
            self.done = true;
        }
        Ok(Some(out.into()))
    }
}
