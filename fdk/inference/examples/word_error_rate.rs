//! How many words of synthetic speech the transcriber gets wrong: sentences spoken by espeak-ng, in several voices.
//!
//! ```text
//! cargo run --release -p fdk-inference --features speech --example word_error_rate
//! ```
//!
//! It needs espeak-ng (`apt-get install espeak-ng`) and the fetched model (`cargo fdk assets fetch whisper-tiny-en`). Synthetic
//! voices are harder for a model that was trained on people, so the figure compares versions of this code, not models.

#![expect(clippy::print_stdout, reason = "it is a report")]

use fdk_inference::{Assets, Interrupt, TranscribeRequest, Transcriber, assets};
use std::process::Command;

const SENTENCES: [&str; 12] = [
    "The train to the airport leaves at nine in the morning.",
    "She opened the window and looked at the garden.",
    "Please send the report to my office before Friday.",
    "A small model can run on a cheap machine without a network.",
    "We walked along the river until the sun went down.",
    "The doctor said that the results will be ready tomorrow.",
    "Nobody knows how the story ends, because the last page is missing.",
    "The price of bread has gone up again this year.",
    "Turn left at the second street and stop in front of the library.",
    "He has been working for the same company since he was young.",
    "The water in the lake was cold, but the children went in.",
    "If it rains tonight, we will stay at home and play cards.",
];

/// Voice, and words a minute.
const VOICES: [(&str, u32); 3] = [("en-us", 150), ("en-gb", 150), ("en-us+f3", 140)];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Transcriber::open(Assets::open(&assets::folder(None)?, Some("whisper-tiny-en"))?)?;
    let folder = tempfile::tempdir()?;
    let (mut wrong, mut all) = (0, 0);
    for (voice, speed) in VOICES {
        let (mut wrong_here, mut all_here) = (0, 0);
        for sentence in SENTENCES {
            let file = folder.path().join("clip.wav");
            let mut espeak = Command::new("espeak-ng");
            espeak.args(["-v", voice, "-s", &speed.to_string(), "-w"]).arg(&file).arg(sentence);
            if !espeak.status()?.success() {
                return Err(format!("espeak-ng has no voice {voice}").into());
            }
            let reply =
                model.transcribe(&TranscribeRequest::new(std::fs::read(&file)?), &Interrupt::never())?;
            let (said, heard) = (words(sentence), words(&reply.text));
            let errors = distance(&said, &heard);
            if errors > 0 {
                println!("{voice:9} {errors} of {:2}  {}", said.len(), reply.text);
            }
            wrong_here += errors;
            all_here += said.len();
        }
        println!("{voice:9} word error rate {:.1} %", share(wrong_here, all_here));
        wrong += wrong_here;
        all += all_here;
    }
    let clips = SENTENCES.len() * VOICES.len();
    println!("{clips} clips, {all} words: word error rate {:.1} %", share(wrong, all));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "some hundreds")]
fn share(wrong: usize, all: usize) -> f64 {
    wrong as f64 / all as f64 * 100.0
}

/// Without case and punctuation; small numbers in figures are words.
fn words(text: &str) -> Vec<String> {
    let letters: String =
        text.to_lowercase().chars().filter(|c| c.is_alphanumeric() || c.is_whitespace()).collect();
    letters.split_whitespace().map(|word| if word == "9" { "nine" } else { word }.to_owned()).collect()
}

/// Words put in, left out or taken for others (Levenshtein).
fn distance(said: &[String], heard: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (i, word) in said.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in heard.iter().enumerate() {
            let above = row[j + 1];
            let change = corner + usize::from(word != other);
            row[j + 1] = change.min(above + 1).min(row[j] + 1);
            corner = above;
        }
    }
    row[heard.len()]
}
