//! Fits how a model's cosines become probabilities, on labelled sentences; prints the line for its entry in models.toml:
//! `cargo run --release -p fdk-inference --example fit_zero_shot model-assets minilm tests/inference/labelled.jsonl`
//!
//! The temperature is the one that makes the right labels likeliest under the softmax over all labels of the file. The
//! midpoint is then the cosine at which a label by itself is as likely right as wrong: the logistic curve of that
//! temperature under which the right ones are likeliest, right and wrong labels weighing the same.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it tells a person")]

use fdk_inference::{Assets, EmbedRequest, Embedder, Interrupt};
use serde::Deserialize;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

#[derive(Deserialize)]
struct Sentence {
    text: String,
    label: String,
}

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
    let sentences: Vec<Sentence> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut labels: Vec<&str> = sentences.iter().map(|sentence| sentence.label.as_str()).collect();
    labels.sort_unstable();
    labels.dedup();

    let model = Embedder::open(Assets::open(assets, Some(model))?)?;
    let embed = |texts: Vec<&str>| model.embed(&EmbedRequest::new(texts), &Interrupt::never());
    let texts = embed(sentences.iter().map(|sentence| sentence.text.as_str()).collect())?.embeddings;
    let named = embed(labels.clone())?.embeddings;
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
    let cosines: Vec<Vec<f64>> =
        texts.iter().map(|text| named.iter().map(|label| cosine(text, label)).collect()).collect();
    let right: Vec<usize> = sentences
        .iter()
        .map(|sentence| labels.binary_search(&sentence.label.as_str()).unwrap_or_default())
        .collect();

    let loss = |temperature: f64| -> f64 {
        let one = |(row, right): (&Vec<f64>, &usize)| {
            let sum: f64 = row.iter().map(|cosine| ((cosine - row[*right]) / temperature).exp()).sum();
            sum.ln()
        };
        cosines.iter().zip(&right).map(one).sum()
    };
    let temperature = least((1..=400).map(|step| f64::from(step) * 0.0005), loss);
    #[expect(clippy::cast_precision_loss, reason = "a file has few labels")]
    let wrong_weighs = 1.0 / (labels.len() as f64 - 1.0);
    let loss = |midpoint: f64| -> f64 {
        let unlikely = |sign: f64, cosine: f64| (sign * (midpoint - cosine) / temperature).exp().ln_1p();
        let one = |(row, right): (&Vec<f64>, &usize)| {
            row.iter()
                .enumerate()
                .map(|(label, cosine)| {
                    if label == *right {
                        unlikely(1.0, *cosine)
                    } else {
                        wrong_weighs * unlikely(-1.0, *cosine)
                    }
                })
                .sum::<f64>()
        };
        cosines.iter().zip(&right).map(one).sum()
    };
    let midpoint = least((0..=200).map(|step| f64::from(step) * 0.005 - 0.2), loss);

    let best = |row: &Vec<f64>| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]));
    let hits = cosines.iter().zip(&right).filter(|(row, right)| best(row) == Some(**right)).count();
    println!("# {hits} of {} sentences, {} labels", sentences.len(), labels.len());
    println!("zero_shot = {{ temperature = {temperature:.4}, midpoint = {midpoint:.3} }}");
    Ok(())
}

/// The candidate of the least loss.
fn least(candidates: impl Iterator<Item = f64>, loss: impl Fn(f64) -> f64) -> f64 {
    candidates.min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or_default()
}
