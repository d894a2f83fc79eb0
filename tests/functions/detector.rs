//! A function that hears where somebody speaks: no example is it alone.

use fdk::{Bytes, Context, DetectSpeechReply, DetectSpeechRequest, Json, Result, SpeechDetector};
use std::process::ExitCode;

fn main() -> ExitCode {
    fdk::function().state(|init| SpeechDetector::open(init.assets("silero-vad")?)).run(detect)
}

async fn detect(cx: Context<SpeechDetector>, body: Bytes) -> Result<Json<DetectSpeechReply>> {
    cx.infer(|model, interrupt| model.detect(&DetectSpeechRequest::read(&body)?, interrupt)).await
}
