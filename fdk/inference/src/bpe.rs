//! Text ↔ the token ids of a generating model, from the vocabulary that its GGUF carries: byte-level BPE (Radford et al.,
//! 2019).

use crate::error::Error;
use crate::gguf::Gguf;
use crate::interrupt::Interrupt;
use aho_corasick::{AhoCorasick, MatchKind};
use std::fmt;
use std::sync::OnceLock;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{SplitDelimiterBehavior, Tokenizer};

/// `tokenizer.ggml.token_type` of a token that no text spells.
const CONTROL: u64 = 3;
/// And of one that is taken whole wherever a text spells it.
const USER_DEFINED: u64 = 4;

/// A vocabulary and its merges.
pub(crate) struct Bpe {
    /// It knows no control token: a text is only text to it.
    inner: Tokenizer,
    /// Finds the tokens that are taken whole.
    whole: AhoCorasick,
    /// The ids of those, in the order of the finder's patterns, and whether each is a control token.
    whole_ids: Vec<(u32, bool)>,
    /// What each token stands for, one after the other; nothing for a control token.
    bytes: Vec<u8>,
    /// Where each token's bytes begin, and where the last ones end.
    starts: Vec<u32>,
    begin: Option<u32>,
    ends: Vec<u32>,
    begins: Option<String>,
    ends_text: String,
    order: OnceLock<Vec<Placed>>,
}

/// A token in the order of the bytes it stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) token: u32,
    /// How many bytes it begins with that the one before it begins with too.
    pub(crate) shared: u32,
}

impl Bpe {
    /// Builds the tokenizer that a GGUF describes.
    pub(crate) fn read(gguf: &Gguf<'_>) -> Result<Self, Error> {
        Self::build(gguf).map_err(|why| Error::model("has a tokenizer that cannot be used", why))
    }

    fn build(gguf: &Gguf<'_>) -> Result<Self, String> {
        match gguf.text("tokenizer.ggml.model") {
            Some("gpt2") => {}
            other => {
                let other = other.unwrap_or("none");
                return Err(format!(
                    "the GGUF's tokenizer is '{other}'; gpt2, which is byte-level BPE, is served"
                ));
            }
        }
        let list = |key: &str| gguf.list(key).ok_or_else(|| format!("the GGUF has no {key}"));
        let tokens: Vec<&str> = list("tokenizer.ggml.tokens")?.texts().collect();
        if tokens.is_empty() || u32::try_from(tokens.len()).is_err() {
            return Err("the GGUF has no tokens".into());
        }
        let kinds: Vec<u64> = match gguf.list("tokenizer.ggml.token_type") {
            Some(kinds) => kinds.iter().map(kind).collect(),
            None => Vec::new(),
        };
        let kind = |id: usize| kinds.get(id).copied().unwrap_or(1);
        let merges: Vec<(String, String)> = list("tokenizer.ggml.merges")?
            .texts()
            .filter_map(|merge| merge.split_once(' ').map(|(left, right)| (left.into(), right.into())))
            .collect();
        let pre = gguf.text("tokenizer.ggml.pre").unwrap_or("default");
        let vocabulary: Vocab = (0_u32..).zip(&tokens).map(|(id, token)| ((*token).to_owned(), id)).collect();
        let bpe = BPE::builder()
            .vocab_and_merges(vocabulary, merges)
            .ignore_merges(pre == "llama-bpe")
            .build()
            .map_err(|error| error.to_string())?;
        let mut inner = Tokenizer::new(bpe);
        inner.with_pre_tokenizer(Some(pre_tokenizer(pre)?));
        if pre == "qwen2" {
            inner.with_normalizer(Some(NFC)).map_err(|error| error.to_string())?;
        }

        let is_whole = |id: usize| matches!(kind(id), CONTROL | USER_DEFINED) && !tokens[id].is_empty();
        let wholes: Vec<usize> = (0..tokens.len()).filter(|id| is_whole(*id)).collect();
        let whole = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(wholes.iter().map(|id| tokens[*id]))
            .map_err(|error| error.to_string())?;
        #[expect(clippy::cast_possible_truncation, reason = "there are no more tokens than u32 counts")]
        let whole_ids = wholes.iter().map(|id| (*id as u32, kind(*id) == CONTROL)).collect();

        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        for (id, token) in tokens.iter().enumerate() {
            match kind(id) {
                CONTROL => {}
                USER_DEFINED => bytes.extend(token.as_bytes()),
                _ => append(token, &mut bytes),
            }
            starts.push(u32::try_from(bytes.len()).map_err(|_| "the GGUF's tokens are too long")?);
        }
        let id = |key: &str| {
            gguf.count(&format!("tokenizer.ggml.{key}"))
                .filter(|id| *id < tokens.len())
                .and_then(|id| u32::try_from(id).ok())
        };
        let begin = id("bos_token_id");
        let adds = match gguf.get("tokenizer.ggml.add_bos_token") {
            Some(crate::gguf::Value::Bool(adds)) => adds,
            _ => pre == "llama-bpe",
        };
        let ends: Vec<u32> = [id("eos_token_id"), id("eot_token_id")].into_iter().flatten().collect();
        let text = |id: Option<u32>| id.and_then(|id| tokens.get(id as usize)).map(|text| (*text).to_owned());
        Ok(Self {
            inner,
            whole,
            whole_ids,
            bytes,
            starts,
            begin: begin.filter(|_| adds),
            begins: text(begin),
            ends_text: text(ends.first().copied()).unwrap_or_default(),
            ends,
            order: OnceLock::new(),
        })
    }

    /// How many tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// What a token stands for; nothing for a control token.
    pub(crate) fn bytes(&self, token: u32) -> &[u8] {
        let at = token as usize;
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(start), Some(end)) => &self.bytes[*start as usize..*end as usize],
            _ => &[],
        }
    }

    /// Whether a token ends a reply: the model's own end, or any other control token, which no text has.
    pub(crate) fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token) || self.bytes(token).is_empty()
    }

    /// The tokens by which a model ends a reply.
    pub(crate) fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The text of the token that begins a text, and of the one that ends it, as chat templates use them.
    pub(crate) fn marks(&self) -> (&str, &str) {
        (self.begins.as_deref().unwrap_or_default(), &self.ends_text)
    }

    /// The control tokens that a text spells, as places in it.
    pub(crate) fn controls(&self, text: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
        self.whole
            .find_iter(text)
            .filter(|found| self.whole_ids[found.pattern().as_usize()].1)
            .map(|found| found.range())
    }

    /// The ids of a text in which control tokens are meant. `guard`, where there is one, was put into what only looks like
    /// a control token, and is taken out again. The interrupt is asked between tokens that are taken whole.
    pub(crate) fn encode(
        &self,
        text: &str,
        guard: Option<char>,
        interrupt: &Interrupt<'_>,
    ) -> Result<Vec<u32>, Error> {
        let mut ids: Vec<u32> = Vec::new();
        let mut at = 0;
        for found in self.whole.find_iter(text) {
            interrupt.check()?;
            self.append(&text[at..found.start()], guard, &mut ids)?;
            ids.push(self.whole_ids[found.pattern().as_usize()].0);
            at = found.end();
        }
        interrupt.check()?;
        self.append(&text[at..], guard, &mut ids)?;
        interrupt.check()?;
        if let Some(begin) = self.begin
            && ids.first() != Some(&begin)
        {
            ids.insert(0, begin);
        }
        Ok(ids)
    }

    /// The ids of a text that is only text, in the middle of others.
    pub(crate) fn plain(&self, text: &str) -> Result<Vec<u32>, Error> {
        let mut ids = Vec::new();
        self.append(text, None, &mut ids)?;
        Ok(ids)
    }

    fn append(&self, text: &str, guard: Option<char>, ids: &mut Vec<u32>) -> Result<(), Error> {
        if text.is_empty() {
            return Ok(());
        }
        let unguarded = guard.map(|guard| text.replace(guard, ""));
        let encoding = self
            .inner
            .encode_fast(unguarded.as_deref().unwrap_or(text), false)
            .map_err(|error| Error::model("cannot tokenise a text", error.to_string()))?;
        ids.extend(encoding.get_ids());
        Ok(())
    }

    /// The token of a byte.
    pub(crate) fn single(&self, byte: u8) -> Option<u32> {
        let found = self.sorted().binary_search_by(|placed| self.bytes(placed.token).cmp(&[byte]));
        found.ok().and_then(|at| self.sorted().get(at)).map(|placed| placed.token)
    }

    /// The tokens that stand for something, by their bytes; sorted when it is first asked for.
    pub(crate) fn sorted(&self) -> &[Placed] {
        self.order.get_or_init(|| {
            let mut tokens: Vec<u32> = (0_u32..).take(self.len()).collect();
            tokens.retain(|token| !self.bytes(*token).is_empty());
            tokens.sort_by_key(|token| self.bytes(*token));
            let mut before: &[u8] = &[];
            let place = |token: u32| {
                let bytes = self.bytes(token);
                let same = bytes.iter().zip(before).take_while(|(one, other)| one == other).count();
                before = bytes;
                #[expect(clippy::cast_possible_truncation, reason = "a token is shorter than all of them")]
                Placed { token, shared: same as u32 }
            };
            tokens.into_iter().map(place).collect()
        })
    }
}

impl fmt::Debug for Bpe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bpe").field("tokens", &self.len()).field("ends", &self.ends).finish_non_exhaustive()
    }
}

fn kind(value: crate::gguf::Value<'_>) -> u64 {
    match value {
        crate::gguf::Value::Unsigned(kind) => kind,
        crate::gguf::Value::Signed(kind) => u64::try_from(kind).unwrap_or(0),
        _ => 0,
    }
}

/// GPT-2's expression, as llama.cpp writes it. White space at the end that it leaves is a piece as well.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";

/// How a text is cut before its pieces are merged, by the name that llama.cpp has for it (`llama-vocab.cpp`).
fn pre_tokenizer(name: &str) -> Result<PreTokenizerWrapper, String> {
    // ByteLevel's own expression is GPT-2's. No space is put before a text: that is what it does unless told.
    let gpt2 = ByteLevel::new(false, true, true);
    // Each expression cuts the pieces that the one before it left.
    let by = |expressions: &[&str]| {
        let mut parts: Vec<PreTokenizerWrapper> = Vec::new();
        for expression in expressions {
            let pattern = SplitPattern::Regex((*expression).to_owned());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
            parts.push(split.map_err(|error| error.to_string())?.into());
        }
        parts.push(ByteLevel::new(false, true, false).into());
        Ok(Sequence::new(parts).into())
    };
    match name {
        "gpt-2" => Ok(gpt2.into()),
        "smollm" => Ok(Sequence::new(vec![Digits::new(true).into(), gpt2.into()]).into()),
        "default" => by(&[r"[\p{P}$+<=>^~|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"]),
        "llama-bpe" => by(&[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ]),
        "qwen2" => by(&[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ]),
        other => Err(format!(
            "the GGUF's texts are cut as '{other}' has it; default, gpt-2, smollm, llama-bpe and qwen2 are served"
        )),
    }
}

/// Appends what a token of the vocabulary stands for: GPT-2 writes each byte as a character that can be seen.
fn append(token: &str, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    for character in token.chars() {
        let Some(byte) = byte(character) else {
            // It is no spelling of bytes: the token is the text itself.
            bytes.truncate(start);
            bytes.extend(token.as_bytes());
            return;
        };
        bytes.push(byte);
    }
}

/// The byte that a character stands for: itself where it can be seen, and the others, in order, from U+0100 on.
fn byte(character: char) -> Option<u8> {
    let seen = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match u32::from(character) {
        code @ 0..=0xFF => u8::try_from(code).ok().filter(|byte| seen(*byte)),
        code => (0..=255).filter(|byte| !seen(*byte)).nth(usize::try_from(code - 0x100).ok()?),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A vocabulary of every byte, a few longer tokens, and two control tokens: the GGUF that carries it.
    pub(crate) fn gguf() -> Vec<u8> {
        let mut tokens: Vec<String> = vec!["<|end|>".into(), "<|start|>".into()];
        tokens.extend((0..=255_u8).map(|byte| spelling(&[byte])));
        let merges = [
            "t r", "tr u", "tru e", "\" :", ", Ġ", "\" ,", "1 2", "Ġ \"", "a b", "{ \"", "] }", "\" }", "n u",
        ];
        tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
        let kinds = [3_i32, 3].into_iter().chain(std::iter::repeat_n(1, tokens.len() - 2));
        let text = |file: &mut Vec<u8>, text: &str| {
            file.extend((text.len() as u64).to_le_bytes());
            file.extend(text.as_bytes());
        };
        let mut file = b"GGUF".to_vec();
        file.extend(3_u32.to_le_bytes());
        file.extend(0_u64.to_le_bytes());
        file.extend(6_u64.to_le_bytes());
        for (key, value) in [("model", "gpt2"), ("pre", "smollm")] {
            text(&mut file, &format!("tokenizer.ggml.{key}"));
            file.extend(8_u32.to_le_bytes());
            text(&mut file, value);
        }
        let list = |file: &mut Vec<u8>, key: &str, kind: u32, count: usize| {
            text(file, &format!("tokenizer.ggml.{key}"));
            file.extend(9_u32.to_le_bytes());
            file.extend(kind.to_le_bytes());
            file.extend((count as u64).to_le_bytes());
        };
        list(&mut file, "tokens", 8, tokens.len());
        for token in &tokens {
            text(&mut file, token);
        }
        list(&mut file, "merges", 8, merges.len());
        for merge in &merges {
            text(&mut file, merge);
        }
        list(&mut file, "token_type", 5, tokens.len());
        kinds.for_each(|kind| file.extend(kind.to_le_bytes()));
        text(&mut file, "tokenizer.ggml.eos_token_id");
        file.extend(4_u32.to_le_bytes());
        file.extend(0_u32.to_le_bytes());
        file
    }

    fn spelling(bytes: &[u8]) -> String {
        let character =
            |wanted: &u8| (0..0x144).filter_map(char::from_u32).find(|one| byte(*one) == Some(*wanted));
        bytes.iter().filter_map(character).collect()
    }

    #[test]
    fn tokens_are_what_the_vocabulary_says() {
        let file = gguf();
        let bpe = Bpe::read(&Gguf::parse(&file).unwrap()).unwrap();
        let ids = bpe.encode("true<|start|> 12", None, &Interrupt::never()).unwrap();
        let bytes: Vec<&[u8]> = ids.iter().map(|id| bpe.bytes(*id)).collect();
        assert_eq!(bytes, [&b"true"[..], b"", b" ", b"1", b"2"], "digits stand alone");
        assert!(bpe.is_end(0) && bpe.is_end(1) && !bpe.is_end(2));
        let plain = bpe.plain("<|end|>").unwrap();
        assert_eq!(plain.len(), 7, "it is only text");
        assert_eq!(bpe.bytes(bpe.single(0xFF).unwrap()), [0xFF]);
        assert!(bpe.sorted().is_sorted_by_key(|placed| bpe.bytes(placed.token)));
    }

    /// llama.cpp's own answers: `tests/inference/reference/pre_tokenizers.py`.
    #[test]
    fn texts_are_cut_as_llama_cpp_cuts_them_by_default() {
        #[derive(serde::Deserialize)]
        struct Case {
            text: String,
            ids: Vec<u32>,
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/inference");
        let file = std::fs::read(folder.join("golden/default_pre.gguf")).unwrap();
        let bpe = Bpe::read(&Gguf::parse(&file).unwrap()).unwrap();
        let cases = std::fs::read(folder.join("golden/default_pre.json")).unwrap();
        let cases: Vec<Case> = serde_json::from_slice(&cases).unwrap();
        assert!(cases.len() > 200);
        for case in cases {
            assert_eq!(bpe.plain(&case.text).unwrap(), case.ids, "{:?}", case.text);
        }
    }

    #[test]
    fn a_vocabulary_of_another_kind_is_refused_by_name() {
        let refusal = |from: &str, to: &str| {
            let mut file = gguf();
            let at = file.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
            file[at..at + to.len()].copy_from_slice(to.as_bytes());
            let error = Bpe::read(&Gguf::parse(&file).unwrap()).unwrap_err();
            std::error::Error::source(&error).unwrap().to_string()
        };
        assert_eq!(
            refusal("gpt2", "bert"),
            "the GGUF's tokenizer is 'bert'; gpt2, which is byte-level BPE, is served"
        );
        assert_eq!(
            refusal("smollm", "tekken"),
            "the GGUF's texts are cut as 'tekken' has it; default, gpt-2, smollm, llama-bpe and qwen2 are served"
        );
    }

    #[test]
    fn each_byte_has_one_character() {
        let bytes: Vec<u8> = (0..0x144).filter_map(char::from_u32).filter_map(byte).collect();
        let mut sorted = bytes.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..=255).collect::<Vec<u8>>());
        assert_eq!((byte('Ġ'), byte('Ċ'), byte('€')), (Some(b' '), Some(b'\n'), None));
        let mut token = Vec::new();
        append("Ġhé", &mut token);
        assert_eq!(token, b" h\xe9");
        token.clear();
        append("<a b>", &mut token);
        assert_eq!(token, b"<a b>");
    }
}
