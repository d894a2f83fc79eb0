//! What the operator asks of the principal.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Kind, Refusal, ShortValue};

const MODE: &str = "FDK_PRINCIPAL";
const STRICT: &str = "FDK_PRINCIPAL_STRICT";
const ISSUER_KEYS: &str = "FDK_ISSUER_KEYS";

/// What to demand of a resource principal at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether one must be there.
    pub mode: Mode,
    /// Refuse what is otherwise a [`Warning`](crate::Warning), because it depends on how the function is deployed.
    pub strict: bool,
    /// A JWKS file (RFC 7517) holding the issuer's public keys; with it the token's signature is verified too.
    pub issuer_keys: Option<PathBuf>,
}

impl Policy {
    /// The policy in `FDK_PRINCIPAL`, `FDK_PRINCIPAL_STRICT` and `FDK_ISSUER_KEYS`; an empty value counts as unset.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Refusal> {
        let text = |name| variable(name).filter(|value| !value.is_empty());
        let mode = match text(MODE) {
            Some(value) => value.to_string_lossy().parse()?,
            None => Mode::default(),
        };
        let strict = match text(STRICT).as_ref().map(|value| value.to_string_lossy()).as_deref() {
            None | Some("0" | "false") => false,
            Some("1" | "true") => true,
            Some(other) => return Err(Fault::Strict(other.to_owned()).into()),
        };
        Ok(Self { mode, strict, issuer_keys: text(ISSUER_KEYS).map(PathBuf::from) })
    }
}

/// Whether a function must have a resource principal: the values of `FDK_PRINCIPAL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Start is refused without one.
    Required,
    /// Verified when the variables are present; their absence is fine. Present but bad is refused.
    #[default]
    Optional,
    /// Not looked at.
    Off,
}

impl FromStr for Mode {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text {
            "required" => Ok(Self::Required),
            "optional" => Ok(Self::Optional),
            "off" => Ok(Self::Off),
            other => Err(Fault::Mode(other.to_owned()).into()),
        }
    }
}

pub(crate) enum Fault {
    Mode(String),
    Strict(String),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Kind::Policy(fault).into()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mode(value) => {
                write!(f, "{MODE} is {}; use required, optional or off", ShortValue(value))
            }
            Self::Strict(value) => write!(f, "{STRICT} is {}; use 1 or 0", ShortValue(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Policy, Refusal> {
        Policy::read(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn an_empty_environment_is_the_default() {
        assert_eq!(read(&[]).unwrap(), Policy::default());
        assert_eq!(read(&[(MODE, ""), (STRICT, ""), (ISSUER_KEYS, "")]).unwrap(), Policy::default());
    }

    #[test]
    fn every_value_is_read() {
        let policy = read(&[(MODE, "required"), (STRICT, "1"), (ISSUER_KEYS, "/etc/jwks.json")]).unwrap();
        let expected =
            Policy { mode: Mode::Required, strict: true, issuer_keys: Some(PathBuf::from("/etc/jwks.json")) };
        assert_eq!(policy, expected);
        assert_eq!(read(&[(MODE, "off"), (STRICT, "0")]).unwrap().mode, Mode::Off);
    }

    #[test]
    fn other_values_are_refused_by_name() {
        let refusal = read(&[(MODE, "maybe")]).unwrap_err();
        assert_eq!(refusal.code(), "policy_invalid");
        assert_eq!(refusal.to_string(), "FDK_PRINCIPAL is \"maybe\"; use required, optional or off");
        let refusal = read(&[(STRICT, "yes\nplease")]).unwrap_err();
        assert_eq!(refusal.to_string(), "FDK_PRINCIPAL_STRICT is \"yes\\nplease\"; use 1 or 0");
    }
}
