//! Where in a recording somebody speaks: probabilities → stretches of time, by the rules of Silero's own
//! `get_speech_timestamps`.

use crate::models::silero::CHUNK;
use crate::sound::RATE;

/// Speech begins where the probability reaches this.
const BEGINS: f32 = 0.5;
/// It ends where the probability stays below this.
const ENDS: f32 = 0.35;
/// A shorter silence does not end it, and a shorter stretch is none; in samples.
const SHORTEST_SILENCE: usize = RATE / 10;
const SHORTEST_SPEECH: usize = RATE / 4;
/// What is added at either end.
const PADDING: usize = RATE * 30 / 1000;

/// The stretches of speech, in samples, from the probability of each chunk of a recording of `length` samples.
pub(crate) fn stretches(probabilities: &[f32], length: usize) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    let (mut start, mut silence) = (None, None);
    for (index, probability) in probabilities.iter().enumerate() {
        let now = index * CHUNK;
        if *probability >= BEGINS {
            silence = None;
            start.get_or_insert(now);
        } else if let Some(begun) = start.filter(|_| *probability < ENDS) {
            let since = *silence.get_or_insert(now);
            if now - since >= SHORTEST_SILENCE {
                if since - begun > SHORTEST_SPEECH {
                    found.push((begun, since));
                }
                (start, silence) = (None, None);
            }
        }
    }
    if let Some(begun) = start.filter(|begun| length - begun > SHORTEST_SPEECH) {
        found.push((begun, length));
    }
    pad(&mut found, length);
    found
}

/// Adds the padding; where two stretches are too near for it, each gets half of what is between.
fn pad(found: &mut [(usize, usize)], length: usize) {
    let Some(first) = found.first_mut() else { return };
    first.0 = first.0.saturating_sub(PADDING);
    for index in 0..found.len() {
        let next = found.get(index + 1).map(|next| next.0);
        match next {
            Some(next) => {
                let between = next - found[index].1;
                let share = if between < 2 * PADDING { between / 2 } else { PADDING };
                found[index].1 += share;
                found[index + 1].0 -= share;
            }
            None => found[index].1 = (found[index].1 + PADDING).min(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_gaps_and_short_noises_do_not_count() {
        let mut probabilities = vec![0.0; 100];
        probabilities[10..30].fill(0.9);
        probabilities[20..22].fill(0.1); // 64 ms
        probabilities[50..55].fill(0.9); // 160 ms
        probabilities[80..100].fill(0.6);
        let length = 100 * CHUNK - 100;
        let expected = [(10 * CHUNK - PADDING, 30 * CHUNK + PADDING), (80 * CHUNK - PADDING, length)];
        assert_eq!(stretches(&probabilities, length), expected);
        assert!(stretches(&[], 0).is_empty());
        // Between the two thresholds speech goes on and does not begin.
        assert_eq!(stretches(&[0.4; 100], length), []);
    }
}
