//! What is said in a recording: the bytes of a file, or `{"audio": base64}` → `{"text", "segments"}`.

use fdk::{Bytes, Context, Reply, Result, Transcriber};

fn main() -> std::process::ExitCode {
    function().run(transcribe)
}

/// The model is the function's state: loaded once, before the first call.
fn function() -> fdk::Function<Transcriber> {
    fdk::function().state(|init| Transcriber::open(init.assets("@MODEL@")?))
}

async fn transcribe(cx: Context<Transcriber>, body: Bytes) -> Result<Reply> {
    fdk::transcribe(&cx, cx.state(), body).await
}

#[cfg(test)]
mod tests {
    use super::{function, transcribe};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn answers() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/model-assets");
        let model = "@MODEL@";
        if !std::path::Path::new(folder).join(model).is_dir() {
            eprintln!("NOT RUN: the model; fetch it with cargo fdk assets fetch {model}");
            return;
        }
        let function = function().test(transcribe).config("FDK_ASSETS_DIR", folder);
        let request = json!(@REQUEST@);
        let reply = function.json(request).call().await.json::<Value>();
        assert!(!reply[@FIELD@].is_null(), "{reply}");
    }
}
