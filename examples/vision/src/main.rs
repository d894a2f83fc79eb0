//! What is in a picture: the bytes of a file → `{"predictions": [{"label": "…", "score": …}]}`.

use fdk::{Bytes, ClassifyImageReply, ClassifyImageRequest, Context, ImageClassifier, Json, Result};

fn main() -> std::process::ExitCode {
    function().run(vision)
}

/// The model is the function's state: loaded once, before the first call.
fn function() -> fdk::Function<ImageClassifier> {
    fdk::function().state(|init| ImageClassifier::open(init.assets("efficientnet-lite0")?))
}

async fn vision(cx: Context<ImageClassifier>, body: Bytes) -> Result<Json<ClassifyImageReply>> {
    cx.infer(|model, interrupt| model.classify(&ClassifyImageRequest::read(&body)?, interrupt)).await
}

#[cfg(test)]
mod tests {
    use fdk::ClassifyImageReply;
    use serde_json::Value;

    #[tokio::test]
    async fn a_cat_is_a_cat_and_a_text_is_no_picture() {
        fdk_models::obtain("efficientnet-lite0").unwrap();
        let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/inference/pictures/cat.jpg");
        let function = super::function().test(super::vision);
        let reply = function.body(std::fs::read(picture).unwrap()).call().await.json::<ClassifyImageReply>();
        assert_eq!(&*reply.predictions[0].label, "Egyptian cat");
        let refused = function.http("POST", "/vision").body("a text").call().await;
        assert_eq!(refused.status(), 422);
        let message = refused.json::<Value>()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("send a JPEG, PNG or WebP"), "{message}");
    }
}
