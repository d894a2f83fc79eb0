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
