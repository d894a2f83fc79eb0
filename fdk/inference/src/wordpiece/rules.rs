//! What a `tokenizer.json` says of its tokenizer, and whether that is BERT's.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a tokenizer's configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rules {
    pub(super) lowercase: bool,
    pub(super) strip_accents: bool,
    pub(super) chinese: bool,
    pub(super) unknown: u32,
    pub(super) most_chars: usize,
    pub(super) opening: u32,
    pub(super) closing: u32,
    /// Texts that are tokens wherever they stand, the longest first.
    pub(super) special: Vec<(String, u32)>,
}

impl Rules {
    /// What `tokenizer.json` says, when it is all of what is done here.
    pub(super) fn of(json: &Value) -> Option<Self> {
        let (model, normalizer) = (&json["model"], &json["normalizer"]);
        let bert = model["type"] == "WordPiece"
            && model["continuing_subword_prefix"] == "##"
            && normalizer["type"] == "BertNormalizer"
            && normalizer["clean_text"] == true
            && json["pre_tokenizer"]["type"] == "BertPreTokenizer";
        if !bert {
            return None;
        }
        let id = |value: &Value| u32::try_from(value.as_u64()?).ok();
        let mut special = Vec::new();
        for token in json["added_tokens"].as_array()? {
            let plain =
                ["single_word", "lstrip", "rstrip", "normalized"].iter().all(|flag| token[flag] == false);
            let content = token["content"].as_str().filter(|content| !content.is_empty())?;
            if !plain {
                return None;
            }
            special.push((content.to_owned(), id(&token["id"])?));
        }
        special.sort_by_key(|(content, _)| std::cmp::Reverse(content.len()));
        let (opening, closing) = around(&json["post_processor"])?;
        let lowercase = normalizer["lowercase"].as_bool()?;
        Some(Self {
            lowercase,
            strip_accents: normalizer["strip_accents"].as_bool().unwrap_or(lowercase),
            chinese: normalizer["handle_chinese_chars"].as_bool()?,
            unknown: id(&model["vocab"][model["unk_token"].as_str()?])?,
            most_chars: usize::try_from(model["max_input_chars_per_word"].as_u64()?).ok()?,
            opening,
            closing,
            special,
        })
    }
}

/// The tokens around a text, when they are put as BERT puts them: before the first, after each.
fn around(post: &Value) -> Option<(u32, u32)> {
    let id = |value: &Value| u32::try_from(value.as_u64()?).ok();
    if post["type"] == "BertProcessing" {
        return Some((id(&post["cls"][1])?, id(&post["sep"][1])?));
    }
    if post["type"] != "TemplateProcessing" {
        return None;
    }
    let special = |part: &Value, kind: u64| {
        let part = &part["SpecialToken"];
        let name = part["id"].as_str().filter(|_| part["type_id"] == kind)?;
        match post["special_tokens"][name]["ids"].as_array().map(Vec::as_slice) {
            Some([one]) => id(one),
            _ => None,
        }
    };
    let sequence = |part: &Value, name: &str, kind: u64| {
        part["Sequence"]["id"] == name && part["Sequence"]["type_id"] == kind
    };
    let ([first, a, last], [first_of_two, a_of_two, between, b, end]) =
        (post["single"].as_array()?.as_slice(), post["pair"].as_array()?.as_slice())
    else {
        return None;
    };
    let (opening, closing) = (special(first, 0)?, special(last, 0)?);
    let same = special(first_of_two, 0)? == opening
        && special(between, 0)? == closing
        && special(end, 1)? == closing;
    let placed = sequence(a, "A", 0) && sequence(a_of_two, "A", 0) && sequence(b, "B", 1);
    (same && placed).then_some((opening, closing))
}
