//! The numbers that a model gives its tokens → the token that comes next.

use crate::error::Error;
use std::collections::HashSet;

/// How many times the likeliest token is asked for by itself, before all tokens are asked for at once.
const TRIES: usize = 4;
/// Of tokens in order the first so many are looked at before the rest is put in order too.
const HEAD: usize = 256;

/// How to choose, and what has been said already.
#[derive(Debug, Clone)]
pub(crate) struct Sampler {
    pub(crate) temperature: f32,
    pub(crate) top_p: f32,
    /// 0 for all.
    pub(crate) top_k: usize,
    /// 1 for none.
    pub(crate) penalty: f32,
    random: Random,
    said: HashSet<u32>,
}

/// Says of tokens whether they may come next.
pub(crate) trait Allow {
    /// Whether this one may.
    fn one(&mut self, token: u32) -> bool;

    /// Makes the numbers of all that may not −∞. An error where an interrupt came first.
    fn mask(&mut self, logits: &mut [f32]) -> Result<(), Error>;
}

impl Sampler {
    pub(crate) fn new(temperature: f32, top_p: f32, top_k: usize, penalty: f32, seed: u64) -> Self {
        Self { temperature, top_p, top_k, penalty, random: Random(seed), said: HashSet::new() }
    }

    /// Notes a token of the prompt or the reply.
    pub(crate) fn note(&mut self, token: u32) {
        if (self.penalty - 1.0).abs() > f32::EPSILON {
            self.said.insert(token);
        }
    }

    /// The next token; `None` where no token may come, or the model's numbers are none.
    pub(crate) fn pick(
        &mut self,
        logits: &mut [f32],
        allow: Option<&mut dyn Allow>,
    ) -> Result<Option<u32>, Error> {
        for logit in logits.iter_mut().filter(|logit| logit.is_nan()) {
            *logit = f32::NEG_INFINITY;
        }
        for token in &self.said {
            // Keskar et al., 2019
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit = if *logit > 0.0 { *logit / self.penalty } else { *logit * self.penalty };
            }
        }
        if self.temperature <= 0.0 {
            return likeliest_allowed(logits, allow);
        }
        if let Some(allow) = allow {
            allow.mask(logits)?;
        }
        Ok(self.draw(logits))
    }

    fn draw(&mut self, logits: &[f32]) -> Option<u32> {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if !most.is_finite() {
            return None;
        }
        let weight = |logit: f32| ((logit - most) / self.temperature).exp();
        let mut candidates: Vec<(f32, u32)> =
            logits.iter().map(|logit| weight(*logit)).zip(0..).filter(|(weight, _)| *weight > 0.0).collect();
        if self.top_k > 0 && self.top_k < candidates.len() {
            candidates.select_nth_unstable_by(self.top_k - 1, falling);
            candidates.truncate(self.top_k);
        }
        if self.top_p < 1.0 {
            nucleus(&mut candidates, self.top_p);
        }
        let sum: f32 = candidates.iter().map(|(weight, _)| weight).sum();
        let mut left = self.random.fraction() * sum;
        for (weight, token) in &candidates {
            left -= weight;
            if left <= 0.0 {
                return Some(*token);
            }
        }
        // Rounding left a little over.
        candidates.last().map(|(_, token)| *token)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as sorting passes them")]
fn falling(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

/// Keeps the likeliest candidates that together have a part `top_p` of the whole (Holtzman et al., 2019), at least one.
fn nucleus(candidates: &mut Vec<(f32, u32)>, top_p: f32) {
    let enough: f32 = candidates.iter().map(|(weight, _)| weight).sum::<f32>() * top_p;
    let keeps = |sorted: &[(f32, u32)]| {
        let mut sum = 0.0;
        sorted.iter().position(|(weight, _)| {
            sum += weight;
            sum >= enough
        })
    };
    if candidates.len() > HEAD {
        candidates.select_nth_unstable_by(HEAD - 1, falling);
        candidates[..HEAD].sort_unstable_by(falling);
        if let Some(last) = keeps(&candidates[..HEAD]) {
            candidates.truncate(last + 1);
            return;
        }
    }
    candidates.sort_unstable_by(falling);
    if let Some(last) = keeps(candidates) {
        candidates.truncate(last + 1);
    }
}

fn likeliest(logits: &[f32]) -> Option<u32> {
    let best = (0_u32..).zip(logits).reduce(|best, next| if *next.1 > *best.1 { next } else { best });
    best.filter(|(_, logit)| **logit > f32::NEG_INFINITY).map(|(token, _)| token)
}

fn likeliest_allowed(logits: &mut [f32], allow: Option<&mut dyn Allow>) -> Result<Option<u32>, Error> {
    let Some(allow) = allow else { return Ok(likeliest(logits)) };
    for _ in 0..TRIES {
        let Some(token) = likeliest(logits) else { return Ok(None) };
        if allow.one(token) {
            return Ok(Some(token));
        }
        logits[token as usize] = f32::NEG_INFINITY;
    }
    allow.mask(logits)?;
    Ok(likeliest(logits))
}

/// `SplitMix64` (Steele et al., 2014): the same numbers for the same seed, on every machine and in every version.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to just under 1.
    fn fraction(&mut self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "24 bits are an f32's")]
        let fraction = (self.next() >> 40) as f32 / (1 << 24) as f32;
        fraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Even;

    impl Allow for Even {
        fn one(&mut self, token: u32) -> bool {
            token.is_multiple_of(2)
        }

        fn mask(&mut self, logits: &mut [f32]) -> Result<(), Error> {
            for logit in logits.iter_mut().skip(1).step_by(2) {
                *logit = f32::NEG_INFINITY;
            }
            Ok(())
        }
    }

    fn pick(sampler: &mut Sampler, logits: &mut [f32], allow: Option<&mut dyn Allow>) -> Option<u32> {
        sampler.pick(logits, allow).unwrap()
    }

    fn counts(sampler: &mut Sampler, logits: &[f32], allow: bool) -> Vec<usize> {
        let mut counts = vec![0; logits.len()];
        for _ in 0..4000 {
            let mut even = Even;
            let allow = allow.then_some(&mut even as &mut dyn Allow);
            counts[pick(sampler, &mut logits.to_vec(), allow).unwrap() as usize] += 1;
        }
        counts
    }

    #[test]
    fn without_temperature_it_is_the_likeliest() {
        let mut sampler = Sampler::new(0.0, 1.0, 0, 1.0, 7);
        assert_eq!(pick(&mut sampler, &mut [0.1, 3.0, 3.0, f32::NAN], None), Some(1));
        assert_eq!(pick(&mut sampler, &mut [0.1, 3.0, 2.0], Some(&mut Even)), Some(2));
        let mut odd: Vec<f32> = (0..64_u8).map(|token| f32::from(token % 2) * 9.0).collect();
        assert_eq!(pick(&mut sampler, &mut odd, Some(&mut Even)), Some(0));
        assert_eq!(pick(&mut sampler, &mut [f32::NAN, f32::NEG_INFINITY], None), None);
    }

    #[test]
    fn tokens_come_as_often_as_they_are_likely() {
        // e^(ln 3) is three times e^0.
        let logits = [0.0, 3_f32.ln(), f32::NEG_INFINITY];
        let drawn = counts(&mut Sampler::new(1.0, 1.0, 0, 1.0, 1), &logits, false);
        assert!((900..1100).contains(&drawn[0]) && drawn[2] == 0, "{drawn:?}");
        let colder = counts(&mut Sampler::new(0.5, 1.0, 0, 1.0, 1), &logits, false);
        assert!((320..480).contains(&colder[0]), "a ninth to a tenth: {colder:?}");
        let even = counts(&mut Sampler::new(1.0, 1.0, 0, 1.0, 1), &[0.0, 9.0, 0.0], true);
        assert!(even[1] == 0 && (1850..2150).contains(&even[0]), "{even:?}");
        assert_eq!(counts(&mut Sampler::new(1.0, 1.0, 1, 1.0, 1), &logits, false)[1], 4000);
        assert_eq!(counts(&mut Sampler::new(1.0, 0.7, 0, 1.0, 1), &logits, false)[1], 4000);
        let both = counts(&mut Sampler::new(1.0, 0.8, 0, 1.0, 1), &logits, false);
        assert!(both[0] > 900, "three quarters are not enough: {both:?}");
    }

    #[test]
    fn a_seed_repeats_and_a_long_tail_is_cut() {
        let logits: Vec<f32> = (0..3000_u16).map(|token| -f32::from(token) / 400.0).collect();
        let run = |seed| {
            let mut sampler = Sampler::new(1.0, 0.9, 0, 1.0, seed);
            (0..50).map(|_| pick(&mut sampler, &mut logits.clone(), None).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
        // 1 − e^(−n/400) = 0.9 at n = 921.
        assert!(run(3).iter().all(|token| *token < 930) && run(3).iter().any(|token| *token > 300));
    }

    #[test]
    fn what_was_said_is_less_likely() {
        let mut sampler = Sampler::new(0.0, 1.0, 0, 2.0, 0);
        sampler.note(1);
        assert_eq!(pick(&mut sampler, &mut [1.0, 1.9], None), Some(0));
        assert_eq!(pick(&mut sampler, &mut [-3.0, -1.0], None), Some(1), "−2 is still more than −3");
    }
}
