//! A function without code: `FDK_MODEL` names a folder of `model-assets/`, its files say what it is for.

fn main() -> std::process::ExitCode {
    fdk::serve_assets()
}

#[cfg(test)]
mod tests {
    use fdk::testing::TestFunction;
    use serde_json::{Value, json};

    fn function(folder: &str, model: &str) -> TestFunction {
        let folder = format!("{}/../../{folder}", env!("CARGO_MANIFEST_DIR"));
        fdk::served().test(fdk::answer).config("FDK_ASSETS_DIR", &folder).config("FDK_MODEL", model)
    }

    #[tokio::test]
    async fn a_listed_model_does_the_task_that_is_configured() {
        fdk_models::obtain("minilm").unwrap();
        let embed = function("model-assets", "minilm");
        let reply = embed.json(json!({"inputs": "a text"})).call().await.json::<Value>();
        assert_eq!(reply["embeddings"][0].as_array().unwrap().len(), 384);
        let refused = embed.json(json!({"input": "a text"})).call().await.json::<Value>();
        assert!(refused["message"].as_str().unwrap().contains("unknown field `input`"), "{refused}");
        let rerank = function("model-assets", "minilm").config("FDK_TASK", "rerank");
        let ask = json!({"query": "hot water", "documents": ["cold bread", "boiling water"]});
        let reply = rerank.json(ask).call().await.json::<Value>();
        assert_eq!(reply["results"][0]["index"], 1);
    }

    #[tokio::test]
    async fn a_folder_without_an_entry_does_what_it_was_trained_for() {
        let checkpoints = "tests/inference/checkpoints";
        let classify = function(checkpoints, "mood");
        let reply = classify.json(json!({"inputs": "the cat sat"})).call().await.json::<Value>();
        assert_eq!(reply["predictions"][0].as_array().unwrap().len(), 3);
        let tokens = function(checkpoints, "names");
        let reply = tokens.json(json!({"inputs": "anna lives in rome"})).call().await.json::<Value>();
        assert!(reply["entities"][0].is_array(), "{reply}");
        let rerank = function(checkpoints, "cross");
        let reply =
            rerank.json(json!({"query": "cat", "documents": ["dog", "cat"]})).call().await.json::<Value>();
        assert_eq!(reply["results"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn clients_are_answered_in_their_own_shapes() {
        fdk_models::obtain("minilm").unwrap();
        let ask = async |function: &TestFunction, path: &str, body: Value| {
            let call = function.http("POST", &format!("http://h/t/app{path}")).body(body.to_string());
            let reply = call.call().await;
            (reply.status(), reply.json::<Value>())
        };
        let embed = function("model-assets", "minilm");
        let (status, reply) = ask(&embed, "/v1/embeddings", json!({"input": "a", "model": "minilm"})).await;
        assert_eq!((status, reply["data"][0]["embedding"].as_array().unwrap().len()), (200, 384));
        let (status, reply) = ask(&embed, "/v1/embeddings", json!({"input": "a", "model": "gpt"})).await;
        assert_eq!((status, &reply["error"]["code"]), (404, &json!("model_not_found")));
        let (status, reply) = ask(&embed, "/embed", json!({"inputs": ["a", "b"]})).await;
        assert_eq!((status, reply.as_array().unwrap().len()), (200, 2));
        let (status, reply) = ask(&embed, "/embed", json!({"inputs": "word ".repeat(300)})).await;
        assert_eq!((status, &reply["error_type"]), (422, &json!("Validation")));
        let (status, reply) = ask(&embed, "/rerank", json!({"query": "a", "texts": ["b"]})).await;
        assert_eq!((status, &reply["error_type"]), (404, &json!("Validation")), "{reply}");
        let (_, reply) = ask(&embed, "/info", json!(null)).await;
        assert_eq!(
            (&reply["max_input_length"], &reply["model_id"]),
            (&json!(256), &json!("all-MiniLM-L6-v2"))
        );

        let rerank = function("model-assets", "minilm").config("FDK_TASK", "rerank");
        let (_, reply) = ask(&rerank, "/rerank", json!({"query": "hot", "texts": ["ice", "fire"]})).await;
        assert_eq!(reply[0]["index"], 1);
        let body = json!({"input": "hot", "documents": ["ice", "fire"], "topN": 1, "isEcho": true});
        let (_, reply) = ask(&rerank, "/20231130/actions/rerankText", body).await;
        assert_eq!(reply["documentRanks"][0]["document"]["text"], "fire");
        let predict = function("tests/inference/checkpoints", "mood");
        let (_, reply) = ask(&predict, "/predict", json!({"inputs": "the cat sat"})).await;
        assert_eq!(reply.as_array().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn what_cannot_be_served_is_refused_with_what_can() {
        let refusal = async |model: &str, task: &str| {
            let function = function("tests/inference/checkpoints", model).config("FDK_TASK", task);
            function.json(json!({})).call().await.json::<Value>()["message"].as_str().unwrap().to_owned()
        };
        let message = refusal("mood", "translate").await;
        assert!(
            message.contains("there is no task 'translate': a model's task is one of embed, rerank"),
            "{message}"
        );
        let message = refusal("mood", "tokens").await;
        assert!(message.contains("the model has no head for tokens"), "{message}");
    }
}
