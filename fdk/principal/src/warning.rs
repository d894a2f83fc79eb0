//! What is odd about a principal, yet may be right where this function is deployed.

use std::fmt;

use crate::environment::FUNCTION_ID;
use crate::error::Printable;
use crate::token::Token;

/// A doubt about a verified principal. Under a strict policy it is a [`Refusal`](crate::Refusal) instead.
///
/// That functions carry `fnfunc` in `res_type` and their own id in `res_id` is how IAM policies address them, but no
/// real function's token has been published, so by default a difference does not stop a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    ResourceType(Option<String>),
    ResourceId { token: Option<String>, function: String },
}

impl Warning {
    /// Everything odd about the token, given the id the platform says this function has.
    pub(crate) fn about(token: &Token, function_id: Option<&str>) -> Vec<Self> {
        let text = |name| token.claim(name).and_then(serde_json::Value::as_str);
        let mut warnings = Vec::new();
        if text("res_type") != Some("fnfunc") {
            warnings.push(Self { kind: Kind::ResourceType(text("res_type").map(str::to_owned)) });
        }
        if let Some(function) = function_id.filter(|id| text("res_id") != Some(id)) {
            let kind =
                Kind::ResourceId { token: text("res_id").map(str::to_owned), function: function.to_owned() };
            warnings.push(Self { kind });
        }
        warnings
    }

    /// The stable code: `wrong_resource_type` or `resource_id_mismatch`.
    pub fn code(&self) -> &'static str {
        match self.kind {
            Kind::ResourceType(_) => "wrong_resource_type",
            Kind::ResourceId { .. } => "resource_id_mismatch",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::ResourceType(found) => write!(
                f,
                "the token is for a resource of type {}, not fnfunc; it is not a function's token",
                Shown(found.as_deref())
            ),
            Kind::ResourceId { token, function } => write!(
                f,
                "the token is for the resource {}, but {FUNCTION_ID} is {}; it is another function's token",
                Shown(token.as_deref()),
                Printable(function)
            ),
        }
    }
}

struct Shown<'a>(Option<&'a str>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) => Printable(text).fmt(f),
            None => f.write_str("unknown"),
        }
    }
}
