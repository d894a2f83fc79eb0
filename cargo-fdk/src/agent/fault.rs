//! Why there is no reply.

use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;

/// Why there is no reply: what the agent would tell its caller, and what was behind it.
#[derive(Debug)]
pub struct Fault {
    status: u16,
    message: Cow<'static, str>,
    detail: String,
    body: Bytes,
}

impl Fault {
    pub(crate) fn new(status: u16, message: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { status, message: message.into(), detail: detail.into(), body: Bytes::new() }
    }

    /// What is the platform's own failure, and not the function's.
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(500, "internal server error", detail)
    }

    /// With what the function sent.
    pub(super) fn with_body(self, body: Bytes) -> Self {
        Self { body, ..self }
    }

    /// The status the platform's caller gets.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The message the platform's caller gets.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The body that the function sent and the platform throws away; empty when there was none.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.message)?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
