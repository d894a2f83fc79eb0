//! One opaque error: whose fault a failure is decides what the caller sees.

use std::error::Error as StdError;
use std::fmt;

/// The result of a handler and of everything it calls here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed.
///
/// Failures have two kinds, and the kind decides the reply:
///
/// | kind | made by | gateway caller sees | direct caller sees |
/// |---|---|---|---|
/// | the caller's fault | [`Error::input`], binding, guards | the 4xx status and a JSON message | 502 |
/// | the function's fault | `?` on any error, [`Error::new`], a panic | 502 | 502 |
///
/// The platform throws the body of a 502 away, so every failure is also one line on stderr with the call id. The kind
/// is private so that new ones can be added; ask with the predicates. Like `anyhow::Error` this type does not implement
/// [`std::error::Error`], which is what lets `?` convert any error into it.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    path: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

enum Kind {
    Input(u16),
    Function,
    TimedOut,
}

impl Error {
    /// The function's own fault: 502 to every caller.
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(Kind::Function, message.into())
    }

    /// The caller's fault: status 400 to a gateway caller. See [`Error::status`] for another 4xx.
    pub fn input(message: impl Into<String>) -> Self {
        Self::of(Kind::Input(400), message.into())
    }

    /// The deadline came before the answer: 504, and the process lives on.
    pub fn timed_out() -> Self {
        Self::of(Kind::TimedOut, "the deadline came before the answer".into())
    }

    fn of(kind: Kind, message: String) -> Self {
        Self(Box::new(Inner { kind, message, path: None, source: None }))
    }

    /// Makes this the caller's fault with `status`, which must be 400 to 499; another value leaves 400.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.0.kind = Kind::Input(if (400..=499).contains(&status) { status } else { 400 });
        self
    }

    /// Says where in the request body the fault is, as a JSON path such as `inputs[3]`.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.0.path = Some(path.into());
        self
    }

    /// Whether the caller is at fault.
    pub fn is_input(&self) -> bool {
        matches!(self.0.kind, Kind::Input(_))
    }

    /// Whether the deadline was the reason.
    pub fn is_timed_out(&self) -> bool {
        matches!(self.0.kind, Kind::TimedOut)
    }

    /// The 4xx status a gateway caller is answered with; `None` unless the caller is at fault.
    pub fn caller_status(&self) -> Option<u16> {
        match self.0.kind {
            Kind::Input(status) => Some(status),
            Kind::Function | Kind::TimedOut => None,
        }
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The JSON path of the fault, where there is one.
    pub fn path(&self) -> Option<&str> {
        self.0.path.as_deref()
    }

    /// The error this one was made from by `?`, when it is an `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.source.as_deref().and_then(|source| source.downcast_ref())
    }

    /// The message followed by each cause that adds something, joined by `: `; what the log shows.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.0.source.as_deref().and_then(StdError::source);
        while let Some(error) = cause {
            let line = error.to_string();
            if !text.contains(&line) {
                text.push_str(": ");
                text.push_str(&line);
            }
            cause = error.source();
        }
        text
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let message = error.to_string();
        Self(Box::new(Inner { kind: Kind::Function, message, path: None, source: Some(Box::new(error)) }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.path {
            Some(path) => write!(f, "{path}: {}", self.0.message),
            None => f.write_str(&self.0.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_mark_takes_any_error_and_keeps_it() {
        fn parse(text: &str) -> Result<u8> {
            Ok(text.parse::<u8>()?)
        }
        let error = parse("x").unwrap_err();
        assert_eq!(error.to_string(), "invalid digit found in string");
        assert!(!error.is_input());
        assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
        assert!(error.downcast_ref::<std::io::Error>().is_none());
    }

    #[test]
    fn a_caller_fault_carries_path_and_status() {
        let error = Error::input("must be positive").at("top_n").status(422);
        assert_eq!(error.to_string(), "top_n: must be positive");
        assert_eq!(error.caller_status(), Some(422));
        assert_eq!(Error::input("x").status(200).caller_status(), Some(400));
    }
}
