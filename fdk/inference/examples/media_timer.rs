//! Our side of `tests/bench/media.py`: opens the model of pictures or of speech, then reads names of files, one a line, and prints
//! for each the milliseconds from the bytes to the reply, and the reply.

#![expect(clippy::print_stdout, reason = "the bench reads it")]

use fdk_inference::{
    Assets, ClassifyImageRequest, ImageClassifier, Interrupt, TranscribeRequest, Transcriber, assets,
};
use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let which = std::env::args().nth(1).unwrap_or_default();
    let folder = assets::folder(std::env::var("FDK_ASSETS_DIR").ok().as_deref())?;
    let files = |model: &str| Assets::open(&folder, Some(model));
    match which.as_str() {
        "picture" => {
            let model = ImageClassifier::open(files("efficientnet-lite0")?)?;
            serve(|file| {
                let reply = model.classify(&ClassifyImageRequest::new(file), &Interrupt::never())?;
                Ok(reply.predictions[0].label.to_string())
            })
        }
        "speech" => {
            let model = Transcriber::open(files("whisper-tiny-en")?)?;
            serve(|file| Ok(model.transcribe(&TranscribeRequest::new(file), &Interrupt::never())?.text))
        }
        _ => Err("say picture or speech".into()),
    }
}

type Work<'w> = &'w dyn Fn(Vec<u8>) -> Result<String, fdk_inference::Error>;

fn serve(
    work: impl Fn(Vec<u8>) -> Result<String, fdk_inference::Error>,
) -> Result<(), Box<dyn std::error::Error>> {
    let work: Work<'_> = &work;
    println!("ready");
    for name in stdin().lock().lines() {
        let file = std::fs::read(name?)?;
        let began = Instant::now();
        let reply = work(file)?;
        println!("{:.3} {reply}", began.elapsed().as_secs_f64() * 1000.0);
        stdout().flush()?;
    }
    Ok(())
}
