//! What was asked of the endpoint of late, by whom, and what the answer was: for the log and for the page.

use crate::policy::{self, Caller, Target};
use serde::Serialize;
use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// How many are kept.
const KEPT: usize = 500;

/// A question that was put, and the answer.
#[derive(Debug, Clone, Serialize)]
pub struct Decision {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Who asked; empty when that is not known.
    pub caller: String,
    /// The operation, or the method and the path of a request that was not authenticated.
    pub operation: String,
    /// What it was about: the value of the first variable of the target, or the compartment.
    pub target: String,
    /// The answer.
    pub verdict: Verdict,
    /// By which statement, or why not.
    pub why: String,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// A statement allows it.
    Allowed,
    /// None does.
    Denied,
    /// Nobody knows who asks.
    Unauthenticated,
}

/// The last decisions.
#[derive(Debug, Default)]
pub struct Decisions {
    kept: Mutex<VecDeque<Decision>>,
}

impl Decisions {
    /// The decisions so far, the oldest first.
    pub fn all(&self) -> Vec<Decision> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn note(
        &self,
        caller: &Caller,
        operation: &str,
        target: &Target,
        decision: &policy::Decision<'_>,
    ) {
        let (verdict, why) = match decision {
            policy::Decision::Allowed(statements) => {
                let lines = statements.iter().map(|statement| format!("line {}", statement.line()));
                (Verdict::Allowed, lines.collect::<Vec<_>>().join(", "))
            }
            policy::Decision::Denied { permission, why } => {
                let nearest = why.iter().max_by_key(|(_, mismatch)| mismatch.nearness());
                let nearest = nearest.map_or_else(
                    || "there is no statement".into(),
                    |(statement, mismatch)| format!("line {} is nearest, but {mismatch}", statement.line()),
                );
                (Verdict::Denied, format!("no statement grants {permission}: {nearest}"))
            }
        };
        let target = target.variables.first().map_or(&target.compartment, |(_, value)| value);
        self.add(caller.to_string(), operation.to_owned(), target.clone(), verdict, why);
    }

    /// A request whose sender is not known.
    pub(super) fn refused(&self, method: &http::Method, path: &str, why: &str) {
        self.add(
            String::new(),
            method.to_string(),
            path.to_owned(),
            Verdict::Unauthenticated,
            why.to_owned(),
        );
    }

    fn add(&self, caller: String, operation: String, target: String, verdict: Verdict, why: String) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let _ = match verdict {
            Verdict::Allowed => {
                writeln!(anstream::stderr(), "{caller} {operation} {target}: allowed by {why}")
            }
            Verdict::Denied => writeln!(anstream::stderr(), "{caller} {operation} {target}: denied, {why}"),
            Verdict::Unauthenticated => {
                writeln!(anstream::stderr(), "{operation} {target}: not authenticated, {why}")
            }
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Decision { at, caller, operation, target, verdict, why });
    }
}
