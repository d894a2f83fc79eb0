//! What a language model says: `{"messages": [{"role": "user", "content": "…"}]}` → `{"text", "finish_reason", "usage", "model"}`.

fn main() -> std::process::ExitCode {
    fdk::serve_assets()
}

#[cfg(test)]
mod tests {
    use fdk::testing::TestFunction;
    use serde_json::{Value, json};
    use std::sync::LazyLock;
    use std::time::Duration;

    fn function() -> TestFunction {
        let assets = fdk_models::obtain("smollm2").unwrap();
        fdk::served()
            .test(fdk::answer)
            .config("FDK_ASSETS_DIR", assets.to_str().unwrap())
            .config("FDK_MODEL", "smollm2")
            .config("FDK_SYSTEM_PROMPT", "You are a clerk.")
            .config("FDK_CONTEXT", "1024")
    }

    /// One for most tests: a model is opened for each.
    static FUNCTION: LazyLock<TestFunction> = LazyLock::new(function);

    async fn ask(path: &str, body: Value) -> (u16, String) {
        let call = FUNCTION.http("POST", &format!("http://h/t/app{path}")).body(body.to_string());
        let reply = call.call().await;
        (reply.status(), reply.text().to_owned())
    }

    /// What the events of a stream hold.
    fn data(events: &str) -> Vec<&str> {
        events.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect()
    }

    #[tokio::test]
    async fn a_conversation_is_answered() {
        let message = json!([{"role": "user", "content": "Name a colour."}]);
        let ask = json!({"messages": message, "max_tokens": 4});
        let reply = FUNCTION.json(&ask).call().await.json::<Value>();
        assert_eq!(
            (&reply["model"], &reply["usage"]["completion_tokens"]),
            (&json!("SmolLM2-135M-Instruct"), &json!(4)),
            "{reply}"
        );
        assert!(reply["usage"]["cached_tokens"].as_u64().unwrap() > 5, "{reply}");
        assert_eq!(FUNCTION.json(&ask).call().await.json::<Value>(), reply, "greedy repeats");
        let refused = FUNCTION.json(json!({"prompt": "a", "top": 1})).call().await.json::<Value>();
        assert!(refused["message"].as_str().unwrap().contains("unknown field `top`"), "{refused}");
    }

    #[tokio::test]
    async fn a_schema_is_kept() {
        let schema = json!({"properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 150}}, "required": ["name", "age"]});
        let ask = json!({"prompt": "Ada is 36 years old. As JSON: ", "max_tokens": 24, "schema": schema});
        let reply = FUNCTION.json(ask).call().await.json::<Value>();
        let said: Value = serde_json::from_str(reply["text"].as_str().unwrap()).unwrap();
        assert!(said["name"].is_string() && said["age"].as_u64().unwrap() <= 150, "{said}");
        let short = json!({"prompt": "a", "max_tokens": 2, "schema": {"required": ["a", "b"]}});
        let refused = FUNCTION.json(short).call().await.json::<Value>();
        assert!(refused["message"].as_str().unwrap().contains("the shortest reply that fits"), "{refused}");
    }

    #[tokio::test]
    async fn a_reply_is_streamed_as_it_is_made() {
        let mut body = json!({"prompt": "a b c d e f g h", "max_tokens": 6});
        let whole = FUNCTION.json(&body).call().await.json::<Value>();
        body["stream"] = true.into();
        let call = FUNCTION.http("POST", "http://h/t/app/generate").body(body.to_string());
        let reply = call.call().await;
        assert_eq!((reply.status(), reply.header("content-type")), (200, Some("text/event-stream")));
        let events: Vec<Value> =
            data(reply.text()).into_iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        let (last, pieces) = events.split_last().unwrap();
        assert!(pieces.len() > 1, "{events:?}");
        let said: String = pieces.iter().map(|piece| piece["text"].as_str().unwrap()).collect();
        assert_eq!(whole["text"], said);
        // The last one tells the rest: why it ends, what it took, the model.
        let mut rest = whole;
        rest["text"] = "".into();
        assert_eq!(*last, rest);
        body["max_tokens"] = 0.into();
        let (status, refused) = ask("/generate", body).await;
        assert!(status == 422 && refused.contains("a reply has at least 1 token"), "{status}: {refused}");
    }

    #[tokio::test]
    async fn at_the_deadline_there_is_what_was_said_and_the_next_call_is_served() {
        // One of its own: the calls of other tests would take its time.
        let function = function();
        let counted = |most: usize| json!({"prompt": "1, 2, 3, 4, 5, 6, 7,", "max_tokens": most});
        let before = function.json(counted(4)).call().await;
        // Where others have the processor the first word may take longer than this: 504, and then there is more time.
        let mut left = Duration::from_millis(400);
        let mut reply = function.json(counted(900)).deadline(left).call().await;
        while reply.wire_status() == 504 && left < Duration::from_secs(10) {
            left *= 2;
            reply = function.json(counted(900)).deadline(left).call().await;
        }
        assert_eq!(reply.wire_status(), 200, "{}", reply.text());
        let cut = reply.json::<Value>();
        assert_eq!(cut["finish_reason"], "deadline", "{cut}");
        assert!(!cut["text"].as_str().unwrap().is_empty(), "{cut}");
        assert!((1..900).contains(&cut["usage"]["completion_tokens"].as_u64().unwrap()), "{cut}");
        let after = function.json(counted(4)).call().await;
        assert_eq!((after.wire_status(), after.text()), (200, before.text()));
    }

    #[tokio::test]
    async fn clients_are_answered_in_their_own_shapes() {
        let messages = json!([{"role": "user", "content": "Name a colour."}]);
        let body = json!({"model": "smollm2", "messages": messages, "max_tokens": 3});
        let (status, whole) = ask("/v1/chat/completions", body.clone()).await;
        let whole: Value = serde_json::from_str(&whole).unwrap();
        let text = whole["choices"][0]["message"]["content"].as_str().unwrap();
        assert!(status == 200 && !text.is_empty(), "{whole}");

        let mut streamed = body.clone();
        streamed["stream"] = true.into();
        let (_, events) = ask("/v1/chat/completions", streamed).await;
        let data = data(&events);
        assert_eq!(data.last(), Some(&"[DONE]"));
        let events: Vec<Value> =
            data[..data.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        let said: String =
            events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(
            (said.as_str(), &events[events.len() - 1]["choices"][0]["finish_reason"]),
            (text, &json!("length"))
        );
        let one = (&events[0]["id"], &events[0]["created"]);
        assert!(events.iter().all(|event| (&event["id"], &event["created"]) == one), "{events:?}");

        let content = json!([{"type": "TEXT", "text": "Name a colour."}]);
        let request = json!({"apiFormat": "GENERIC", "messages": [{"role": "USER", "content": content}], "maxTokens": 3});
        let (_, reply) = ask("/20231130/actions/chat", json!({"chatRequest": request})).await;
        let reply: Value = serde_json::from_str(&reply).unwrap();
        assert_eq!(reply["chatResponse"]["choices"][0]["message"]["content"][0]["text"], text);

        let mut unknown = body;
        unknown["logit_bias"] = json!({"1": 2});
        let (status, refused) = ask("/v1/chat/completions", unknown).await;
        let refused: Value = serde_json::from_str(&refused).unwrap();
        assert_eq!((status, &refused["error"]["param"]), (400, &json!("logit_bias")));
    }
}
