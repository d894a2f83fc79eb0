//! What a case is, and what can come of it.

use super::launch::Subject;
use serde_json::Value;
use std::pin::Pin;

/// How much a case weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// (M): the agent or the documented contract demands it.
    Required,
    /// (R): it makes a better function, and costs the container nothing.
    Recommended,
}

impl Level {
    pub(super) fn letter(self) -> &'static str {
        match self {
            Self::Required => "M",
            Self::Recommended => "R",
        }
    }
}

/// Why a case did not pass.
#[derive(Debug)]
pub(super) enum Stop {
    /// The function broke the rule: what was expected, and what came.
    Fail(String),
    /// It could not be judged, and why.
    Skip(String),
}

/// Every failure below a case (no socket, no reply, a reply that is not HTTP) is a failure of the case.
impl From<String> for Stop {
    fn from(why: String) -> Self {
        Self::Fail(why)
    }
}

/// A pass carries what was measured; nothing to tell is an empty text.
pub(super) type Verdict<T = String> = Result<T, Stop>;

type Judge = for<'a> fn(&'a Subject) -> Pin<Box<dyn Future<Output = Verdict> + 'a>>;

/// One case of the suite.
pub(super) struct Case {
    pub(super) number: u8,
    pub(super) name: &'static str,
    pub(super) level: Level,
    /// It needs a function that speaks the probe's request format.
    pub(super) needs_probe: bool,
    /// It mostly waits, so it runs beside the others.
    pub(super) waits: bool,
    pub(super) judge: Judge,
}

impl Case {
    pub(super) const fn required(number: u8, name: &'static str, judge: Judge) -> Self {
        Self { number, name, level: Level::Required, needs_probe: false, waits: false, judge }
    }

    pub(super) const fn recommended(number: u8, name: &'static str, judge: Judge) -> Self {
        Self { number, name, level: Level::Recommended, needs_probe: false, waits: false, judge }
    }

    pub(super) const fn with_probe(self) -> Self {
        Self { needs_probe: true, ..self }
    }

    pub(super) const fn waiting(self) -> Self {
        Self { waits: true, ..self }
    }
}

/// Fails the case with this message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::check::case::Stop::Fail(format!($($message)+)));
        }
    };
}
pub(super) use ensure;

/// Fails the case unless both are the same.
#[expect(clippy::needless_pass_by_value, reason = "what is compared is made for the comparison")]
pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Verdict<()> {
    ensure!(found == expected, "{what}: expected {expected:?}, got {found:?}");
    Ok(())
}

/// As [`same`], for what the probe shows.
#[expect(clippy::needless_pass_by_value, reason = "what is expected is always a json! literal")]
pub(super) fn same_json(what: &str, found: &Value, expected: Value) -> Verdict<()> {
    ensure!(*found == expected, "{what}: expected {expected}, got {found}");
    Ok(())
}
