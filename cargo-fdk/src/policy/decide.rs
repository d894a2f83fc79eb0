//! The decision: which statement allows a request, or why none does.

use super::Policies;
use super::condition::Condition;
use super::vocabulary::{Operation, permission};
use crate::tenancy::REGION_KEY;
use std::fmt;

/// One statement in force.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) who: Who,
    pub(super) permissions: Vec<&'static str>,
    pub(super) scope: Scope,
    pub(super) condition: Option<Condition>,
}

impl Statement {
    /// Its line in the file, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Whom a statement is for.
#[derive(Debug, Clone)]
pub(super) enum Who {
    Anyone,
    Nobody,
    /// Ids.
    Groups(Vec<String>),
    DynamicGroups(Vec<String>),
}

/// The compartment, or the tenancy, below which a statement is in force.
#[derive(Debug, Clone)]
pub(super) struct Scope(pub(super) String);

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A user.
    User {
        /// The user's OCID.
        id: String,
        /// The user's name.
        name: String,
        /// The OCIDs of the groups it is in.
        groups: Vec<String>,
    },
    /// A resource, such as a function.
    Resource {
        /// Its OCID.
        id: String,
        /// Its type, as in its OCID: `fnfunc`.
        kind: String,
        /// The OCID of its compartment.
        compartment: String,
    },
}

impl Caller {
    /// The OCID.
    pub fn id(&self) -> &str {
        match self {
            Self::User { id, .. } | Self::Resource { id, .. } => id,
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { name, .. } => write!(f, "user {name}"),
            Self::Resource { id, kind, .. } => write!(f, "{kind} {id}"),
        }
    }
}

/// What is asked for: where it is, and the variables that apply to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The OCID of its compartment.
    pub compartment: String,
    /// Variables, such as `target.function.id`, and their values.
    pub variables: Vec<(&'static str, String)>,
}

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// To do what.
    pub operation: &'a Operation,
    /// With what.
    pub target: &'a Target,
}

/// The answer.
#[derive(Debug)]
pub enum Decision<'a> {
    /// Allowed, by these statements: one for each permission that the operation needs.
    Allowed(Vec<&'a Statement>),
    /// Not allowed: this permission is missing, since no statement fits.
    Denied {
        /// What is missing.
        permission: &'static str,
        /// Each statement, and what of it does not fit.
        why: Vec<(&'a Statement, Mismatch)>,
    },
}

impl Decision<'_> {
    /// Whether it is allowed.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }
}

/// Why a statement does not allow a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// It is for others.
    Subject,
    /// It does not grant the permission.
    Permission,
    /// It is for another compartment.
    Location,
    /// Its condition does not hold, for this reason.
    Condition(String),
}

impl Mismatch {
    /// How much of the statement fits: more means nearer.
    pub fn nearness(&self) -> u8 {
        match self {
            Self::Subject => 0,
            Self::Permission => 1,
            Self::Location => 2,
            Self::Condition(_) => 3,
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject => f.write_str("it is for others than the caller"),
            Self::Permission => f.write_str("it does not grant the permission"),
            Self::Location => f.write_str("it is for another compartment"),
            Self::Condition(why) => write!(f, "its condition does not hold: {why}"),
        }
    }
}

impl Policies {
    /// Whether a request is allowed, and why.
    pub fn decide(&self, request: &Request<'_>) -> Decision<'_> {
        let mut allowing = Vec::new();
        for needed in request.operation.permissions {
            // Only what the vocabulary knows can be granted.
            let Some(needed) = permission(needed) else {
                return Decision::Denied { permission: "", why: Vec::new() };
            };
            let fits = |statement: &&Statement| self.mismatch(statement, request, needed).is_none();
            let Some(statement) = self.statements.iter().find(fits) else {
                let why = self.statements.iter();
                let why = why.filter_map(|one| Some((one, self.mismatch(one, request, needed)?))).collect();
                return Decision::Denied { permission: needed, why };
            };
            allowing.push(statement);
        }
        Decision::Allowed(allowing)
    }

    fn mismatch(&self, statement: &Statement, request: &Request<'_>, needed: &str) -> Option<Mismatch> {
        if !self.is_for(&statement.who, request.caller) {
            return Some(Mismatch::Subject);
        }
        if !statement.permissions.contains(&needed) {
            return Some(Mismatch::Permission);
        }
        if !self.tenancy.ancestors(&request.target.compartment).contains(&statement.scope.0.as_str()) {
            return Some(Mismatch::Location);
        }
        let values = |variable: &str| self.values(variable, request, needed);
        statement.condition.as_ref()?.why_not(&values).map(Mismatch::Condition)
    }

    fn is_for(&self, who: &Who, caller: &Caller) -> bool {
        match (who, caller) {
            (Who::Anyone, _) => true,
            (Who::Groups(ids), Caller::User { groups, .. }) => groups.iter().any(|group| ids.contains(group)),
            (Who::DynamicGroups(ids), Caller::Resource { .. }) => self
                .rules
                .iter()
                .any(|(id, rule)| ids.contains(id) && rule.holds(&|name| of_resource(name, caller))),
            _ => false,
        }
    }

    /// The values of a variable for a request; none where it does not apply.
    fn values<'v>(&'v self, variable: &str, request: &Request<'v>, needed: &'v str) -> Vec<&'v str> {
        let target = request.target;
        let own = target.variables.iter().find(|(name, _)| *name == variable);
        if let Some((_, value)) = own {
            return vec![value];
        }
        match (variable, request.caller) {
            ("request.operation", _) => vec![request.operation.name],
            ("request.permission", _) => vec![needed],
            ("request.region", _) => vec![REGION_KEY],
            ("request.principal.id", caller) => vec![caller.id()],
            ("request.principal.type", Caller::User { .. }) => vec!["user"],
            ("request.principal.type", Caller::Resource { kind, .. }) => vec![kind],
            (
                "request.principal.compartment.id" | "request.resource.compartment.id",
                Caller::Resource { compartment, .. },
            ) => vec![compartment],
            ("request.user.id", Caller::User { id, .. }) => vec![id],
            ("request.user.name", Caller::User { name, .. }) => vec![name],
            ("request.groups.id", Caller::User { groups, .. }) => groups.iter().map(String::as_str).collect(),
            ("target.compartment.id", _) => vec![&target.compartment],
            ("target.compartment.name", _) => {
                self.tenancy.compartment_name(&target.compartment).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The variables of matching rules.
fn of_resource<'v>(variable: &str, caller: &'v Caller) -> Vec<&'v str> {
    match (variable, caller) {
        ("resource.id", Caller::Resource { id, .. }) => vec![id],
        ("resource.type", Caller::Resource { kind, .. }) => vec![kind],
        ("resource.compartment.id", Caller::Resource { compartment, .. }) => vec![compartment],
        _ => Vec::new(),
    }
}
