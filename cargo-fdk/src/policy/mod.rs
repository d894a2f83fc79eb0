//! IAM policies: who may do what, as Oracle's policy language says it.
//!
//! A file has one statement in a line; `#` begins a comment; `${name}` is filled when the file is read. What OCI documents
//! is accepted, and where this platform has nothing for it, that is said ([`Policies::notices`]) and nobody is allowed
//! anything by it. What is documented nowhere is refused, with its line and column: a statement passed over in silence
//! would be a hole or a riddle.
//!
//! A placeholder that has no value, as a function's before there is one, makes its statement wait: that is said, with the
//! remedy, and the rest of its line is checked all the same.
//!
//! Nobody is allowed anything but by a statement. Statements only allow, so a further one never takes anything away.

mod condition;
mod cursor;
mod decide;
mod documented;
mod explain;
mod fault;
pub(crate) mod file;
mod statement;
mod variables;
mod vocabulary;

pub use cursor::Names;
pub use decide::{Caller, Decision, Mismatch, Request, Statement, Target};
pub(crate) use explain::{Options, run};
pub use fault::{Fault, Notice};
pub use vocabulary::{
    CREATE_APPLICATION, CREATE_FUNCTION, DELETE_APPLICATION, DELETE_FUNCTION, DELETE_OBJECT, GET_APPLICATION,
    GET_BUCKET, GET_FUNCTION, GET_OBJECT, GET_SECRET_BUNDLE, GET_SECRET_BUNDLE_BY_NAME, HEAD_BUCKET,
    HEAD_OBJECT, INVOKE_FUNCTION, LIST_APPLICATIONS, LIST_BUCKETS, LIST_FUNCTIONS, LIST_OBJECTS, OPERATIONS,
    OVERWRITE_OBJECT, Operation, PUT_OBJECT, UPDATE_APPLICATION, UPDATE_FUNCTION, operation,
};

use crate::tenancy::{DynamicGroup, Tenancy};
use condition::Condition;
use cursor::Cursor;
use decide::{Scope, Who};
use statement::{Line, Location, Principal, Subject, Written};
use std::sync::Arc;

/// The statements of a file, in force for a tenancy.
#[derive(Debug, Clone)]
pub struct Policies {
    tenancy: Arc<Tenancy>,
    statements: Vec<Statement>,
    /// The rules of the dynamic groups, by the groups' ids.
    rules: Vec<(String, Condition)>,
    notices: Vec<Notice>,
}

impl Policies {
    /// No statement: nobody may do anything.
    pub fn none(tenancy: Arc<Tenancy>) -> Self {
        Self { tenancy, statements: Vec::new(), rules: Vec::new(), notices: Vec::new() }
    }

    /// Reads statements. The error is everything that is wrong, in the order of the lines.
    pub fn read(text: &str, names: &Names, tenancy: Arc<Tenancy>) -> Result<Self, Vec<Fault>> {
        let mut policies = Self::none(tenancy);
        let mut faults = Vec::new();
        for (index, text) in text.lines().enumerate() {
            let line = index + 1;
            let mut cursor = Cursor::new(line, text, names);
            if cursor.peek().is_none() {
                continue;
            }
            let said = statement::parse(&mut cursor);
            match (cursor.missing(), said) {
                (None, said) => {
                    let added = said.and_then(|said| policies.add(line, text, said, &cursor));
                    faults.extend(added.err());
                }
                (Some(_), Err(fault)) if !cursor.is_blank(fault.column) => faults.push(fault),
                (Some(missing), said) => policies.wait(line, said.ok(), missing),
            }
        }
        // A rule is the tenancy's and has a file of its own; its faults are told by the group's name.
        let tenancy = policies.tenancy.clone();
        for group in &tenancy.dynamic_groups {
            match rule(group, names) {
                Ok(Rule::Read(rule)) => policies.rules.push((group.id.clone(), rule)),
                Ok(Rule::Waits(missing)) => {
                    let name = &group.name;
                    policies.note(
                        0,
                        format!(
                            "the matching rule of the dynamic group {name}, which has no members: {missing}"
                        ),
                    );
                }
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(policies) } else { Err(faults) }
    }

    /// What was read that allows nobody anything here, and why.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// The statements in force, in the order of the file.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The tenancy they are for.
    pub fn tenancy(&self) -> &Arc<Tenancy> {
        &self.tenancy
    }

    fn add(&mut self, line: usize, text: &str, said: Line, cursor: &Cursor<'_>) -> Result<(), Fault> {
        let written = match said {
            Line::Allow(written) => *written,
            Line::Elsewhere(why) => {
                self.note(line, why);
                return Ok(());
            }
        };
        let Written { subject, permissions, location, condition, unenforced } = written;
        for what in unenforced {
            self.note(line, what);
        }
        if permissions.is_empty() {
            return Ok(());
        }
        let who = self.who(line, subject);
        let scope = self.scope(location, cursor)?;
        let text = without_comment(text).to_owned();
        self.statements.push(Statement { line, text, who, permissions, scope, condition });
        Ok(())
    }

    /// Says why a statement is not in force whose placeholder has no value. With one, what nothing here can be asked for
    /// would be no more in force.
    fn wait(&mut self, line: usize, said: Option<Line>, missing: String) {
        match said {
            Some(Line::Elsewhere(why)) => self.note(line, why),
            Some(Line::Allow(written)) if written.permissions.is_empty() => {
                for what in written.unenforced {
                    self.note(line, what);
                }
            }
            _ => self.note(line, missing),
        }
    }

    fn note(&mut self, line: usize, message: impl Into<String>) {
        self.notices.push(Notice { line, message: message.into() });
    }

    /// Looks up the groups. One that is not there has no members.
    fn who(&mut self, line: usize, subject: Subject) -> Who {
        let (kind, principals) = match subject {
            Subject::AnyUser | Subject::AnyGroup => return Who::Anyone,
            Subject::Services => {
                self.note(line, "service lines: no service of OCI calls here");
                return Who::Nobody;
            }
            Subject::Groups(principals) => ("group", principals),
            Subject::DynamicGroups(principals) => ("dynamic group", principals),
        };
        let tenancy = self.tenancy.clone();
        let mut ids = Vec::new();
        for principal in principals {
            let (id, called) = match principal {
                Principal::Id(id) => (Some(id.clone()).filter(|id| tenancy.has_group(id)), id),
                Principal::Name { domain, name } => {
                    // There is one identity domain, and a name without one is of it.
                    let ours = domain.as_ref().is_none_or(|domain| domain.eq_ignore_ascii_case("default"));
                    let found = match kind {
                        "group" => tenancy.group(&name).map(|group| group.id.clone()),
                        _ => tenancy.dynamic_group(&name).map(|group| group.id.clone()),
                    };
                    let called = domain.map_or_else(|| name.clone(), |domain| format!("{domain}/{name}"));
                    (found.filter(|_| ours), called)
                }
            };
            match id {
                Some(id) => ids.push(id),
                None => self.note(line, format!("the {kind} {called}: the tenancy has none of that name")),
            }
        }
        if kind == "group" { Who::Groups(ids) } else { Who::DynamicGroups(ids) }
    }

    fn scope(&self, location: Location, cursor: &Cursor<'_>) -> Result<Scope, Fault> {
        match location {
            Location::Tenancy | Location::Remote => Ok(Scope(self.tenancy.id.clone())),
            Location::Compartment(id) if self.tenancy.has_compartment(&id.text) => Ok(Scope(id.text)),
            Location::Compartment(id) => {
                Err(cursor.fault(id.column, format!("the tenancy has no compartment {}", id.text)))
            }
            Location::Path(path) => {
                self.tenancy.compartment_at(&path.text).cloned().map(Scope).ok_or_else(|| {
                    let names = self.tenancy.compartments.iter().map(|one| one.name.as_str());
                    let names = names.collect::<Vec<_>>().join(", ");
                    let message = format!("the tenancy has no compartment {:?}; it has {names}", path.text);
                    cursor.fault(path.column, message)
                })
            }
        }
    }
}

/// A matching rule, which waits like a statement.
enum Rule {
    Read(Condition),
    /// For these placeholders.
    Waits(String),
}

/// A dynamic group's rule: one condition, or several in `ANY` or `ALL`.
fn rule(group: &DynamicGroup, names: &Names) -> Result<Rule, Fault> {
    let mut cursor = Cursor::new(0, &group.rule, names);
    let rule = Condition::parse(&mut cursor, &variables::RULE, &mut |_| {});
    let rule = rule.and_then(|rule| cursor.end().map(|()| rule));
    match (cursor.missing(), rule) {
        (None, Ok(rule)) => Ok(Rule::Read(rule)),
        (Some(missing), Ok(_)) => Ok(Rule::Waits(missing)),
        (Some(missing), Err(fault)) if cursor.is_blank(fault.column) => Ok(Rule::Waits(missing)),
        (_, Err(fault)) => Err(Fault {
            message: format!("the matching rule of the dynamic group {}: {}", group.name, fault.message),
            ..fault
        }),
    }
}

/// The text of a line, up to a comment outside of quotes.
fn without_comment(line: &str) -> &str {
    let mut quoted = None;
    for (at, next) in line.char_indices() {
        match (quoted, next) {
            (None, '#') => return line[..at].trim(),
            (None, '\'') => quoted = Some(next),
            (Some(open), _) if open == next => quoted = None,
            _ => {}
        }
    }
    line.trim()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
