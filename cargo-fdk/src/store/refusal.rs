//! Why the store does not do what a client asks: the Fn server's codes and messages, word for word (`api/models`).

use std::fmt;

/// A refusal, or a failure of the store itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    message: String,
    detail: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), detail: String::new() }
    }

    /// The caller learns no more than the real server's would; the reason is for this platform's user.
    pub(crate) fn internal(detail: impl fmt::Display) -> Self {
        Self { status: 500, message: "internal server error".into(), detail: detail.to_string() }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What the caller is told.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.detail.is_empty() { &self.message } else { &self.detail })
    }
}

impl std::error::Error for Refusal {}

pub(super) fn bad(message: &str) -> Refusal {
    Refusal::new(400, message)
}

pub(super) fn conflict(message: &str) -> Refusal {
    Refusal::new(409, message)
}

pub(super) fn missing(what: &str) -> Refusal {
    Refusal::new(404, format!("{what} not found"))
}
