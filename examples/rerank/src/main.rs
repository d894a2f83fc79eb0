//! Documents by how well they answer a query: `{"query": "…", "documents": ["…"]}` → `{"results": [{"index", "score"}]}`.

use fdk::{Context, Json, RerankReply, RerankRequest, Reranker, Result};

fn main() -> std::process::ExitCode {
    function().run(rerank)
}

/// The model is the function's state: loaded once, before the first call.
fn function() -> fdk::Function<Reranker> {
    fdk::function().state(|init| Reranker::open(init.assets("minilm")?))
}

async fn rerank(cx: Context<Reranker>, Json(request): Json<RerankRequest>) -> Result<Json<RerankReply>> {
    cx.infer(move |model, interrupt| model.rerank(&request, interrupt)).await
}

#[cfg(test)]
mod tests {
    use fdk::RerankReply;
    use serde_json::json;

    #[tokio::test]
    async fn the_answer_comes_first() {
        cargo_fdk::assets::obtain("minilm").unwrap();
        let documents = ["Bread is baked in an oven.", "Water boils at 100 degrees.", "Ice is frozen water."];
        let ask = json!({"query": "How hot is boiling water?", "documents": documents, "top_n": 1,
            "return_documents": true});
        let reply = super::function().test(super::rerank).json(ask).call().await.json::<RerankReply>();
        assert_eq!(reply.results.len(), 1);
        assert_eq!((reply.results[0].index, reply.results[0].document.as_deref()), (1, Some(documents[1])));
    }
}
