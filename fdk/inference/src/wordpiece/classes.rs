//! What BERT's tokenizer takes a character for.

use unicode_categories::UnicodeCategories as _;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Letter,
    Space,
    Punctuation,
    Dropped,
}

/// What each ASCII byte is.
pub(super) const CLASSES: [Class; 128] = {
    let mut classes = [Class::Letter; 128];
    let mut byte = 0_u8;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b' ' | b'\t' | b'\n' | b'\r' => Class::Space,
            _ if byte.is_ascii_control() => Class::Dropped,
            _ if byte.is_ascii_punctuation() => Class::Punctuation,
            _ => Class::Letter,
        };
        byte += 1;
    }
    classes
};

/// What cleaning leaves out: control characters in the wide sense, and what stands for bad input.
pub(super) fn is_dropped(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => false,
        '\0' | '\u{fffd}' => true,
        _ if c.is_ascii() => c.is_ascii_control(),
        _ => c.is_other(),
    }
}

pub(super) fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || c.is_whitespace()
}

pub(super) fn is_punctuation(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_punctuation() } else { c.is_punctuation() }
}

/// The blocks that BERT's first code calls Chinese.
pub(super) fn is_chinese(c: char) -> bool {
    matches!(
        u32::from(c),
        0x4e00..=0x9fff
            | 0x3400..=0x4dbf
            | 0x20000..=0x2a6df
            | 0x2a700..=0x2b73f
            | 0x2b740..=0x2b81f
            | 0x2b920..=0x2ceaf
            | 0xf900..=0xfaff
            | 0x2f800..=0x2fa1f
    )
}
