//! Fits how a model's cosines become probabilities ([`ZeroShot`]) on labelled examples.

use crate::embed::Embedder;
use crate::error::Error;
use crate::fit::Example;
use crate::interrupt::Interrupt;
use crate::manifest::ZeroShot;
use crate::prompts::Purpose;

/// What was fitted, and how the model does on the examples.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ZeroShotFit {
    /// For the model's entry in `models.toml`.
    pub zero_shot: ZeroShot,
    /// How many examples are told right by the likeliest label.
    pub right: usize,
    /// The labels that there are.
    pub labels: Vec<String>,
}

/// Fits the temperature and the midpoint on examples of at least two labels.
///
/// The temperature is the one that makes the right labels likeliest under the softmax over all labels of the examples. The
/// midpoint is then the cosine at which a label by itself is as likely right as wrong: the logistic curve of that temperature
/// under which the right ones are likeliest, right and wrong labels weighing the same.
pub fn fit_zero_shot(
    model: &Embedder,
    examples: &[Example],
    interrupt: &Interrupt<'_>,
) -> Result<ZeroShotFit, Error> {
    let mut labels: Vec<String> = examples.iter().map(|example| example.label.clone()).collect();
    labels.sort_unstable();
    labels.dedup();
    if labels.len() < 2 {
        return Err(Error::input("label", "labels are told apart: give examples of at least two"));
    }
    let texts = examples.iter().map(|example| &example.text);
    let (texts, _) = model.vectors("text", texts, Purpose::Any, interrupt)?;
    let (named, _) = model.vectors("label", &labels, Purpose::Any, interrupt)?;
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
    let told = |(text, example): (&Vec<f32>, &Example)| Told {
        cosines: named.iter().map(|label| cosine(text, label)).collect(),
        right: labels.binary_search(&example.label).unwrap_or_default(),
    };
    let told: Vec<Told> = texts.iter().zip(examples).map(told).collect();
    let temperature = least((1..=400).map(|step| f64::from(step) * 0.0005), |at| softmax_loss(&told, at));
    let midpoint =
        least((0..=200).map(|step| f64::from(step) * 0.005 - 0.2), |at| curve_loss(&told, temperature, at));
    #[expect(clippy::cast_possible_truncation, reason = "an entry has a few digits")]
    let zero_shot = ZeroShot { temperature: temperature as f32, midpoint: midpoint as f32 };
    Ok(ZeroShotFit { zero_shot, right: told.iter().filter(|text| text.is_right()).count(), labels })
}

/// A text's cosines with the labels, and which label is its own.
struct Told {
    cosines: Vec<f64>,
    right: usize,
}

impl Told {
    fn is_right(&self) -> bool {
        let best = (0..self.cosines.len()).max_by(|a, b| self.cosines[*a].total_cmp(&self.cosines[*b]));
        best == Some(self.right)
    }
}

/// How unlikely the right labels are under the softmax of a temperature.
fn softmax_loss(told: &[Told], temperature: f64) -> f64 {
    let one = |text: &Told| {
        let right = text.cosines[text.right];
        let sum: f64 = text.cosines.iter().map(|cosine| ((cosine - right) / temperature).exp()).sum();
        sum.ln()
    };
    told.iter().map(one).sum()
}

/// How unlikely it is, under the logistic curve of a midpoint, that right labels are right and wrong ones wrong.
fn curve_loss(told: &[Told], temperature: f64, midpoint: f64) -> f64 {
    let one = |text: &Told| {
        #[expect(clippy::cast_precision_loss, reason = "there are few labels")]
        let wrong_weighs = 1.0 / (text.cosines.len() as f64 - 1.0);
        let labels = text.cosines.iter().enumerate();
        labels
            .map(|(label, cosine)| {
                let over = (midpoint - cosine) / temperature;
                if label == text.right { over.exp().ln_1p() } else { wrong_weighs * (-over).exp().ln_1p() }
            })
            .sum::<f64>()
    };
    told.iter().map(one).sum()
}

/// The candidate of the least loss.
fn least(candidates: impl Iterator<Item = f64>, loss: impl Fn(f64) -> f64) -> f64 {
    candidates.min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_candidates_are_found() {
        // Three of four are right by 0.1: e^(0.1 / t) is 3 where that is as likely.
        let told = |right| Told { cosines: vec![0.3, 0.2], right };
        let texts = [told(0), told(0), told(0), told(1)];
        let temperature =
            least((1..=400).map(|step| f64::from(step) * 0.0005), |at| softmax_loss(&texts, at));
        assert!((temperature - 0.1 / 3.0_f64.ln()).abs() <= 0.000_5, "{temperature}");
        assert_eq!(texts.iter().filter(|text| text.is_right()).count(), 3);
        // Right at 0.3 and wrong at 0.1: the curve is as far from the one as from the other.
        let apart = [Told { cosines: vec![0.3, 0.1], right: 0 }];
        let midpoint =
            least((0..=200).map(|step| f64::from(step) * 0.005 - 0.2), |at| curve_loss(&apart, 0.05, at));
        assert!((midpoint - 0.2).abs() < 1e-9, "{midpoint}");
    }
}
