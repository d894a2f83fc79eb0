//! What is said in a recording: the bytes of a file → `{"text": "…", "segments": […]}`.

use fdk::{Bytes, Context, Reply, Result, Transcriber};

fn main() -> std::process::ExitCode {
    function().run(transcribe)
}

/// The model is the function's state: loaded once, before the first call.
fn function() -> fdk::Function<Transcriber> {
    fdk::function().state(|init| Transcriber::open(init.assets("whisper-tiny-en")?))
}

async fn transcribe(cx: Context<Transcriber>, body: Bytes) -> Result<Reply> {
    fdk::transcribe(&cx, cx.state(), body).await
}

#[cfg(test)]
mod tests {
    use fdk::TranscribeReply;
    use serde_json::Value;

    #[tokio::test]
    async fn a_sentence_is_heard_and_a_text_is_no_recording() {
        fdk_models::obtain("whisper-tiny-en").unwrap();
        let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/inference/recordings/sentence.ogg");
        let function = super::function().test(super::transcribe);
        let reply = function.body(std::fs::read(recording).unwrap()).call().await.json::<TranscribeReply>();
        assert!(reply.text.contains("cold today"), "{}", reply.text);
        let refused = function.http("POST", "/transcribe").body("a text").call().await;
        assert_eq!(refused.status(), 422);
        let message = refused.json::<Value>()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("send a WAV, FLAC, MP3 or OGG"), "{message}");
    }
}
