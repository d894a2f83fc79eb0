//! Logits → probabilities.

/// Probabilities that sum to 1 (softmax), from the largest number down, so that nothing overflows.
pub(crate) fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|logit| f64::from(logit - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    #[expect(clippy::cast_possible_truncation, reason = "f32 is what a score holds")]
    powers.iter().map(|power| (power / sum) as f32).collect()
}

/// The probability of one class by itself.
#[cfg(any(feature = "text", feature = "speech"))]
pub(crate) fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}
