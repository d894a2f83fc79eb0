//! Texts → labels: `{"inputs": ["…"], "labels": ["…"]}` → `{"predictions": [[{"label", "score"}]]}`.

use fdk::{Classifier, ClassifyReply, ClassifyRequest, Context, Json, Result};

fn main() -> std::process::ExitCode {
    function().run(classify)
}

/// The model is the function's state: loaded once, before the first call.
fn function() -> fdk::Function<Classifier> {
    fdk::function().state(|init| Classifier::open(init.assets("minilm")?))
}

async fn classify(
    cx: Context<Classifier>,
    Json(request): Json<ClassifyRequest>,
) -> Result<Json<ClassifyReply>> {
    cx.infer(move |model, interrupt| model.classify(&request, interrupt)).await
}

#[cfg(test)]
mod tests {
    use fdk::ClassifyReply;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn a_text_has_the_label_that_fits() {
        cargo_fdk::assets::obtain("minilm").unwrap();
        let function = super::function().test(super::classify);
        let labels = ["sports", "finance", "cooking"];
        let ask = json!({"inputs": "The striker scored twice in the second half.", "labels": labels});
        let reply = function.json(ask).call().await.json::<ClassifyReply>();
        assert_eq!((reply.predictions.len(), reply.predictions[0][0].label.as_str()), (1, "sports"));
        // Without labels it is the caller's fault, and says where.
        let refused = function.json(json!({"inputs": "text"})).call().await;
        assert_eq!(refused.status(), 502);
        assert_eq!(refused.json::<Value>()["path"], "labels");
    }
}
