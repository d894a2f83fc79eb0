//! OpenAI's `/v1/chat/completions` and `/v1/completions`: the replies, whole and streamed.

use crate::generate::{FinishReason, GenerateReply};
use serde_json::{Value, json};
use std::hash::{BuildHasher as _, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

/// What tells one reply from another. All events of a stream have the same: clients put a stream together by its id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    id: u64,
    /// Seconds since 1970.
    created: u64,
}

impl Stamp {
    /// Of a reply that is asked for now.
    pub(super) fn now() -> Self {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { id: RandomState::new().hash_one(created), created }
    }
}

/// There is no reason `deadline` there: the reply was cut, as by a limit of its length.
fn reason(reply: &GenerateReply) -> &'static str {
    match reply.finish_reason {
        FinishReason::Stop => "stop",
        FinishReason::Length | FinishReason::Deadline => "length",
    }
}

fn usage(reply: &GenerateReply) -> Value {
    let usage = reply.usage;
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    })
}

fn envelope(object: &str, prefix: &str, choice: &Value, reply: &GenerateReply, stamp: Stamp) -> Value {
    json!({
        "id": format!("{prefix}-{:016x}", stamp.id),
        "object": object,
        "created": stamp.created,
        "model": reply.model,
        "choices": [choice],
    })
}

pub(super) fn generated(reply: &GenerateReply, stamp: Stamp) -> Value {
    let message = json!({"role": "assistant", "content": reply.text, "refusal": null});
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": reason(reply)});
    let mut whole = envelope("chat.completion", "chatcmpl", &choice, reply, stamp);
    whole["usage"] = usage(reply);
    whole
}

pub(super) fn completed(reply: &GenerateReply, stamp: Stamp) -> Value {
    let mut whole = completion_piece(&reply.text, Some(reason(reply)), reply, stamp);
    whole["usage"] = usage(reply);
    whole
}

pub(super) fn completion_piece(
    text: &str,
    reason: Option<&str>,
    reply: &GenerateReply,
    stamp: Stamp,
) -> Value {
    let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": reason});
    envelope("text_completion", "cmpl", &choice, reply, stamp)
}

fn chunk(delta: &Value, reason: Option<&str>, reply: &GenerateReply, stamp: Stamp) -> Value {
    let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason});
    envelope("chat.completion.chunk", "chatcmpl", &choice, reply, stamp)
}

pub(super) fn pieces(text: &str, first: bool, reply: &GenerateReply, stamp: Stamp) -> Vec<Value> {
    let opening = first.then(|| chunk(&json!({"role": "assistant", "content": ""}), None, reply, stamp));
    let piece = (!text.is_empty()).then(|| chunk(&json!({ "content": text }), None, reply, stamp));
    opening.into_iter().chain(piece).collect()
}

pub(super) fn end(reply: &GenerateReply, chat: bool, with_usage: bool, stamp: Stamp) -> Vec<Value> {
    let mut events = vec![if chat {
        chunk(&json!({}), Some(reason(reply)), reply, stamp)
    } else {
        completion_piece("", Some(reason(reply)), reply, stamp)
    }];
    if with_usage {
        let mut last = events[0].clone();
        last["choices"] = json!([]);
        last["usage"] = usage(reply);
        events.push(last);
    }
    events
}

#[cfg(test)]
mod tests {
    use super::super::tests::MODEL;
    use super::super::{Asked, Shape};
    use super::*;

    fn reply() -> GenerateReply {
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 2, "cached_tokens": 3});
        let reply = json!({"text": "hi", "finish_reason": "deadline", "usage": usage, "model": "m"});
        serde_json::from_value(reply).unwrap()
    }

    #[test]
    fn replies_are_those_the_library_reads() {
        let stamp = Stamp::now();
        let whole = generated(&reply(), stamp);
        assert_eq!(whole["choices"][0]["message"]["content"], "hi");
        assert_eq!(
            (&whole["choices"][0]["finish_reason"], &whole["usage"]["total_tokens"]),
            (&json!("length"), &json!(7))
        );
        assert_eq!(completed(&reply(), stamp)["choices"][0]["text"], "hi");
        let pieces = pieces("a", true, &reply(), stamp);
        assert_eq!(pieces[0]["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(pieces[1]["choices"][0]["delta"]["content"], "a");
        let end = end(&reply(), true, true, stamp);
        assert_eq!((end.len(), &end[1]["choices"]), (2, &json!([])));
    }

    #[test]
    fn a_stream_has_one_id_and_the_next_another() {
        let stream = |path: &str, said: Value| {
            let mut body =
                json!({"model": "minilm", "stream": true, "stream_options": {"include_usage": true}});
            body.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
            let shape = Shape::at(path).unwrap();
            let Asked::Generate(_, form) = shape.read(body.to_string().as_bytes(), MODEL).unwrap() else {
                panic!("generate")
            };
            let mut events = shape.piece("a", true, &reply(), form);
            events.extend(shape.piece("b", false, &reply(), form));
            events.extend(shape.end(&reply(), form).0);
            for event in &events {
                assert_eq!((&event["id"], &event["created"]), (&events[0]["id"], &events[0]["created"]));
            }
            assert!(events[0]["created"].as_u64().unwrap() > 1_700_000_000, "{}", events[0]);
            (events.len(), events[0]["id"].clone())
        };
        let chat = || stream("/v1/chat/completions", json!({"messages": [{"role": "user", "content": "a"}]}));
        let (one, other) = (chat(), chat());
        assert_eq!((one.0, other.0), (5, 5));
        assert_ne!(one.1, other.1);
        assert_eq!(stream("/v1/completions", json!({"prompt": "a"})).0, 4);
    }
}
