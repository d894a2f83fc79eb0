//! A prepared file, as it comes and with its seals made good: refused, or harmless. The input is the header's JSON, a blank
//! line, and the tables.

use fdk_inference::prepared::Prepared;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Takes an input through.
pub fn run(input: &[u8]) {
    examine(input);
    let (header, content) = crate::split_head(input);
    let Ok(mut header) = serde_json::from_slice::<serde_json::Value>(header) else { return };
    let room = 4096 - 48;
    let text = |header: &serde_json::Value| serde_json::to_vec(header).unwrap_or_default();
    if header.is_object() {
        header["length"] = (4096 + content.len()).into();
        header["sha256"] = hex(&Sha256::digest(content)).into();
    }
    let mut text = text(&header);
    if text.len() > room {
        return;
    }
    text.resize(room, b' ');
    let length = (room as u64).to_le_bytes();
    let file = [b"FDKMODEL", &length[..], &Sha256::digest(&text), &text, content].concat();
    examine(&file);
}

fn examine(file: &[u8]) {
    let Ok(prepared) = Prepared::read(file) else { return };
    let _ = prepared.check_content();
    for text in ["", "the cat [SEP] sat", "\u{e9}t\u{e9} \u{4e2d}\u{6587} \u{0}a\u{301}"] {
        let _ = prepared.tokenise(text);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
