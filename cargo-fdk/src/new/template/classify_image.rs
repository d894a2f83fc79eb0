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
