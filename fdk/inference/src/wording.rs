//! The bytes of tokens → text that can be handed out: whole characters, and nothing of a string that ends the reply.

/// A reply's text as it grows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wording {
    text: String,
    /// The bytes of a character of which more are to come.
    partial: Vec<u8>,
    /// How much of the text was handed out.
    handed: usize,
    stops: Vec<String>,
}

impl Wording {
    /// A text that ends before any of these strings, none of them empty.
    pub(crate) fn until(stops: Vec<String>) -> Self {
        Self { stops, ..Self::default() }
    }

    /// Adds the bytes of a token. True once a string that ends the text has come.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = self.text.floor_char_boundary(self.text.len().saturating_sub(longest));
        self.partial.extend(bytes);
        self.decode();
        let found = self.stops.iter().filter_map(|stop| self.text[from..].find(stop.as_str())).min();
        if let Some(found) = found {
            self.text.truncate(from + found);
            self.partial.clear();
        }
        found.is_some()
    }

    fn decode(&mut self) {
        let bytes = std::mem::take(&mut self.partial);
        for chunk in bytes.utf8_chunks() {
            self.text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            if invalid.is_empty() {
                continue;
            }
            // At the very end it may be a character that is not whole yet.
            let open = invalid.as_ptr_range().end == bytes.as_ptr_range().end
                && str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if open {
                self.partial = invalid.to_vec();
            } else {
                self.text.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }

    /// What has come since this was last asked and may be handed out.
    pub(crate) fn ready(&mut self) -> String {
        let end = self.text.len() - self.held();
        let ready = self.text.get(self.handed..end).unwrap_or_default().to_owned();
        self.handed = self.handed.max(end);
        ready
    }

    /// Ends the text and hands out what is left of it.
    pub(crate) fn finish(&mut self) -> String {
        if !std::mem::take(&mut self.partial).is_empty() {
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
        let rest = self.text[self.handed..].to_owned();
        self.handed = self.text.len();
        rest
    }

    /// All of the text so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The bytes at the end that may be the beginning of a string that ends the text.
    fn held(&self) -> usize {
        let begun = |stop: &String| {
            let begins = stop.char_indices().map(|(at, _)| at).skip(1);
            begins.filter(|length| self.text.ends_with(&stop[..*length])).max()
        };
        self.stops.iter().filter_map(begun).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_handed_out_whole() {
        let mut text = Wording::default();
        text.push(b"h\xc3");
        assert_eq!(text.ready(), "h");
        text.push(b"\xa9\xff!");
        assert_eq!(text.ready(), "é\u{fffd}!");
        text.push(b"\xe2\x82");
        assert_eq!((text.ready().as_str(), text.finish().as_str()), ("", "\u{fffd}"));
        assert_eq!(text.text(), "hé\u{fffd}!\u{fffd}");
    }

    #[test]
    fn nothing_of_a_stop_is_handed_out() {
        let mut text = Wording::until(vec!["END".into(), "\n\n".into()]);
        assert!(!text.push(b"one E"));
        assert_eq!(text.ready(), "one ");
        assert!(!text.push(b"N"));
        assert_eq!(text.ready(), "");
        assert!(!text.push(b"ough\n"));
        assert_eq!(text.ready(), "ENough");
        assert!(text.push(b"\nmore END"));
        assert_eq!((text.finish().as_str(), text.text()), ("", "one ENough"));
        let mut text = Wording::until(vec!["END".into()]);
        text.push(b"the EN");
        assert_eq!((text.ready().as_str(), text.finish().as_str()), ("the ", "EN"));
    }
}
