//! Texts → labels: `{"inputs": ["…"], "labels": ["…"]}` → `{"predictions": [[{"label", "score"}]]}`.

use fdk::{Bytes, Classifier, Context, Reply, Result};

fn main() -> std::process::ExitCode {
    function().run(classify)
}

/// The model is the function's state: loaded once, before the first call.
fn function() -> fdk::Function<Classifier> {
    fdk::function().state(|init| Classifier::open(init.assets("minilm")?))
}

async fn classify(cx: Context<Classifier>, body: Bytes) -> Result<Reply> {
    fdk::classify(&cx, cx.state(), body).await
}

#[cfg(test)]
mod tests {
    use fdk::{Classifier, ClassifyReply};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn a_text_has_the_label_that_fits() {
        fdk_models::obtain("minilm").unwrap();
        let function = super::function().test(super::classify);
        let labels = ["sports", "finance", "cooking"];
        let ask = json!({"inputs": "The striker scored twice in the second half.", "labels": labels});
        let reply = function.json(ask).call().await.json::<ClassifyReply>();
        assert_eq!((reply.predictions.len(), &*reply.predictions[0][0].label), (1, "sports"));
        // Without labels it is the caller's fault, and says where.
        let refused = function.json(json!({"inputs": "text"})).call().await;
        assert_eq!(refused.status(), 502);
        assert_eq!(refused.json::<Value>()["path"], "labels");
    }

    #[tokio::test]
    async fn teis_clients_are_told_the_models_own_labels() {
        fdk_models::obtain("minilm").unwrap();
        let ask = json!({"inputs": "the cat sat"}).to_string();
        let checkpoints = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/inference/checkpoints");
        let own = fdk::function().state(|init| Classifier::open(init.assets("mood")?));
        let own = own.test(super::classify).config("FDK_ASSETS_DIR", checkpoints);
        let reply = own.http("POST", "http://h/t/app/predict").body(ask.clone()).call().await;
        let labels = reply.json::<Value>();
        assert_eq!((reply.status(), labels.as_array().unwrap().len()), (200, 3), "{labels}");
        // MiniLM has none, and TEI's requests name none.
        let none = super::function().test(super::classify);
        let refused = none.http("POST", "http://h/t/app/predict").body(ask).call().await;
        let told = refused.json::<Value>();
        assert_eq!((refused.status(), &told["error_type"]), (422, &json!("Validation")), "{told}");
        assert!(told["error"].as_str().unwrap().starts_with("labels: "), "{told}");
    }
}
