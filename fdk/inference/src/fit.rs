//! Fits a [`LinearHead`] on examples: multinomial logistic regression on embeddings, with an L2 penalty on the weights.

use crate::embed::Embedder;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::linear_head::LinearHead;
use crate::models::probability::softmax;
use crate::prompts::Purpose;
use serde::Deserialize;

/// What a text is an example of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The text.
    pub text: String,
    /// Its label.
    pub label: String,
}

/// A head, and how one that was fitted without the examples held out did on those.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Fit {
    /// The head, fitted on every example.
    pub head: LinearHead,
    /// `confusion[a][b]`: how many held-out examples of label `a` were taken for label `b`, in the order of the head's labels.
    pub confusion: Vec<Vec<usize>>,
}

impl Fit {
    /// How many examples were held out.
    pub fn held_out(&self) -> usize {
        self.confusion.iter().flatten().sum()
    }

    /// How many of them were told right.
    pub fn right(&self) -> usize {
        self.confusion.iter().enumerate().map(|(label, row)| row[label]).sum()
    }
}

/// One example in so many of each label is held out.
const HELD_OUT: usize = 5;
/// How much weights cost. Embeddings have length 1, so that weights must be some tens for a label to be certain.
const PENALTY: f64 = 1e-3;
/// A label's loss curves by at most 1/2 (softmax) times the square of an embedding's length and its bias, 2 in all.
const STEP: f64 = 1.0 / (1.0 + PENALTY);
/// With this curvature and penalty, the distance to the best weights falls by half every 22 rounds (Nesterov, 1983).
const ROUNDS: usize = 1000;

/// Fits a head on examples of at least two labels, and at least two of each label.
///
/// One in five of each label is held out, spread over its examples, and a head fitted without them is judged by them. The
/// result is fitted on all. It is the same for the same examples in the same order.
pub fn fit(model: &Embedder, examples: &[Example], interrupt: &Interrupt<'_>) -> Result<Fit, Error> {
    let mut labels: Vec<String> = examples.iter().map(|example| example.label.clone()).collect();
    labels.sort_unstable();
    labels.dedup();
    let class = |example: &Example| labels.binary_search(&example.label).unwrap_or_default();
    let classes: Vec<usize> = examples.iter().map(class).collect();
    if labels.len() < 2 {
        return Err(Error::input("label", "a head tells labels apart: give examples of at least two"));
    }
    let mut seen = vec![0; labels.len()];
    let held: Vec<bool> = classes
        .iter()
        .map(|class| {
            seen[*class] += 1;
            // The second, the seventh …: of two examples one is left to learn from.
            seen[*class] % HELD_OUT == 2
        })
        .collect();
    if let Some(class) = seen.iter().position(|count| *count < 2) {
        let message = format!("label '{}' has one example: give at least two of each", labels[class]);
        return Err(Error::input("label", message));
    }
    let texts = examples.iter().map(|example| &example.text);
    let (vectors, _) = model.vectors("text", texts, Purpose::Any, interrupt)?;
    let points: Vec<(&[f32], usize)> = vectors.iter().map(Vec::as_slice).zip(classes).collect();
    let part =
        |of: bool| points.iter().zip(&held).filter(move |(_, held)| **held == of).map(|(point, _)| *point);
    let trial = regress(&labels, &part(false).collect::<Vec<_>>(), interrupt)?;
    let mut confusion = vec![vec![0; labels.len()]; labels.len()];
    for (vector, class) in part(true) {
        let logits = trial.logits(vector);
        let told = (0..labels.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap_or_default();
        confusion[class][told] += 1;
    }
    Ok(Fit { head: regress(&labels, &points, interrupt)?, confusion })
}

/// The weights of the least mean loss and penalty, by Nesterov's gradient method from zero: the problem is convex, so that
/// there is one best answer and this comes near it.
fn regress(
    labels: &[String],
    points: &[(&[f32], usize)],
    interrupt: &Interrupt<'_>,
) -> Result<LinearHead, Error> {
    let width = points.first().map_or(0, |(vector, _)| vector.len());
    // The bias is the last of a row: the weight of a number that is always 1.
    let row = width + 1;
    let momentum = {
        let root = (PENALTY * STEP).sqrt();
        (1.0 - root) / (1.0 + root)
    };
    let (mut weights, mut ahead) = (vec![0.0; labels.len() * row], vec![0.0; labels.len() * row]);
    for _ in 0..ROUNDS {
        interrupt.check()?;
        let gradient = gradient(&ahead, row, points);
        for ((weight, ahead), slope) in weights.iter_mut().zip(&mut ahead).zip(gradient) {
            let next = *ahead - STEP * slope;
            *ahead = next + momentum * (next - *weight);
            *weight = next;
        }
    }
    let rows = || weights.chunks_exact(row);
    #[expect(clippy::cast_possible_truncation, reason = "f32 is what a head holds")]
    let narrow = |number: &f64| *number as f32;
    let weight = rows().flat_map(|row| &row[..width]).map(narrow).collect();
    let bias = rows().map(|row| narrow(&row[width])).collect();
    Ok(LinearHead::new(labels.to_vec(), width, weight, bias))
}

/// The slope of the mean loss and the penalty, the biases' penalty apart: they pay a thousandth of it, so that the problem
/// has one answer.
fn gradient(weights: &[f64], row: usize, points: &[(&[f32], usize)]) -> Vec<f64> {
    let width = row - 1;
    #[expect(clippy::cast_precision_loss, reason = "examples are far fewer than 2⁵²")]
    let share = 1.0 / points.len() as f64;
    let mut gradient: Vec<f64> = weights.iter().map(|weight| weight * PENALTY).collect();
    for bias in gradient.chunks_exact_mut(row) {
        bias[width] *= 1e-3;
    }
    for (vector, class) in points {
        let logit = |weights: &[f64]| {
            vector.iter().zip(weights).map(|(x, w)| f64::from(*x) * w).sum::<f64>() + weights[width]
        };
        #[expect(clippy::cast_possible_truncation, reason = "probabilities need no more")]
        let logits: Vec<f32> = weights.chunks_exact(row).map(|weights| logit(weights) as f32).collect();
        for (label, (probability, slopes)) in
            softmax(&logits).into_iter().zip(gradient.chunks_exact_mut(row)).enumerate()
        {
            let over = share * (f64::from(probability) - f64::from(u8::from(label == *class)));
            for (slope, x) in slopes.iter_mut().zip(*vector) {
                *slope += over * f64::from(*x);
            }
            slopes[width] += over;
        }
    }
    gradient
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_are_the_best_there_are() {
        let points: [(&[f32], usize); 5] =
            [(&[1.0, 0.0], 0), (&[0.8, 0.6], 0), (&[0.0, 1.0], 1), (&[-0.6, 0.8], 1), (&[-1.0, 0.0], 2)];
        let labels = ["a", "b", "c"].map(String::from);
        let head = regress(&labels, &points, &Interrupt::never()).unwrap();
        for (vector, class) in &points {
            let logits = head.logits(vector);
            assert!((0..3).all(|other| other == *class || logits[other] < logits[*class]), "{logits:?}");
        }
        // Where the loss is least it has no slope.
        let weights: Vec<f64> = (0..3)
            .flat_map(|label| {
                let unit = |vector: [f32; 2]| f64::from(head.logits(&vector)[label]);
                let bias = unit([0.0, 0.0]);
                [unit([1.0, 0.0]) - bias, unit([0.0, 1.0]) - bias, bias]
            })
            .collect();
        let slope = gradient(&weights, 3, &points).into_iter().map(f64::abs).fold(0.0, f64::max);
        assert!(slope < 1e-5, "{slope}");
        let stop = || true;
        assert!(regress(&labels, &points, &Interrupt::when(&stop)).unwrap_err().is_interrupted());
    }
}
