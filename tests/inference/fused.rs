//! The fused decoder on the real `SmolLM2`, against candle's graph in f32 of the same weights.

use fdk_inference::{
    Assets, DecoderPrecision, GenerateRequest, GenerateSettings, Generator, Interrupt, Message, Role,
};
use std::sync::LazyLock;

static FUSED: LazyLock<Generator> = LazyLock::new(|| open(DecoderPrecision::Quantised));
static FULL: LazyLock<Generator> = LazyLock::new(|| open(DecoderPrecision::Full));

fn open(precision: DecoderPrecision) -> Generator {
    let assets = Assets::open(&fdk_models::obtain("smollm2").unwrap(), Some("smollm2")).unwrap();
    Generator::open_with(assets, &GenerateSettings::default().precision(precision).context(1024)).unwrap()
}

const TEXT: &str = "The sun rises in the east and sets in the west. Water boils at one hundred degrees Celsius and freezes \
    at zero. A week has seven days, a year has twelve months, and a century has one hundred years. In the beginning of the \
    story, a young girl walks through the forest to visit her grandmother, who lives in a small house near the river.";

/// Logits of what follows, in `f64`.
fn logits(model: &Generator, request: &GenerateRequest) -> Vec<f64> {
    model.logits(request, &Interrupt::never()).unwrap().into_iter().map(f64::from).collect()
}

/// The natural logarithms of the probabilities that logits give.
fn surprises(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum = logits.iter().map(|logit| (logit - most).exp()).sum::<f64>().ln();
    logits.iter().map(|logit| logit - most - sum).collect()
}

#[test]
fn numbers_are_those_of_f32_but_for_the_activations_eight_bits() {
    for words in [1, 7, 20, 58] {
        let text: Vec<&str> = TEXT.split(' ').take(words).collect();
        let request = GenerateRequest::prompt(text.join(" "));
        let (ours, exact) = (logits(&FUSED, &request), logits(&FULL, &request));
        // How much is lost by telling the one's tokens with the other's probabilities.
        let (p, q) = (surprises(&exact), surprises(&ours));
        let lost: f64 = p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum();
        println!("{words} words: divergence {lost:.5} nats");
        assert!(lost < 0.03, "{words} words: {lost}");
    }
}

#[test]
fn perplexity_is_within_two_percent_of_f32() {
    let perplexity = |model: &Generator| model.perplexity(TEXT, &Interrupt::never()).unwrap();
    let (ours, exact) = (perplexity(&FUSED), perplexity(&FULL));
    println!("perplexity: {exact:.4} in f32, {ours:.4} fused");
    assert!((ours / exact - 1.0).abs() < 0.02, "{ours} {exact}");
}

#[test]
fn the_likeliest_tokens_are_those_of_f32_where_the_margin_is_wide() {
    let user = |text: &str| GenerateRequest::conversation([Message::new(Role::User, text)]).max_tokens(12);
    for request in [
        GenerateRequest::prompt("One, two, three, four, five,").max_tokens(5),
        GenerateRequest::prompt("Monday, Tuesday, Wednesday,").max_tokens(8),
        user("Repeat after me: the quick brown fox jumps over the lazy dog."),
    ] {
        let say = |model: &Generator| model.generate(&request, &Interrupt::never()).unwrap().text;
        assert_eq!(say(&FUSED), say(&FULL));
    }
}
