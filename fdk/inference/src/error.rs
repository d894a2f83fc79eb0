//! One opaque error for the core.

use std::error::Error as StdError;
use std::fmt;

/// Why a model could not be opened, or a task could not be done.
///
/// The kind is private; ask with the predicates. Whoever serves the task answers [`Error::is_input`] as the caller's
/// fault and [`Error::is_interrupted`] as a time-out.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug)]
enum Kind {
    Input { path: String },
    Interrupted,
    Assets,
    Model,
    Configuration,
}

impl Error {
    #[cfg(feature = "core")]
    /// The request asks for what cannot be; `path` is the place in its JSON.
    pub(crate) fn input(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: Kind::Input { path: path.into() }, message: message.into(), source: None }
    }

    #[cfg(feature = "text")]
    /// The request has more texts at this place than there is time for.
    pub(crate) fn too_much(place: &str, needed: std::time::Duration, remaining: std::time::Duration) -> Self {
        let (needed, remaining) = (needed.as_secs_f64(), remaining.as_secs_f64());
        let message = format!(
            "the texts take about {needed:.1} s more and the deadline leaves {remaining:.1}: send fewer in a call"
        );
        Self::input(place, message)
    }

    pub(crate) fn interrupted() -> Self {
        Self { kind: Kind::Interrupted, message: "the work was interrupted".into(), source: None }
    }

    pub(crate) fn assets(message: impl Into<String>) -> Self {
        Self { kind: Kind::Assets, message: message.into(), source: None }
    }

    #[cfg(any(feature = "prepared", feature = "speech"))]
    pub(crate) fn model(what: &str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind: Kind::Model, message: format!("the model {what}"), source: Some(source.into()) }
    }

    /// Whether the request is at fault.
    pub fn is_input(&self) -> bool {
        matches!(self.kind, Kind::Input { .. })
    }

    /// Whether an [`Interrupt`](crate::Interrupt) ended the work.
    pub fn is_interrupted(&self) -> bool {
        matches!(self.kind, Kind::Interrupted)
    }

    /// Whether a model's files are at fault: absent, altered, or too large for the memory granted.
    pub fn is_assets(&self) -> bool {
        matches!(self.kind, Kind::Assets)
    }

    /// The place in the request's JSON, when the request is at fault.
    pub fn path(&self) -> Option<&str> {
        match &self.kind {
            Kind::Input { path } => Some(path),
            Kind::Interrupted | Kind::Assets | Kind::Model | Kind::Configuration => None,
        }
    }
}

#[cfg(feature = "core")]
impl From<fdk_kernels::UnknownKernels> for Error {
    fn from(error: fdk_kernels::UnknownKernels) -> Self {
        Self { kind: Kind::Configuration, message: error.to_string(), source: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
