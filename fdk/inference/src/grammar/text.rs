//! Strings, byte by byte: whole characters of UTF-8, escapes, and as many of them as there may be.

/// How many characters there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) least: u32,
    pub(super) most: u32,
}

impl Texts {
    pub(super) const ANY: Self = Self { least: 0, most: u32::MAX };
}

/// How far a string is, its first quote included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Characters {
    count: u32,
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Quote,
    Between,
    Escape,
    /// In a character: how many bytes are to come, and what the next may be.
    Within {
        left: u8,
        from: u8,
        to: u8,
    },
}

/// What a byte makes of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Goes(Characters),
    Ends,
}

impl Characters {
    pub(super) const START: Self = Self { count: 0, at: At::Quote };
    /// After the first quote.
    pub(super) const OPEN: Self = Self { count: 0, at: At::Between };

    /// The string with one byte more; `None` where no string goes on so.
    #[expect(clippy::match_same_arms, reason = "in the order of the standard's table")]
    pub(super) fn step(self, byte: u8, texts: Texts) -> Option<Step> {
        let at = |at| Some(Step::Goes(Self { at, ..self }));
        let one_more = |at| {
            let fits = self.count < texts.most;
            fits.then_some(Step::Goes(Self { count: self.count + 1, at }))
        };
        let within = |left, from, to| one_more(At::Within { left, from, to });
        match (self.at, byte) {
            (At::Quote, b'"') => at(At::Between),
            (At::Between, b'"') => (self.count >= texts.least).then_some(Step::Ends),
            (At::Between, b'\\') if self.count < texts.most => at(At::Escape),
            (At::Between, 0x20..=0x5B | 0x5D..=0x7F) => one_more(At::Between),
            // Table 3-7 of the Unicode Standard.
            (At::Between, 0xC2..=0xDF) => within(1, 0x80, 0xBF),
            (At::Between, 0xE0) => within(2, 0xA0, 0xBF),
            (At::Between, 0xED) => within(2, 0x80, 0x9F),
            (At::Between, 0xE1..=0xEF) => within(2, 0x80, 0xBF),
            (At::Between, 0xF0) => within(3, 0x90, 0xBF),
            (At::Between, 0xF1..=0xF3) => within(3, 0x80, 0xBF),
            (At::Between, 0xF4) => within(3, 0x80, 0x8F),
            // Every other character can be said without an escape of hexadecimal digits.
            (At::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => one_more(At::Between),
            (At::Within { left, from, to }, byte) if (from..=to).contains(&byte) => match left {
                1 => at(At::Between),
                left => at(At::Within { left: left - 1, from: 0x80, to: 0xBF }),
            },
            _ => None,
        }
    }

    /// The fewest bytes that end it.
    pub(super) fn rest(self, texts: Texts) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut count = self.count;
        match self.at {
            At::Quote => rest.push(b'"'),
            At::Between => {}
            At::Escape => {
                rest.push(b'n');
                count += 1;
            }
            At::Within { left, from, .. } => {
                rest.push(from);
                rest.extend((1..left).map(|_| 0x80));
            }
        }
        rest.extend((count..texts.least).map(|_| b'-'));
        rest.push(b'"');
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(bytes: &[u8], texts: Texts) -> bool {
        let mut at = Characters::START;
        for (index, byte) in bytes.iter().enumerate() {
            match at.step(*byte, texts) {
                Some(Step::Goes(next)) => at = next,
                Some(Step::Ends) => return index + 1 == bytes.len(),
                None => return false,
            }
        }
        false
    }

    #[test]
    fn a_string_is_what_json_and_utf8_have() {
        for (text, good) in [
            (&b"\"\""[..], true),
            (b"\"a\\n\\\"b\"", true),
            ("\"é 東 🙂\"".as_bytes(), true),
            (b"\"\n\"", false),
            (b"\"\\u0041\"", false),
            (b"\"\xC0\x80\"", false),
            (b"\"\xED\xA0\x80\"", false),
            (b"\"\xF4\x90\x80\x80\"", false),
            (b"\"\xE2\x82\"", false),
            (b"a", false),
        ] {
            assert_eq!(takes(text, Texts::ANY), good, "{}", String::from_utf8_lossy(text));
            if good {
                assert!(serde_json::from_slice::<String>(text).is_ok());
            }
        }
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        let two = Texts { least: 2, most: 2 };
        for (text, good) in [("\"é🙂\"", true), ("\"é\"", false), ("\"abc\"", false), ("\"\\n\\\\\"", true)]
        {
            assert_eq!(takes(text.as_bytes(), two), good, "{text}");
        }
    }

    #[test]
    fn what_is_begun_can_be_ended() {
        let texts = Texts { least: 3, most: 5 };
        for begun in [&b""[..], b"\"", b"\"a", b"\"a\\", b"\"\xE2", b"\"\xF4", b"\"ab\xF0\x9F"] {
            let mut at = Characters::START;
            for byte in begun {
                let Some(Step::Goes(next)) = at.step(*byte, texts) else { panic!() };
                at = next;
            }
            let whole = [begun, &at.rest(texts)].concat();
            assert!(takes(&whole, texts), "{whole:x?}");
        }
    }
}
