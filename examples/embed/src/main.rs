//! Sentence embeddings: `{"inputs": ["…"]}` → `{"embeddings": [[…]]}`.

use fdk::{Context, EmbedReply, EmbedRequest, Embedder, Json, Result};

fn main() -> std::process::ExitCode {
    function().run(embed)
}

/// The model is the function's state: loaded once, before the first call.
fn function() -> fdk::Function<Embedder> {
    fdk::function().state(|init| Embedder::open(init.assets("minilm")?))
}

async fn embed(cx: Context<Embedder>, Json(request): Json<EmbedRequest>) -> Result<Json<EmbedReply>> {
    cx.infer(move |model, interrupt| model.embed(&request, interrupt)).await
}

#[cfg(test)]
mod tests {
    use fdk::EmbedReply;
    use serde_json::json;

    #[tokio::test]
    async fn like_sentences_have_like_vectors() {
        fdk_models::obtain("minilm").unwrap();
        let texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "Interest rates rose again."];
        let reply = super::function().test(super::embed).json(json!({"inputs": texts})).call().await;
        let vectors = reply.json::<EmbedReply>().embeddings;
        let cosine = |a: usize, b: usize| vectors[a].iter().zip(&vectors[b]).map(|(x, y)| x * y).sum::<f32>();
        assert!(cosine(0, 1) > cosine(0, 2) + 0.3, "{} {}", cosine(0, 1), cosine(0, 2));
    }
}
