//! Why a principal was refused: one opaque type, a stable code, one line that names what to change.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::{config, environment, issuer, key, policy, sign, token};

/// Why this crate refused to vouch for an identity.
///
/// Its text is one line that names the variable or file and the remedy. No part of a key, a passphrase or a token
/// is ever in it, nor in its `Debug`.
#[derive(Clone)]
pub struct Refusal {
    // Shared, because a refusal met by one thread is handed to those that waited for it.
    kind: Arc<Kind>,
}

impl Refusal {
    /// The stable code of this refusal, for machines: `env_missing`, `token_expired`, `key_mismatch` and so on.
    ///
    /// The list is in the crate's documentation.
    pub fn code(&self) -> &'static str {
        match &*self.kind {
            Kind::Policy(_) => "policy_invalid",
            Kind::Environment(fault) => fault.code(),
            Kind::Unreadable { what, .. } => what.unreadable(),
            Kind::Token(_, fault) => fault.code(),
            Kind::Key(_, fault) => fault.code(),
            Kind::KeyMismatch { .. } => "key_mismatch",
            Kind::Issuer(_, fault) => fault.code(),
            Kind::Deployment(_, doubt) => doubt.code(),
            Kind::Config(_, fault) => fault.code(),
            Kind::Unsignable(_) => "request_unsignable",
        }
    }

    /// True when the token and the key may simply have been read in the middle of a rotation, so that reading both
    /// again can help.
    pub(crate) fn may_be_half_rotated(&self) -> bool {
        match &*self.kind {
            Kind::KeyMismatch { .. } | Kind::Unreadable { .. } => true,
            Kind::Token(_, fault) => fault.may_be_half_written(),
            Kind::Key(_, fault) => fault.may_be_half_written(),
            _ => false,
        }
    }
}

impl From<Kind> for Refusal {
    fn from(kind: Kind) -> Self {
        Self { kind: Arc::new(kind) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.kind {
            Kind::Policy(fault) => fault.fmt(f),
            Kind::Environment(fault) => fault.fmt(f),
            Kind::Unreadable { origin, error, .. } => {
                write!(
                    f,
                    "{origin} cannot be read ({error}); check that the file exists and that this user may read it"
                )
            }
            Kind::Token(origin, fault) => fault.describe(origin, f),
            Kind::Key(origin, fault) => fault.describe(origin, f),
            Kind::KeyMismatch { token, key } => write!(
                f,
                "the token in {token} was issued for another key than the one in {key}; both must come from the same rotation"
            ),
            Kind::Issuer(origin, fault) => fault.describe(origin, f),
            Kind::Deployment(origin, doubt) => {
                write!(f, "{origin}: {doubt}; give this function's own token, or unset FDK_PRINCIPAL_STRICT")
            }
            Kind::Config(origin, fault) => fault.describe(origin, f),
            Kind::Unsignable(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusal({}: {self})", self.code())
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &*self.kind {
            Kind::Unreadable { error, .. } => Some(error),
            _ => None,
        }
    }
}

pub(crate) enum Kind {
    Policy(policy::Fault),
    Environment(environment::Fault),
    Unreadable { what: Material, origin: Origin, error: io::Error },
    Token(Origin, token::Fault),
    Key(Origin, key::Fault),
    KeyMismatch { token: Origin, key: Origin },
    Issuer(Origin, issuer::Fault),
    Deployment(Origin, crate::Warning),
    Config(Origin, config::Fault),
    Unsignable(sign::Fault),
}

#[derive(Clone, Copy)]
pub(crate) enum Material {
    Token,
    Key,
    Passphrase,
    IssuerKeys,
    Config,
}

impl Material {
    fn unreadable(self) -> &'static str {
        match self {
            Self::Token => "token_unreadable",
            Self::Key | Self::Passphrase => "key_unreadable",
            Self::IssuerKeys => "issuer_keys_unreadable",
            Self::Config => "config_unreadable",
        }
    }
}

/// Where something came from, as a message names it: a variable, and the file it points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) name: Cow<'static, str>,
    pub(crate) path: Option<PathBuf>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{} ({})", Printable(&path.to_string_lossy()), self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Outside text in a message, with control characters escaped so that it stays on one line.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

/// The value of a variable in a message. A long one is only counted: whoever pastes a key or a token into the wrong
/// variable must not find it in a log.
pub(crate) struct ShortValue<'a>(pub(crate) &'a str);

impl fmt::Display for ShortValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 32;
        match self.0.chars().count() {
            ..=LONGEST => write!(f, "\"{}\"", Printable(self.0)),
            count => write!(f, "a text of {count} characters"),
        }
    }
}
