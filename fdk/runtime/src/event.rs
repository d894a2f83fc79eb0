//! CloudEvents (`Fn-Intent: cloudevent`) as a function's input.

use crate::body::FromBody;
use crate::context::Call;
use crate::error::{Error, Result};
use bytes::Bytes;
use cloudevents::binding::http::to_event;

/// A CloudEvent, version 0.3 or 1.0: in structured mode the body is the event (`application/cloudevents+json`), in
/// binary mode its attributes are `ce-` headers and the body is its data.
///
/// What is no event is the caller's fault. The intent header is not asked for: an event that came by a trigger is one
/// all the same.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudEvent(pub cloudevents::Event);

impl FromBody for CloudEvent {
    fn from_body(call: &Call, body: Bytes) -> Result<Self> {
        to_event(call.headers(), body.into())
            .map(Self)
            .map_err(|error| Error::input(format!("this is no CloudEvent: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use crate::{Context, Json};
    use serde_json::{Value, json};

    async fn tell(_: Context, CloudEvent(event): CloudEvent) -> Result<Json<Value>> {
        Ok(Json(serde_json::to_value(event)?))
    }

    #[tokio::test]
    async fn both_modes_are_read() {
        let function = testing::function(tell);
        let event = json!({"specversion": "1.0", "id": "1", "type": "t", "source": "/s", "data": {"a": 1}});
        let structured =
            function.body(event.to_string()).header("content-type", "application/cloudevents+json");
        assert_eq!(structured.header("fn-intent", "cloudevent").call().await.json::<Value>(), event);
        let mut binary = function.body("{\"a\":1}").header("content-type", "application/json");
        for name in ["specversion", "id", "type", "source"] {
            binary = binary.header(&format!("ce-{name}"), event[name].as_str().unwrap());
        }
        let read = binary.header("fn-intent", "cloudevent").call().await.json::<Value>();
        assert_eq!(
            (&read["id"], &read["type"], &read["source"]),
            (&event["id"], &event["type"], &event["source"])
        );
        // The data is the body's bytes, which JSON shows in base64.
        assert_eq!(read["data_base64"], "eyJhIjoxfQ==");
    }

    #[tokio::test]
    async fn what_is_no_event_is_the_callers_fault() {
        let reply = testing::function(tell).http("POST", "/").body("{}").call().await;
        assert_eq!(reply.status(), 400);
        assert!(reply.json::<Value>()["message"].as_str().unwrap().starts_with("this is no CloudEvent: "));
    }
}
