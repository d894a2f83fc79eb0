//! The task `tokens`: texts → the names and terms in them (token classification, such as NER).

use crate::assets::Assets;
use crate::encoder::{Encoder, Shortage, check_size};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::models::probability::softmax;
use crate::texts::{Usage, one_or_many};
use crate::tokenizer::{Input, Placed};
use serde::{Deserialize, Serialize};

/// What to look through: `{"inputs": "text" | ["…"]}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokensRequest {
    /// The texts, at most 4,096 of at most 256 KiB each; in JSON a single text may stand without brackets. What is over the
    /// model's limit is cut, and reported: split a long text at paragraphs.
    #[serde(deserialize_with = "one_or_many")]
    pub inputs: Vec<String>,
}

impl TokensRequest {
    /// A request for these texts.
    pub fn new<T: Into<String>>(inputs: impl IntoIterator<Item = T>) -> Self {
        Self { inputs: inputs.into_iter().map(Into::into).collect() }
    }
}

/// The entities of each text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokensReply {
    /// One list for each text, for a single text as well, in the text's order.
    pub entities: Vec<Vec<Entity>>,
    /// The model's name.
    pub model: String,
    /// What it took.
    pub usage: Usage,
}

/// A name or term in a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entity {
    /// What it is, without the marks of its beginning: `PER` for `B-PER I-PER`.
    pub label: String,
    /// Where it begins, in characters (Unicode scalar values) from the text's start.
    pub start: usize,
    /// Where it ends: the first character after it.
    pub end: usize,
    /// The mean probability of its words' labels, 0 to 1.
    pub score: f32,
    /// The characters themselves.
    pub text: String,
}

/// A model that finds entities.
#[derive(Debug)]
pub struct Tagger(Encoder);

impl Tagger {
    /// Opens a checkpoint with a head for tokens.
    #[expect(clippy::needless_pass_by_value, reason = "the files are the model's from here on")]
    pub fn open(assets: Assets) -> Result<Self, Error> {
        let encoder = Encoder::open(&assets)?;
        if !encoder.family.is_token_classifier() {
            return Err(Error::model(
                "has no head for tokens",
                "config.json names no …ForTokenClassification",
            ));
        }
        let tagger = Self(encoder);
        let warm_up = TokensRequest::new(["warm up"]);
        assets.timings().time("warm-up", || tagger.tokens(&warm_up, &Interrupt::never()))?;
        Ok(tagger)
    }

    /// Finds the entities of a request's texts.
    ///
    /// A word has the label of its first token, as models are trained. Words of one label that follow each other are one
    /// entity; `B-` begins another, and so do `S-` and `U-`, which hold one word.
    pub fn tokens(&self, request: &TokensRequest, interrupt: &Interrupt<'_>) -> Result<TokensReply, Error> {
        let place = |(index, text): (usize, &String)| {
            interrupt.check()?;
            check_size(text, || format!("inputs[{index}]"))?;
            self.0.tokenizer.placed(text)
        };
        let placed: Vec<Placed> = request.inputs.iter().enumerate().map(place).collect::<Result<_, _>>()?;
        let ids: Vec<Input> = placed.iter().map(|text| text.ids.clone()).collect();
        let labels = self.0.family.labels();
        let mut entities = vec![Vec::new(); ids.len()];
        self.0.run(&ids, Shortage::Refuse("inputs"), interrupt, |index, hidden| {
            let scores: Vec<Vec<f32>> = self.0.logits(hidden)?.iter().map(|row| softmax(row)).collect();
            entities[index] = merge(&request.inputs[index], &words(&placed[index], &scores, labels));
            Ok(())
        })?;
        Ok(TokensReply { entities, model: self.0.name().to_owned(), usage: Usage::of(&ids, &[]) })
    }
}

/// One word of a text, in characters, and the likeliest label of its first token.
#[derive(Debug, Clone, PartialEq)]
struct Word<'l> {
    start: usize,
    end: usize,
    label: &'l str,
    score: f32,
}

fn words<'l>(text: &Placed, scores: &[Vec<f32>], labels: &'l [String]) -> Vec<Word<'l>> {
    let mut words: Vec<Word<'l>> = Vec::new();
    let mut last = None;
    for ((place, word), scores) in text.places.iter().zip(&text.words).zip(scores) {
        let Some((start, end)) = *place else { continue };
        if last == Some(*word) {
            if let Some(whole) = words.last_mut() {
                whole.end = whole.end.max(end);
            }
            continue;
        }
        last = Some(*word);
        let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        if let Some((label, score)) = best.and_then(|best| Some((labels.get(best)?, scores[best]))) {
            words.push(Word { start, end, label, score });
        }
    }
    words
}

/// Joins words into entities by the marks of their labels (BIO, BILOU, IOBES).
fn merge(text: &str, words: &[Word<'_>]) -> Vec<Entity> {
    let mut entities: Vec<(Entity, usize)> = Vec::new();
    let mut open = false;
    for word in words {
        let (mark, label) = match word.label.split_once('-') {
            Some((mark @ ("B" | "I" | "L" | "E" | "S" | "U"), label)) => (mark, label),
            // A label without a mark is one of plain classes.
            _ => ("I", word.label),
        };
        if label == "O" {
            open = false;
            continue;
        }
        let begins = matches!(mark, "B" | "S" | "U");
        match entities.last_mut() {
            Some((entity, count)) if open && !begins && entity.label == label => {
                entity.end = word.end;
                entity.score += word.score;
                *count += 1;
            }
            _ => {
                let entity = Entity {
                    label: label.to_owned(),
                    start: word.start,
                    end: word.end,
                    score: word.score,
                    text: String::new(),
                };
                entities.push((entity, 1));
            }
        }
        open = !matches!(mark, "L" | "E" | "S" | "U");
    }
    let finish = |(mut entity, count): (Entity, usize)| {
        #[expect(clippy::cast_precision_loss, reason = "an entity has few words")]
        let count = count as f32;
        entity.score /= count;
        // RoBERTa's tokens hold the space before a word.
        let inside: Vec<char> = text.chars().skip(entity.start).take(entity.end - entity.start).collect();
        entity.start += inside.iter().take_while(|c| c.is_whitespace()).count();
        entity.text = inside.into_iter().skip_while(|c| c.is_whitespace()).collect();
        entity
    };
    entities.into_iter().map(finish).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(labels: &[&str]) -> Vec<(String, String)> {
        let text = "aa bb cc dd";
        let words: Vec<Word<'_>> = labels
            .iter()
            .enumerate()
            .map(|(index, label)| Word { start: index * 3, end: index * 3 + 2, label, score: 0.5 })
            .collect();
        merge(text, &words).into_iter().map(|entity| (entity.label, entity.text)).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(label, text)| ((*label).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn marks_say_where_an_entity_ends() {
        assert_eq!(merged(&["B-PER", "I-PER", "O", "B-LOC"]), pairs(&[("PER", "aa bb"), ("LOC", "dd")]));
        assert_eq!(
            merged(&["B-PER", "B-PER", "I-LOC", "O"]),
            pairs(&[("PER", "aa"), ("PER", "bb"), ("LOC", "cc")])
        );
        assert_eq!(merged(&["I-PER", "I-PER", "O", "I-PER"]), pairs(&[("PER", "aa bb"), ("PER", "dd")]));
        assert_eq!(
            merged(&["U-PER", "B-LOC", "L-LOC", "U-LOC"]),
            pairs(&[("PER", "aa"), ("LOC", "bb cc"), ("LOC", "dd")])
        );
        assert_eq!(
            merged(&["S-PER", "B-LOC", "E-LOC", "I-LOC"]),
            pairs(&[("PER", "aa"), ("LOC", "bb cc"), ("LOC", "dd")])
        );
        assert_eq!(merged(&["NAME", "NAME", "O", "O"]), pairs(&[("NAME", "aa bb")]));
        assert_eq!(merged(&["O", "O"]), pairs(&[]));
    }

    #[test]
    fn characters_are_not_bytes() {
        let text = "é Zoë x";
        let words = [Word { start: 1, end: 5, label: "B-PER", score: 0.8 }];
        let entity = &merge(text, &words)[0];
        assert_eq!((entity.start, entity.end, entity.text.as_str()), (2, 5, "Zoë"));
    }
}
