//! Text → token ids.

use crate::assets::Assets;
use crate::error::Error;
use crate::models::family::Family;
use crate::prepared::Prepared;
use crate::wordpiece::WordPiece;
use serde_json::Value;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tokenizers::tokenizer::{Encoding, PostProcessor as _, TruncationDirection};

/// A model's tokenizer, with the model's own limit of tokens.
#[derive(Debug)]
pub struct Tokenizer {
    inner: Inner,
    limit: usize,
    /// How many special tokens end a text; a cut text keeps them.
    closing: usize,
}

#[derive(Debug)]
enum Inner {
    /// On the tables of a prepared file. Where each token stands in the text the crate says, which is read when that is
    /// first asked for.
    Own {
        tables: WordPiece,
        path: PathBuf,
        whole: OnceLock<Box<tokenizers::Tokenizer>>,
    },
    Crate(Box<tokenizers::Tokenizer>),
}

/// A text, or a pair of them, as a model takes it: ids with the special tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) ids: Vec<u32>,
    /// Which text of a pair each id is of; empty when all are of one.
    pub(crate) types: Vec<u32>,
    /// How many tokens there were before the text was cut to the limit.
    pub(crate) whole: usize,
}

/// The first text of pairs, tokenised once for all of them.
#[derive(Debug)]
pub(crate) struct First {
    /// What of it a pair may have room for.
    kept: Kept,
    whole: usize,
}

#[derive(Debug)]
enum Kept {
    Own(Vec<u32>),
    Crate(Box<Encoding>),
}

impl Input {
    pub(crate) fn is_truncated(&self) -> bool {
        self.whole > self.ids.len()
    }
}

/// A text's ids and where each came from.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) ids: Input,
    /// For each id the characters it stands for, from and to; `None` for a special token.
    pub(crate) places: Vec<Option<(usize, usize)>>,
    /// For each id the word it is a part of.
    pub(crate) words: Vec<Option<u32>>,
}

impl Tokenizer {
    /// Opens a model's tokenizer: `tokenizer.json`, and the limit from `sentence_bert_config.json`, or else from
    /// `tokenizer_config.json` or the number of positions in `config.json`.
    ///
    /// The padding and truncation that `tokenizer.json` itself carries are those of somebody's training run (128 for
    /// MiniLM) and are not used.
    ///
    /// Of a model with a prepared file it takes the tables in that.
    pub fn open(assets: &Assets) -> Result<Self, Error> {
        Self::of(assets, assets.prepared(crate::prepared::ENCODER)?.as_ref())
    }

    /// On the tables of a prepared file, where it has some.
    pub(crate) fn of(assets: &Assets, prepared: Option<&Prepared>) -> Result<Self, Error> {
        let path = assets.path("tokenizer.json");
        if let Some(tables) = prepared.map(WordPiece::open).transpose()?.flatten() {
            return Self::with(Inner::Own { tables, path, whole: OnceLock::new() }, 1, assets);
        }
        let tokenizer = load(&path)?;
        let closing =
            closing(&tokenizer).map_err(|error| Error::model("has a tokenizer that does not work", error))?;
        Self::with(Inner::Crate(Box::new(tokenizer)), closing, assets)
    }

    fn with(inner: Inner, closing: usize, assets: &Assets) -> Result<Self, Error> {
        let limit = limit(assets)?;
        if limit <= closing {
            return Err(Error::model(
                "cannot be served",
                format!("its limit of {limit} tokens leaves no room for a text"),
            ));
        }
        Ok(Self { inner, limit, closing })
    }

    /// The most tokens a text may have, special tokens included.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The ids of a text, cut to the limit.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.ids(text).map(|ids| ids.ids)
    }

    pub(crate) fn ids(&self, text: &str) -> Result<Input, Error> {
        let mut ids = match &self.inner {
            Inner::Own { tables, .. } => {
                let (opening, closing) = tables.ends();
                let mut ids = Vec::with_capacity(text.len() / 4 + 2);
                ids.push(opening);
                tables.encode(text, &mut ids);
                ids.push(closing);
                ids
            }
            Inner::Crate(tokenizer) => tokenizer.encode_fast(text, true).map_err(failed)?.get_ids().to_vec(),
        };
        let whole = ids.len();
        self.cut(&mut ids);
        Ok(Input { ids, types: Vec::new(), whole })
    }

    /// As [`Tokenizer::ids`], with the characters that each id stands for.
    pub(crate) fn placed(&self, text: &str) -> Result<Placed, Error> {
        let encoding = self.whole()?.encode_char_offsets(text, true).map_err(failed)?;
        let special = encoding.get_special_tokens_mask();
        let places = encoding.get_offsets().iter().zip(special);
        let mut places: Vec<_> = places.map(|(place, special)| (*special == 0).then_some(*place)).collect();
        let (mut ids, mut words) = (encoding.get_ids().to_vec(), encoding.get_word_ids().to_vec());
        let whole = ids.len();
        self.cut(&mut ids);
        self.cut(&mut places);
        self.cut(&mut words);
        Ok(Placed { ids: Input { ids, types: Vec::new(), whole }, places, words })
    }

    /// The first text of pairs, for [`Tokenizer::pair`].
    pub(crate) fn first(&self, text: &str) -> Result<First, Error> {
        match &self.inner {
            Inner::Own { tables, .. } => {
                let mut ids = Vec::new();
                tables.encode(text, &mut ids);
                let whole = ids.len();
                ids.truncate(self.limit);
                ids.shrink_to_fit();
                Ok(First { kept: Kept::Own(ids), whole })
            }
            Inner::Crate(tokenizer) => {
                let mut encoding = tokenizer.encode_fast(text, false).map_err(failed)?;
                let whole = encoding.len();
                cut_encoding(&mut encoding, self.limit);
                Ok(First { kept: Kept::Crate(Box::new(encoding)), whole })
            }
        }
    }

    /// The ids of a pair of texts, as a cross-encoder was trained on them. A pair over the limit loses tokens from the end
    /// of whichever text is longer.
    pub(crate) fn pair(&self, first: &First, second: &str) -> Result<Input, Error> {
        match (&self.inner, &first.kept) {
            (Inner::Own { tables, .. }, Kept::Own(ids)) => {
                Ok(self.own_pair(tables, ids, first.whole, second))
            }
            (Inner::Crate(tokenizer), Kept::Crate(encoding)) => {
                let mut second = tokenizer.encode_fast(second, false).map_err(failed)?;
                let special = tokenizer.get_post_processor().map_or(0, |post| post.added_tokens(true));
                let whole = first.whole + second.len() + special;
                let keep = keep(self.limit.saturating_sub(special), first.whole, second.len());
                let mut first = Encoding::clone(encoding);
                cut_encoding(&mut first, keep.0);
                cut_encoding(&mut second, keep.1);
                let pair = tokenizer.post_process(first, Some(second), true).map_err(failed)?;
                Ok(Input { ids: pair.get_ids().to_vec(), types: pair.get_type_ids().to_vec(), whole })
            }
            _ => Err(Error::model("cannot tokenise a pair", "its first text is another tokenizer's")),
        }
    }

    fn own_pair(&self, tables: &WordPiece, first: &[u32], whole: usize, second: &str) -> Input {
        const SPECIAL: usize = 3;
        let (opening, closing) = tables.ends();
        let mut other = Vec::new();
        tables.encode(second, &mut other);
        let keep = keep(self.limit.saturating_sub(SPECIAL), whole, other.len());
        // No larger than it is: a request has thousands of them.
        let mut ids = Vec::with_capacity(keep.0 + keep.1 + SPECIAL);
        ids.push(opening);
        ids.extend(&first[..keep.0]);
        ids.push(closing);
        let mut types = Vec::with_capacity(keep.0 + keep.1 + SPECIAL);
        types.resize(ids.len(), 0);
        ids.extend(&other[..keep.1]);
        ids.push(closing);
        types.resize(ids.len(), 1);
        Input { ids, types, whole: whole + other.len() + SPECIAL }
    }

    /// The crate's tokenizer, which knows where tokens stand.
    fn whole(&self) -> Result<&tokenizers::Tokenizer, Error> {
        match &self.inner {
            Inner::Crate(tokenizer) => Ok(tokenizer),
            Inner::Own { path, whole, .. } => {
                if whole.get().is_none() {
                    // Whoever comes second finds it made.
                    let _ = whole.set(Box::new(load(path)?));
                }
                whole
                    .get()
                    .map(Box::as_ref)
                    .ok_or_else(|| Error::model("has no usable tokenizer.json", "it went away"))
            }
        }
    }

    /// Removes what is over the limit from before the closing special tokens, and the memory of it: a request has thousands
    /// of texts.
    fn cut<T>(&self, items: &mut Vec<T>) {
        let whole = items.len();
        if whole > self.limit {
            items.drain(self.limit - self.closing..whole - self.closing);
        }
        items.shrink_to_fit();
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is a mapper of errors")]
fn failed(error: tokenizers::Error) -> Error {
    Error::model("cannot tokenise a text", error.to_string())
}

/// Cuts to so many tokens. What was cut off is dropped: pairs of it would be made as well.
fn cut_encoding(encoding: &mut Encoding, tokens: usize) {
    encoding.truncate(tokens, 0, TruncationDirection::Right);
    drop(encoding.take_overflowing());
}

fn load(path: &Path) -> Result<tokenizers::Tokenizer, Error> {
    let mut tokenizer = tokenizers::Tokenizer::from_file(path)
        .map_err(|error| Error::model("has no usable tokenizer.json", error))?;
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(None)
        .map_err(|error| Error::model("has a tokenizer that cannot be used", error))?;
    Ok(tokenizer)
}

/// How many tokens each of two texts keeps where there is room for so many, as `tokenizers` has it (`LongestFirst`): the
/// longer one loses them first, and both may keep half. Of an odd room the longer one, or else the second, has the one more.
fn keep(room: usize, first: usize, second: usize) -> (usize, usize) {
    if first + second <= room {
        return (first, second);
    }
    let shorter = first.min(second).min(room / 2);
    if first > second { (room - shorter, shorter) } else { (shorter, room - shorter) }
}

/// The number of special tokens after a text's own, found by tokenising one with and without them.
fn closing(tokenizer: &tokenizers::Tokenizer) -> tokenizers::Result<usize> {
    let bare = tokenizer.encode_fast("a", false)?;
    let whole = tokenizer.encode_fast("a", true)?;
    let at = whole.get_ids().windows(bare.len().max(1)).position(|ids| ids == bare.get_ids());
    Ok(at.map_or(0, |at| whole.len() - at - bare.len()))
}

/// What sentence-transformers states, or else the tokenizer's own limit where it is one, and never more than the model has
/// positions.
pub(crate) fn limit(assets: &Assets) -> Result<usize, Error> {
    let positions = Family::read(assets)?.positions();
    let stated = |name: &str, key: &str| -> Result<Option<usize>, Error> {
        let text = match fs::read(assets.path(name)) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::model(&format!("has no readable {name}"), error)),
        };
        let config: Value = serde_json::from_slice(&text)
            .map_err(|error| Error::model(&format!("has a {name} that does not parse"), error))?;
        // Some state a limit of 1e30, which is none.
        Ok(config[key].as_u64().and_then(|limit| usize::try_from(limit).ok()))
    };
    let limit = match stated("sentence_bert_config.json", "max_seq_length")? {
        None => stated("tokenizer_config.json", "model_max_length")?,
        limit => limit,
    };
    Ok(limit.unwrap_or(positions).min(positions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::precision::Precision;
    use crate::prepare;
    use proptest::prelude::*;
    use std::sync::{LazyLock, Mutex, PoisonError};
    use tokenizers::{TruncationParams, TruncationStrategy, truncate_encodings};

    /// A checkpoint's tokenizer of ours, on its prepared tables where that can be, and the crate's own.
    fn opened(name: &str, prepared: bool) -> (Tokenizer, tokenizers::Tokenizer) {
        let checkpoints = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/inference/checkpoints");
        let assets = Assets::open(&checkpoints, Some(name)).unwrap();
        let family = Family::read(&assets).unwrap();
        let tables = || prepare::tables(&assets, &family, Precision::F32).unwrap().open().unwrap();
        let tables = prepared.then(tables);
        let ours = Tokenizer::of(&assets, tables.as_ref()).unwrap();
        assert_eq!(matches!(ours.inner, Inner::Own { .. }), prepared, "{name}");
        (ours, load(&assets.path("tokenizer.json")).unwrap())
    }

    type Opened = [(Tokenizer, tokenizers::Tokenizer); 3];
    static OPENED: LazyLock<Mutex<Opened>> =
        LazyLock::new(|| Mutex::new([opened("cross", true), opened("cross", false), opened("topic", false)]));

    proptest! {
        #[test]
        fn pairs_are_cut_as_the_crate_cuts_them(
            first in "[a-z ,]{0,60}|(\\[SEP\\]|</s>| the){0,40}",
            second in "[a-z ,]{0,60}|(\\[MASK\\]|<s>| cat){0,40}",
            limit in 4_usize..48,
        ) {
            let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
            for (ours, crates) in &mut *opened {
                ours.limit = limit;
                let encode = |text: &str| crates.encode_fast(text, false).unwrap();
                let (one, other) = (encode(&first), encode(&second));
                let special = crates.get_post_processor().unwrap().added_tokens(true);
                let whole = one.len() + other.len() + special;
                let strategy = TruncationStrategy::LongestFirst;
                let cut = TruncationParams { max_length: limit - special, strategy, ..Default::default() };
                // By itself 0.23.2 compares texts that it read up to the limit alone, which 0.22 and 0.23.3 do not.
                let (one, other) = truncate_encodings(one, Some(other), &cut).unwrap();
                let expected = crates.post_process(one, other, true).unwrap();
                let found = ours.pair(&ours.first(&first).unwrap(), &second).unwrap();
                prop_assert_eq!(&found.ids, expected.get_ids());
                prop_assert_eq!(&found.types, expected.get_type_ids());
                prop_assert_eq!(found.whole, whole);
            }
        }
    }
}
