//! What is in a picture: the bytes of a file, or `{"image": base64}` → `{"predictions": [{"label", "score"}]}`.

use fdk::{
    Bytes, ClassifyImageReply, ClassifyImageRequest, Context, ImageClassifier, Json, Result,
};

fn main() -> std::process::ExitCode {
    function().run(classify)
}

/// The model is the function's state: loaded once, before the first call.
fn function() -> fdk::Function<ImageClassifier> {
    fdk::function().state(|init| ImageClassifier::open(init.assets("@MODEL@")?))
}

async fn classify(cx: Context<ImageClassifier>, body: Bytes) -> Result<Json<ClassifyImageReply>> {
    cx.infer(|model, interrupt| model.classify(&ClassifyImageRequest::read(&body)?, interrupt))
        .await
}

#[cfg(test)]
mod tests {
    use super::{classify, function};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn answers() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/model-assets");
        let model = "@MODEL@";
        if !std::path::Path::new(folder).join(model).is_dir() {
            eprintln!("NOT RUN: the model; fetch it with cargo fdk assets fetch {model}");
            return;
        }
        let function = function().test(classify).config("FDK_ASSETS_DIR", folder);
        let request = json!(@REQUEST@);
        let reply = function.json(request).call().await.json::<Value>();
        assert!(!reply[@FIELD@].is_null(), "{reply}");
    }
}
