//! Fits how a model's cosines become probabilities, on labelled sentences; prints the line for its entry in models.toml:
//! `cargo run --release -p fdk-inference --example fit_zero_shot model-assets minilm tests/inference/labelled.jsonl`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it tells a person")]

use fdk_inference::{Assets, Embedder, Example, Interrupt, fit_zero_shot};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [assets, model, sentences] = &arguments[..] else {
        eprintln!("usage: fit_zero_shot ASSETS_DIR MODEL SENTENCES.jsonl");
        return ExitCode::from(2);
    };
    match fit(Path::new(assets), model, Path::new(sentences)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn fit(assets: &Path, model: &str, sentences: &Path) -> Result<(), Box<dyn Error>> {
    let text = std::fs::read_to_string(sentences)?;
    let examples: Vec<Example> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let model = Embedder::open(Assets::open(assets, Some(model))?)?;
    let fit = fit_zero_shot(&model, &examples, &Interrupt::never())?;
    println!("# {} of {} sentences, {} labels", fit.right, examples.len(), fit.labels.len());
    let fit = fit.zero_shot;
    println!("zero_shot = {{ temperature = {:.4}, midpoint = {:.3} }}", fit.temperature, fit.midpoint);
    Ok(())
}
