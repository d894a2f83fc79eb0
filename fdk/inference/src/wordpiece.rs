//! BERT's tokenizer on a table that needs no parsing: the normaliser, the splitting into words, and `WordPiece` (Wu et al.,
//! 2016), with the ids of the `tokenizers` crate, whose Unicode tables it shares.

mod classes;
mod rules;

use crate::error::Error;
use crate::prepared::{Maker, Prepared};
use classes::{CLASSES, Class, is_chinese, is_dropped, is_punctuation, is_space};
use fdk_kernels::numbers::Numbers;
use rules::Rules;
use serde_json::Value;
use unicode_categories::UnicodeCategories as _;
use unicode_normalization_alignments::UnicodeNormalization as _;

/// The most bytes of a token, so that a word's hashes have a place on the stack.
const LONGEST: usize = 128;
/// What the kind of an encoder's tables says of the tokenizer.
pub(crate) const ABOUT: &str = "wordpiece";

/// A tokenizer whose table is read in place.
#[derive(Debug)]
pub(crate) struct WordPiece {
    rules: Rules,
    /// A hash table with open addressing: of each slot the hash, and the number of its token, from 1; 0 is empty.
    slots: Numbers<u32>,
    /// Of each token where its text begins and ends, and its id.
    tokens: Numbers<u32>,
    text: Numbers<u8>,
    shift: u32,
}

impl WordPiece {
    /// Adds the tables of a `tokenizer.json` to a prepared file, and returns what is to be said of it. `None` when it is of
    /// another kind, which the crate must do.
    pub(crate) fn prepare(json: &Value, maker: &mut Maker) -> Option<Value> {
        let rules = Rules::of(json)?;
        let vocabulary = json["model"]["vocab"].as_object()?;
        let mut slots = vec![0_u32; 2 * (2 * vocabulary.len()).next_power_of_two().max(2)];
        let shift = shift(slots.len());
        let (mut tokens, mut text) = (Vec::new(), Vec::new());
        for (token, id) in vocabulary {
            let id = u32::try_from(id.as_u64()?).ok()?;
            let (inside, token) = match token.strip_prefix("##") {
                Some(rest) if !rest.is_empty() => (true, rest),
                _ => (false, token.as_str()),
            };
            if token.len() > LONGEST || token.is_empty() {
                return None;
            }
            let begin = u32::try_from(text.len()).ok()?;
            text.extend_from_slice(token.as_bytes());
            tokens.extend([begin, u32::try_from(text.len()).ok()?, id]);
            let hash = token.bytes().fold(seed(inside), step);
            let mut slot = first(hash, shift);
            while slots[2 * slot + 1] != 0 {
                slot = (slot + 1) % (slots.len() / 2);
            }
            slots[2 * slot] = hash;
            slots[2 * slot + 1] = u32::try_from(tokens.len() / 3).ok()?;
        }
        maker.add("tokenizer.slots", slots);
        maker.add("tokenizer.tokens", tokens);
        maker.add("tokenizer.text", text);
        serde_json::to_value(rules).ok()
    }

    /// The tokenizer of a prepared file, where it has one.
    pub(crate) fn open(file: &Prepared) -> Result<Option<Self>, Error> {
        let damaged = |why: &str| Error::model("has a prepared file that cannot be used", why.to_owned());
        let Some(rules) = file.about().get(ABOUT).filter(|rules| !rules.is_null()) else { return Ok(None) };
        let rules: Rules = serde_json::from_value(rules.clone())
            .map_err(|_| damaged("its tokenizer's rules do not parse"))?;
        if rules.special.iter().any(|(token, _)| token.is_empty()) {
            return Err(damaged("its tokenizer has a special token without a letter"));
        }
        let slots = file.numbers::<u32>("tokenizer.slots")?;
        let tokens = file.numbers::<u32>("tokenizer.tokens")?;
        let text = file.numbers::<u8>("tokenizer.text")?;
        let (size, count) = (slots.get().len() / 2, tokens.get().len() / 3);
        // With an empty slot every search ends.
        if !slots.get().len().is_multiple_of(2) || !size.is_power_of_two() || size < 2 || count >= size {
            return Err(damaged("its tokenizer's table is not of a possible size"));
        }
        let shift = shift(slots.get().len());
        Ok(Some(Self { rules, slots, tokens, text, shift }))
    }

    /// The tokens that open and close a text.
    pub(crate) fn ends(&self) -> (u32, u32) {
        (self.rules.opening, self.rules.closing)
    }

    /// Adds a text's ids, without the tokens around it.
    pub(crate) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let mut scratch = String::new();
        let mut rest = text;
        while let Some((at, length, id)) = self.special(rest) {
            self.piece(&rest[..at], ids, &mut scratch);
            ids.push(id);
            rest = &rest[at + length..];
        }
        self.piece(rest, ids, &mut scratch);
    }

    /// The first special token in a text, the longest that begins there.
    fn special(&self, text: &str) -> Option<(usize, usize, u32)> {
        let firsts = |byte: u8| self.rules.special.iter().any(|(token, _)| token.as_bytes()[0] == byte);
        text.bytes().enumerate().filter(|(_, byte)| firsts(*byte)).find_map(|(at, _)| {
            let found = self
                .rules
                .special
                .iter()
                .find(|(token, _)| text.as_bytes()[at..].starts_with(token.as_bytes()));
            found.map(|(token, id)| (at, token.len(), *id))
        })
    }

    fn piece(&self, text: &str, ids: &mut Vec<u32>, scratch: &mut String) {
        scratch.clear();
        if text.is_ascii() {
            self.ascii(text, ids, scratch);
        } else {
            self.normalise(text, scratch);
            self.words(scratch, ids);
        }
    }

    /// Most texts: there is nothing to compose, and a table says what each byte is.
    fn ascii(&self, text: &str, ids: &mut Vec<u32>, word: &mut String) {
        for byte in text.bytes() {
            match CLASSES[usize::from(byte)] {
                Class::Dropped => {}
                Class::Letter => {
                    word.push(char::from(if self.rules.lowercase {
                        byte.to_ascii_lowercase()
                    } else {
                        byte
                    }));
                }
                class => {
                    self.word(word, ids);
                    word.clear();
                    if class == Class::Punctuation {
                        word.push(char::from(byte));
                        self.word(word, ids);
                        word.clear();
                    }
                }
            }
        }
        self.word(word, ids);
    }

    /// Cleans, sets Chinese characters apart, takes accents off, lowers.
    fn normalise(&self, text: &str, out: &mut String) {
        let cleaned = text.chars().filter(|c| !is_dropped(*c)).map(|c| if is_space(c) { ' ' } else { c });
        let chinese = self.rules.chinese;
        let apart = cleaned.flat_map(move |c| {
            let space = (chinese && is_chinese(c)).then_some(' ');
            space.into_iter().chain(Some(c)).chain(space)
        });
        let lowered = |out: &mut String, c: char| {
            if !self.rules.lowercase {
                out.push(c);
            } else if c.is_ascii() {
                out.push(c.to_ascii_lowercase());
            } else {
                out.extend(c.to_lowercase());
            }
        };
        if self.rules.strip_accents {
            apart
                .nfd()
                .map(|(c, _)| c)
                .filter(|c| c.is_ascii() || !c.is_mark_nonspacing())
                .for_each(|c| lowered(out, c));
        } else {
            apart.for_each(|c| lowered(out, c));
        }
    }

    /// The words of a normalised text: what is between spaces, and each punctuation mark by itself.
    fn words(&self, text: &str, ids: &mut Vec<u32>) {
        let mut begin = 0;
        for (at, c) in text.char_indices() {
            let space = c == ' ' || (!c.is_ascii() && c.is_whitespace());
            if space || is_punctuation(c) {
                self.word(&text[begin..at], ids);
                begin = at + c.len_utf8();
                if !space {
                    self.word(&text[at..begin], ids);
                }
            }
        }
        self.word(&text[begin..], ids);
    }

    /// A word in the longest pieces that there are, from its beginning on.
    fn word(&self, word: &str, ids: &mut Vec<u32>) {
        if word.is_empty() {
            return;
        }
        let most = self.rules.most_chars;
        if word.len() > most && word.chars().count() > most {
            return ids.push(self.rules.unknown);
        }
        let (before, bytes) = (ids.len(), word.as_bytes());
        let mut start = 0;
        while start < bytes.len() {
            let rest = &bytes[start..];
            let rest = &rest[..rest.len().min(LONGEST)];
            let mut hashes = [0; LONGEST];
            let mut hash = seed(start > 0);
            for (hashed, byte) in hashes.iter_mut().zip(rest) {
                hash = step(hash, *byte);
                *hashed = hash;
            }
            let found = (1..=rest.len()).rev().find_map(|length| {
                let id = self.find(hashes[length - 1], &rest[..length])?;
                Some((length, id))
            });
            let Some((length, id)) = found else {
                ids.truncate(before);
                return ids.push(self.rules.unknown);
            };
            ids.push(id);
            start += length;
        }
    }

    /// The id of a token by its hash.
    fn find(&self, hash: u32, token: &[u8]) -> Option<u32> {
        let (slots, tokens, text) = (self.slots.get(), self.tokens.get(), self.text.get());
        let mask = slots.len() / 2 - 1;
        let mut slot = first(hash, self.shift);
        // As many steps as there are slots, should none be empty in a table that lies.
        for _ in 0..=mask {
            let [tag, number] = *slots.get(2 * slot..2 * slot + 2)? else { return None };
            let number = (number as usize).checked_sub(1)?;
            if tag == hash {
                let [begin, end, id] = *tokens.get(3 * number..3 * number + 3)? else { return None };
                // Of the same bytes and the same hash, it was hashed from the same seed: a step can be undone.
                if text.get(begin as usize..end as usize) == Some(token) {
                    return Some(id);
                }
            }
            slot = (slot + 1) & mask;
        }
        None
    }
}

/// FNV-1a, with another seed for what follows within a word.
fn seed(inside: bool) -> u32 {
    if inside { 0x5bd1_e995 } else { 0x811c_9dc5 }
}

fn step(hash: u32, byte: u8) -> u32 {
    (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
}

fn shift(numbers: usize) -> u32 {
    32 - (numbers / 2).trailing_zeros()
}

/// The slot of a hash: its upper bits, after they have been mixed.
fn first(hash: u32, shift: u32) -> usize {
    (hash.wrapping_mul(0x9e37_79b9) >> shift) as usize
}

#[cfg(test)]
#[cfg(feature = "text")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::PathBuf;

    /// Ours and the crate's, of a checkpoint of the black-box tests.
    fn both(name: &str, change: fn(&mut Value)) -> (WordPiece, tokenizers::Tokenizer) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/inference/checkpoints");
        let text = std::fs::read(path.join(name).join("tokenizer.json")).unwrap();
        let mut json: Value = serde_json::from_slice(&text).unwrap();
        change(&mut json);
        let mut maker = Maker::new("encoder", "f32");
        let about = WordPiece::prepare(&json, &mut maker).expect("it is a WordPiece of BERT's");
        maker.describe(Vec::new(), serde_json::json!({ABOUT: about}));
        let ours = WordPiece::open(&maker.open().unwrap()).unwrap().unwrap();
        let mut theirs: tokenizers::Tokenizer = serde_json::from_value(json).unwrap();
        theirs.with_padding(None).with_truncation(None).unwrap();
        (ours, theirs)
    }

    fn check(pair: &(WordPiece, tokenizers::Tokenizer), text: &str) {
        let mut ids = Vec::new();
        pair.0.encode(text, &mut ids);
        assert_eq!(ids, pair.1.encode(text, false).unwrap().get_ids(), "{text:?}");
        let whole = pair.1.encode(text, true).unwrap();
        let (opening, closing) = pair.0.ends();
        assert_eq!([&[opening][..], &ids, &[closing]].concat(), whole.get_ids(), "{text:?}");
    }

    #[test]
    fn every_character_is_taken_as_the_crate_takes_it() {
        for change in [
            (|_| {}) as fn(&mut Value),
            |json| json["normalizer"]["lowercase"] = false.into(),
            |json| json["normalizer"]["strip_accents"] = false.into(),
            |json| json["normalizer"]["handle_chinese_chars"] = false.into(),
        ] {
            let pair = both("cross", change);
            // Between letters, so that it shows whether it parts them; in pieces, so that a difference is told in short.
            let all: Vec<char> = (0..=0x3_2000).filter_map(char::from_u32).collect();
            for some in all.chunks(64) {
                let text: String = some.iter().flat_map(|c| ['a', *c, 'b', ' ']).collect();
                check(&pair, &text);
            }
        }
    }

    #[test]
    fn words_and_special_tokens_at_their_edges() {
        let pair = both("cross", |_| {});
        let long = "a".repeat(101);
        let rest = [
            "",
            " ",
            "[SEP]",
            "a[SEP]b[CLS",
            "[[MASK]]",
            "[sep]",
            "##s",
            "#",
            "[UNK][PAD]",
            "\u{0}",
            "e\u{301}",
            "\u{301}",
        ];
        for text in
            rest.iter().copied().chain([long.as_str(), &long[1..], &"é".repeat(100), &"é".repeat(101)])
        {
            check(&pair, text);
        }
    }

    #[test]
    fn another_kind_of_tokenizer_is_left_to_the_crate() {
        for change in [
            (|json| json["model"]["type"] = "BPE".into()) as fn(&mut Value),
            |json| json["normalizer"]["clean_text"] = false.into(),
            |json| json["added_tokens"][0]["lstrip"] = true.into(),
            |json| json["post_processor"] = Value::Null,
            |json| json["pre_tokenizer"]["type"] = "Whitespace".into(),
        ] {
            let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                .join("../../tests/inference/checkpoints/cross/tokenizer.json");
            let mut json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            change(&mut json);
            assert_eq!(WordPiece::prepare(&json, &mut Maker::new("encoder", "f32")), None);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_as_the_crate_takes_it(text in any::<String>(), words in "([a-zA-Z]{1,9}|[ .,'#\\[\\]-]|[À-ſ]|[一-龥]|[\u{300}-\u{36f}]|\\[SEP\\]){0,40}") {
            thread_local!(static PAIR: (WordPiece, tokenizers::Tokenizer) = both("cross", |_| {}));
            PAIR.with(|pair| {
                check(pair, &text);
                check(pair, &words);
            });
        }
    }
}
