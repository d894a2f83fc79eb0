//! Documents by how well they answer a query: `{"query": "…", "documents": ["…"]}` → `{"results": [{"index", "score"}]}`.

use fdk::{Bytes, Context, Reply, Reranker, Result};

fn main() -> std::process::ExitCode {
    function().run(rerank)
}

/// The model is the function's state: loaded once, before the first call.
fn function() -> fdk::Function<Reranker> {
    fdk::function().state(|init| Reranker::open(init.assets("minilm")?))
}

async fn rerank(cx: Context<Reranker>, body: Bytes) -> Result<Reply> {
    fdk::rerank(&cx, cx.state(), body).await
}

#[cfg(test)]
mod tests {
    use fdk::RerankReply;
    use serde_json::{Value, json};

    const QUERY: &str = "How hot is boiling water?";
    const DOCUMENTS: [&str; 3] =
        ["Bread is baked in an oven.", "Water boils at 100 degrees.", "Ice is frozen water."];

    #[tokio::test]
    async fn the_answer_comes_first() {
        fdk_models::obtain("minilm").unwrap();
        let ask = json!({"query": QUERY, "documents": DOCUMENTS, "top_n": 1, "return_documents": true});
        let function = super::function().test(super::rerank);
        let reply = function.json(&ask).call().await.json::<RerankReply>();
        assert_eq!(reply.results.len(), 1);
        assert_eq!((reply.results[0].index, reply.results[0].document.as_deref()), (1, Some(DOCUMENTS[1])));
        // Behind the trigger it is told from TEI's by its documents.
        let behind = function.http("POST", "http://h/t/app/rerank").body(ask.to_string()).call().await;
        assert_eq!(behind.json::<RerankReply>().results[0].index, 1);
        let refused = function.json(json!({"query": QUERY, "documents": "Ice"})).call().await;
        assert_eq!((refused.status(), &refused.json::<Value>()["path"]), (502, &json!("documents")));
    }

    #[tokio::test]
    async fn clients_are_answered_in_their_own_shapes() {
        fdk_models::obtain("minilm").unwrap();
        let function = super::function().test(super::rerank);
        let ask = async |path: &str, body: Value| {
            let call = function.http("POST", &format!("http://h/t/app{path}")).body(body.to_string());
            let reply = call.call().await;
            (reply.status(), reply.json::<Value>())
        };
        let body = json!({"query": QUERY, "texts": DOCUMENTS, "return_text": true});
        let (status, reply) = ask("/rerank", body).await;
        assert_eq!((status, &reply[0]["index"], &reply[0]["text"]), (200, &json!(1), &json!(DOCUMENTS[1])));
        let (status, reply) = ask("/rerank", json!({"query": QUERY, "texts": "Ice"})).await;
        assert_eq!((status, &reply["error_type"]), (422, &json!("Validation")), "{reply}");
        let body = json!({"input": QUERY, "documents": DOCUMENTS, "topN": 2, "isEcho": true});
        let (status, reply) = ask("/20231130/actions/rerankText", body).await;
        let ranks = reply["documentRanks"].as_array().unwrap();
        assert_eq!((status, ranks.len(), &ranks[0]["index"]), (200, 2, &json!(1)));
        assert_eq!(ranks[0]["document"]["text"], DOCUMENTS[1]);
        let (status, reply) = ask("/20231130/actions/embedText", json!({"inputs": ["a"]})).await;
        assert_eq!((status, &reply["code"]), (404, &json!("NotAuthorizedOrNotFound")), "{reply}");
    }
}
