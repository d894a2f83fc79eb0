//! The text of one window of sound: which token comes next, and whether what came can be true. The rules are those of Whisper's
//! own `decoding.py` and `transcribe.py`.

use crate::assets::Assets;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::models::whisper::Decoding;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Deserialize;
use std::io::Write as _;
use tokenizers::Tokenizer;

/// Time-stamps are this many seconds apart.
pub(crate) const SECONDS_PER_STAMP: f64 = 0.02;
/// The latest that the first text may begin.
const LATEST_BEGIN: u32 = 50;
/// Tried in turn until a text can be true.
const TEMPERATURES: [f32; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
/// A text that compresses better repeats itself.
const MOST_COMPRESSED: f32 = 2.4;
/// A text that is less likely, on the average of its tokens, is a guess.
const LEAST_LIKELY: f32 = -1.0;
/// A window that is a guess, and is silent with this probability, is silent.
const SILENT: f32 = 0.6;

/// The vocabulary: text and the marks beside it.
pub(crate) struct Vocabulary {
    tokenizer: Tokenizer,
    end: u32,
    start: u32,
    previous: u32,
    no_speech: u32,
    no_stamps: u32,
    /// What is never said, and what does not come first.
    suppressed: Vec<u32>,
    suppressed_first: Vec<u32>,
    /// The most tokens of a text, and of a prompt before it.
    longest: usize,
}

/// `config.json` as `CTranslate2` writes it.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    suppress_ids: Vec<u32>,
    #[serde(default)]
    suppress_ids_begin: Vec<u32>,
}

/// The text of a window, as tokens.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// Text and time-stamps, without the end.
    pub(crate) tokens: Vec<u32>,
    pub(crate) temperature: f32,
    pub(crate) average_log_probability: f32,
    pub(crate) compression_ratio: f32,
    pub(crate) no_speech_probability: f32,
}

impl Said {
    /// Whether nothing was said after all.
    pub(crate) fn is_silence(&self) -> bool {
        self.no_speech_probability > SILENT && self.average_log_probability < LEAST_LIKELY
    }

    fn is_credible(&self) -> bool {
        self.is_silence()
            || (self.compression_ratio <= MOST_COMPRESSED && self.average_log_probability >= LEAST_LIKELY)
    }

    /// Of two that cannot be true: one that does not repeat itself, and then the likelier.
    fn is_better_than(&self, other: &Self) -> bool {
        let rank = |said: &Self| said.compression_ratio <= MOST_COMPRESSED;
        match (rank(self), rank(other)) {
            (one, another) if one != another => one,
            _ => self.average_log_probability > other.average_log_probability,
        }
    }
}

impl Vocabulary {
    /// Reads `tokenizer.json` and `config.json` of an English model that knows this many tokens, in so many positions.
    pub(crate) fn open(assets: &Assets, tokens: usize, positions: usize) -> Result<Self, Error> {
        let fails = |why: String| Error::assets(format!("model {}: {why}", assets.name()));
        let path = assets.path("tokenizer.json");
        let tokenizer =
            Tokenizer::from_file(&path).map_err(|error| fails(format!("tokenizer.json: {error}")))?;
        let text = std::fs::read(assets.path("config.json"))
            .map_err(|error| fails(format!("config.json: {error}")))?;
        let config: Config =
            serde_json::from_slice(&text).map_err(|error| fails(format!("config.json: {error}")))?;
        let mark = |name: &str| {
            tokenizer.token_to_id(name).ok_or_else(|| fails(format!("its tokenizer has no token '{name}'")))
        };
        let (end, no_stamps) = (mark("<|endoftext|>")?, mark("<|notimestamps|>")?);
        // The English models have one token of text fewer than those of many languages.
        if end != 50_256 {
            return Err(fails("it is a model of many languages; only the English ones are served".into()));
        }
        if tokens <= no_stamps as usize || positions < 8 {
            return Err(fails(format!(
                "{tokens} tokens and {positions} positions are none of a Whisper model"
            )));
        }
        let no_speech = tokenizer.token_to_id("<|nospeech|>").map_or_else(|| mark("<|nocaptions|>"), Ok)?;
        let (start, previous) = (mark("<|startoftranscript|>")?, mark("<|startofprev|>")?);
        Ok(Self {
            end,
            start,
            previous,
            no_speech,
            no_stamps,
            suppressed: config.suppress_ids,
            suppressed_first: config.suppress_ids_begin,
            longest: positions / 2,
            tokenizer,
        })
    }

    /// The text of tokens, without marks.
    pub(crate) fn text(&self, tokens: &[u32]) -> Result<String, Error> {
        let text: Vec<u32> = tokens.iter().copied().filter(|token| *token < self.end).collect();
        self.tokenizer.decode(&text, true).map_err(|error| Error::model("cannot spell its tokens", error))
    }

    /// The time-stamp that a token is, counted from the beginning of the window.
    pub(crate) fn stamp(&self, token: u32) -> Option<u32> {
        token.checked_sub(self.no_stamps + 1)
    }

    /// What stands before the text: the end of a prompt, and the mark that begins it.
    pub(crate) fn before(&self, prompt: Option<&str>) -> Result<Vec<u32>, Error> {
        let mut before = Vec::new();
        if let Some(prompt) = prompt.map(str::trim).filter(|prompt| !prompt.is_empty()) {
            let encoded = self.tokenizer.encode(format!(" {prompt}"), false);
            let encoded = encoded.map_err(|error| Error::model("cannot tokenise the prompt", error))?;
            let ids = encoded.get_ids();
            before.push(self.previous);
            before.extend(&ids[ids.len().saturating_sub(self.longest - 1)..]);
        }
        before.push(self.start);
        Ok(before)
    }

    /// Decodes a window: greedily, and again at higher temperatures while the text cannot be true. Where none can, it is the
    /// likeliest of those that do not repeat themselves, as faster-whisper has it: the last, at temperature 1, is mostly noise.
    /// The interrupt is asked between tokens and between layers.
    pub(crate) fn say(
        &self,
        decoding: &mut Decoding<'_>,
        before: &[u32],
        temperatures: &[f32],
        interrupt: &Interrupt<'_>,
    ) -> Result<Said, Error> {
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
        let mut best = self.once(decoding, before, temperatures[0], &mut chance, interrupt)?;
        for temperature in &temperatures[1..] {
            if best.is_credible() {
                break;
            }
            let said = self.once(decoding, before, *temperature, &mut chance, interrupt)?;
            if said.is_credible() || said.is_better_than(&best) {
                best = said;
            }
        }
        Ok(best)
    }

    fn once(
        &self,
        decoding: &mut Decoding<'_>,
        before: &[u32],
        temperature: f32,
        chance: &mut Chance,
        interrupt: &Interrupt<'_>,
    ) -> Result<Said, Error> {
        decoding.restart();
        let mut logits = decoding.step(before, interrupt)?;
        let no_speech_probability = log_probabilities(&logits)[self.no_speech as usize].exp();
        let (mut tokens, mut sum) = (Vec::new(), 0.0);
        loop {
            self.rule(&mut logits, &tokens);
            let log_probabilities = log_probabilities(&logits);
            let token = if temperature > 0.0 {
                chance.pick(&log_probabilities, temperature)
            } else {
                most_likely(&log_probabilities)
            };
            sum += log_probabilities[token as usize];
            if token == self.end {
                break;
            }
            tokens.push(token);
            if tokens.len() == self.longest {
                break;
            }
            interrupt.check()?;
            logits = decoding.step(&[token], interrupt)?;
        }
        let text = self.text(&tokens)?;
        #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
        let count = (tokens.len() + 1) as f32;
        Ok(Said {
            tokens,
            temperature,
            average_log_probability: sum / count,
            compression_ratio: compression_ratio(&text),
            no_speech_probability,
        })
    }

    /// Takes away what must not follow: what is never said, and time-stamps out of pair or out of order.
    fn rule(&self, logits: &mut [f32], tokens: &[u32]) {
        const NEVER: f32 = f32::NEG_INFINITY;
        let stamps = self.no_stamps as usize + 1;
        let never = |logits: &mut [f32], range: std::ops::Range<usize>| {
            let end = range.end.min(logits.len());
            if let Some(logits) = logits.get_mut(range.start..end) {
                logits.fill(NEVER);
            }
        };
        let first = if tokens.is_empty() { &self.suppressed_first[..] } else { &[] };
        for token in self.suppressed.iter().chain(first) {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit = NEVER;
            }
        }
        let is_stamp = |token: Option<&u32>| token.is_some_and(|token| *token as usize >= stamps);
        let last = is_stamp(tokens.last());
        let last_but_one = tokens.len() < 2 || is_stamp(tokens.get(tokens.len() - 2));
        // Marks are for the beginning; time-stamps come in pairs, except before the end.
        never(logits, self.end as usize + 1..stamps);
        if last && last_but_one {
            never(logits, stamps..logits.len());
        } else if last {
            never(logits, 0..self.end as usize);
        }
        if let Some(latest) = tokens.iter().rev().find(|token| is_stamp(Some(*token))) {
            // The second of a pair may be the first once more; time never stands still otherwise.
            let from = *latest as usize + usize::from(!last || last_but_one);
            never(logits, stamps..from);
        }
        if tokens.is_empty() {
            never(logits, 0..stamps);
            never(logits, stamps + LATEST_BEGIN as usize + 1..logits.len());
        }
        // A time-stamp is due when all of them together are likelier than any word.
        let log_probabilities = log_probabilities(logits);
        let (text, times) = log_probabilities.split_at(stamps.min(logits.len()));
        let together: f64 = times.iter().map(|time| f64::from(*time).exp()).sum();
        let likeliest = text.iter().copied().fold(NEVER, f32::max);
        if together.ln() > f64::from(likeliest) {
            never(logits, 0..stamps);
        }
    }
}

/// The temperatures to try: from the one that the request names, or all.
pub(crate) fn temperatures(named: Option<f32>) -> Vec<f32> {
    match named {
        Some(named) if named > 0.0 => vec![named],
        _ => TEMPERATURES.to_vec(),
    }
}

fn log_probabilities(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
    let all = most + sum.ln();
    logits.iter().map(|logit| logit - all).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "a vocabulary fits")]
fn most_likely(log_probabilities: &[f32]) -> u32 {
    let best = log_probabilities.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |(token, _)| token as u32)
}

/// How much smaller zlib makes a text.
fn compression_ratio(text: &str) -> f32 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    compressed.map_or(1.0, |compressed| text.len() as f32 / compressed.len().max(1) as f32)
}

/// Numbers without a pattern, the same in every run (xorshift, Marsaglia 2003): the same recording has the same text.
struct Chance(u64);

impl Chance {
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a vocabulary fits")]
    fn pick(&mut self, log_probabilities: &[f32], temperature: f32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let scaled: Vec<f32> = log_probabilities.iter().map(|x| x / temperature).collect();
        let mut left = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        let shares = crate::models::probability::softmax(&scaled);
        for (token, share) in shares.iter().enumerate() {
            left -= f64::from(*share);
            if left < 0.0 {
                return token as u32;
            }
        }
        most_likely(log_probabilities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_texts_that_cannot_be_true_the_better_is_kept() {
        let said = |compression_ratio, average_log_probability| Said {
            tokens: Vec::new(),
            temperature: 0.0,
            average_log_probability,
            compression_ratio,
            no_speech_probability: 0.0,
        };
        let (repeats, unlikely, noise) = (said(3.0, -0.1), said(1.5, -1.2), said(1.5, -3.0));
        assert!(unlikely.is_better_than(&repeats) && !repeats.is_better_than(&noise));
        assert!(unlikely.is_better_than(&noise) && !noise.is_better_than(&unlikely));
    }

    #[test]
    fn a_text_that_repeats_itself_compresses_well() {
        let speech = "And so, my fellow Americans, ask not what your country can do for you.";
        assert!(compression_ratio(speech) < 1.5);
        assert!(compression_ratio(&"thank you. ".repeat(30)) > MOST_COMPRESSED);
        let said = |ratio, likely, silent| Said {
            tokens: Vec::new(),
            temperature: 0.0,
            average_log_probability: likely,
            compression_ratio: ratio,
            no_speech_probability: silent,
        };
        assert!(said(1.2, -0.3, 0.1).is_credible());
        assert!(!said(9.0, -0.3, 0.1).is_credible(), "it repeats itself");
        assert!(!said(1.2, -1.5, 0.1).is_credible(), "it is a guess");
        assert!(said(1.2, -1.5, 0.9).is_silence());
    }

    #[test]
    fn chance_is_the_same_in_every_run_and_follows_the_odds() {
        let odds = log_probabilities(&[1.0, 3.0, f32::NEG_INFINITY]);
        let mut counts = [0; 3];
        let mut chance = Chance(7);
        for _ in 0..1000 {
            counts[chance.pick(&odds, 1.0) as usize] += 1;
        }
        assert!(counts[2] == 0 && counts[1] > 800 && counts[0] > 60, "{counts:?}");
        assert_eq!(most_likely(&odds), 1);
        assert_eq!(temperatures(Some(0.5)), [0.5]);
        assert_eq!(temperatures(None).len(), 6);
    }
}
