//! A prepared file, as it comes and with its seals made good: refused, or harmless. The input is the header's JSON, a blank
//! line, and the tables.

use fdk_inference::assets::PREPARED_VERSION;
use fdk_inference::prepared::Prepared;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Takes an input through.
pub fn run(input: &[u8]) {
    examine(input);
    let (header, content) = crate::split_head(input);
    let Ok(header) = serde_json::from_slice::<Value>(header) else { return };
    if let Some(file) = seal(header, 4096 - 48, content) {
        examine(&file);
    }
}

/// The file of a header and its tables, with version, length and seals as they should be; `None` where the header needs more than
/// this room.
pub(crate) fn seal(mut header: Value, room: usize, content: &[u8]) -> Option<Vec<u8>> {
    if header.is_object() {
        header["version"] = PREPARED_VERSION.into();
        header["length"] = (48 + room + content.len()).into();
        header["sha256"] = hex(&Sha256::digest(content)).into();
    }
    let mut text = serde_json::to_vec(&header).ok().filter(|text| text.len() <= room)?;
    text.resize(room, b' ');
    let length = (room as u64).to_le_bytes();
    Some([b"FDKMODEL", &length[..], &Sha256::digest(&text), &text, content].concat())
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
