//! The log frame: the line that lets a platform cut a container's output into calls.

use crate::config::Config;
use crate::contract::env;
use http::HeaderMap;
use std::io::Write as _;

/// What to print before each call, when the platform asks for it.
#[derive(Debug, Clone)]
pub(crate) struct LogFrame {
    name: String,
    header: String,
}

impl LogFrame {
    /// Both variables must be set; one alone means nothing.
    pub(crate) fn from_config(config: &Config) -> Option<Self> {
        let name = config.get(env::LOGFRAME_NAME).filter(|name| !name.is_empty())?;
        let header = config.get(env::LOGFRAME_HDR).filter(|header| !header.is_empty())?;
        Some(Self { name: name.into(), header: header.to_ascii_lowercase() })
    }

    /// `\nNAME=ID\n`, or nothing when the request does not carry the header.
    fn bytes(&self, headers: &HeaderMap) -> Option<Vec<u8>> {
        let id = headers.get(self.header.as_str()).filter(|value| !value.is_empty())?;
        Some([b"\n", self.name.as_bytes(), b"=", id.as_bytes(), b"\n"].concat())
    }

    /// Writes the frame to stderr, then to stdout, each in one write. A closed stream is no failure of the call.
    pub(crate) fn write(&self, headers: &HeaderMap) {
        if let Some(frame) = self.bytes(headers) {
            let _ = std::io::stderr().lock().write_all(&frame);
            let mut stdout = std::io::stdout().lock();
            // What a handler printed earlier without a newline must come first.
            let _ = stdout.flush().and_then(|()| stdout.write_all(&frame)).and_then(|()| stdout.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn frame(name: &str, header: &str) -> Option<LogFrame> {
        LogFrame::from_config(&Config::from_pairs([(env::LOGFRAME_NAME, name), (env::LOGFRAME_HDR, header)]))
    }

    #[test]
    fn the_bytes_are_those_of_the_go_fdk() {
        let mut headers = HeaderMap::new();
        headers.insert("fn-call-id", HeaderValue::from_static("01C"));
        assert_eq!(frame("foo", "Fn-Call-Id").unwrap().bytes(&headers).unwrap(), b"\nfoo=01C\n");
        assert_eq!(frame("foo", "Opc-Request-Id").unwrap().bytes(&headers), None);
        headers.insert("x", HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(frame("foo", "X").unwrap().bytes(&headers).unwrap(), b"\nfoo=\xff\n");
    }

    #[test]
    fn one_variable_alone_means_nothing() {
        assert!(frame("foo", "").is_none());
        assert!(frame("", "Fn-Call-Id").is_none());
    }
}
