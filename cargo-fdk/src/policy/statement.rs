//! One statement, as it is written: `Allow <subject> to <verb> <resource-type> in <location> where <condition>`.

use super::condition::Condition;
use super::cursor::{Cursor, Word};
use super::documented;
use super::fault::Fault;
use super::variables::{self, nearest};
use super::vocabulary::{self, Verb};

/// What a line says.
pub(super) enum Line {
    Allow(Box<Written>),
    /// Documented, and nothing here can be asked for by it.
    Elsewhere(&'static str),
}

/// A statement whose names are not yet looked up.
pub(super) struct Written {
    pub(super) subject: Subject,
    /// The permissions, of those that are enforced.
    pub(super) permissions: Vec<&'static str>,
    pub(super) location: Location,
    pub(super) condition: Option<Condition>,
    /// What of it is documented and means nothing here.
    pub(super) unenforced: Vec<String>,
}

/// Who is allowed.
#[derive(Debug)]
pub(super) enum Subject {
    Groups(Vec<Principal>),
    DynamicGroups(Vec<Principal>),
    /// Every group and dynamic group: all users and resources.
    AnyGroup,
    /// As that, and services.
    AnyUser,
    Services,
}

/// A group, by its OCID or its name.
#[derive(Debug)]
pub(super) enum Principal {
    Id(String),
    Name { domain: Option<String>, name: String },
}

/// Where.
#[derive(Debug)]
pub(super) enum Location {
    Tenancy,
    /// By OCID.
    Compartment(Word),
    /// By names, each within the one before.
    Path(Word),
    /// Another tenancy.
    Remote,
}

const CROSS_TENANCY: &str = "statements across tenancies: there is one tenancy here";

/// Reads the statement of a line.
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Line, Fault> {
    let Some(first) = cursor.word()? else { return Err(cursor.expected("'Allow'")) };
    if first.is("define") {
        return define(cursor);
    }
    let across = first.is("endorse") || first.is("admit");
    if first.is("deny") {
        let message =
            "'Deny' is documented, and not emulated here: to pass over it would allow more than OCI does";
        return Err(cursor.fault(first.column, message));
    }
    if !(first.is("allow") || across) {
        return Err(
            cursor.fault(first.column, format!("a statement begins with 'Allow', not {:?}", first.text))
        );
    }
    let subject = subject(cursor)?;
    if across && cursor.take_keyword("of")? {
        cursor.keyword("tenancy")?;
        name(cursor, "the tenancy's name")?;
    }
    cursor.keyword("to")?;
    let mut written = Written {
        subject,
        permissions: Vec::new(),
        location: Location::Tenancy,
        condition: None,
        unenforced: Vec::new(),
    };
    action(cursor, &mut written)?;
    cursor.keyword("in")?;
    written.location = location(cursor, across)?;
    if cursor.take_keyword("where")? {
        let unenforced = &mut written.unenforced;
        let mut unknown = |variable: &str| {
            unenforced.push(format!("{variable}, which has no value here: comparisons with it never hold"));
        };
        written.condition = Some(Condition::parse(cursor, &variables::WHERE, &mut unknown)?);
    }
    cursor.end()?;
    Ok(if across { Line::Elsewhere(CROSS_TENANCY) } else { Line::Allow(Box::new(written)) })
}

/// `Define (tenancy | group | dynamic-group) NAME as OCID`.
fn define(cursor: &mut Cursor<'_>) -> Result<Line, Fault> {
    let kind = cursor.word()?;
    if !kind.is_some_and(|kind| kind.is("tenancy") || kind.is("group") || kind.is("dynamic-group")) {
        return Err(cursor.expected("'tenancy', 'group' or 'dynamic-group'"));
    }
    name(cursor, "a name")?;
    cursor.keyword("as")?;
    ocid(cursor)?;
    cursor.end()?;
    Ok(Line::Elsewhere(CROSS_TENANCY))
}

fn subject(cursor: &mut Cursor<'_>) -> Result<Subject, Fault> {
    let kinds = "'group', 'dynamic-group', 'service', 'any-group' or 'any-user'";
    let Some(kind) = cursor.word()? else { return Err(cursor.expected(kinds)) };
    match kind.text.to_ascii_lowercase().as_str() {
        "any-user" => Ok(Subject::AnyUser),
        "any-group" => Ok(Subject::AnyGroup),
        "group" => principals(cursor).map(Subject::Groups),
        "dynamic-group" => principals(cursor).map(Subject::DynamicGroups),
        "service" => {
            name(cursor, "a service's name")?;
            while cursor.take(',') {
                name(cursor, "a service's name")?;
            }
            Ok(Subject::Services)
        }
        _ => Err(cursor.fault(kind.column, format!("{kinds} belongs here, not {:?}", kind.text))),
    }
}

/// `NAME, 'DOMAIN'/'NAME', id OCID`, one or more.
fn principals(cursor: &mut Cursor<'_>) -> Result<Vec<Principal>, Fault> {
    let mut all = vec![principal(cursor)?];
    while cursor.take(',') {
        all.push(principal(cursor)?);
    }
    Ok(all)
}

fn principal(cursor: &mut Cursor<'_>) -> Result<Principal, Fault> {
    if cursor.take_keyword("id")? {
        return ocid(cursor).map(|id| Principal::Id(id.text));
    }
    let first = name(cursor, "a group's name")?;
    if cursor.take('/') {
        let name = name(cursor, "a group's name")?;
        return Ok(Principal::Name { domain: Some(first.text), name: name.text });
    }
    Ok(Principal::Name { domain: None, name: first.text })
}

/// `VERB RESOURCE-TYPE`, or `{PERMISSION, PERMISSION}`.
fn action(cursor: &mut Cursor<'_>, written: &mut Written) -> Result<(), Fault> {
    if cursor.take('{') {
        loop {
            let Some(word) = cursor.word()? else { return Err(cursor.expected("a permission")) };
            if let Some(permission) = vocabulary::permission(&word.text) {
                written.permissions.push(permission);
            } else if documented::is_documented_permission(&word.text) {
                written.unenforced.push(format!("the permission {}", word.text));
            } else {
                let near = nearest(&word.text, vocabulary::PERMISSIONS.iter().map(|(.., name)| *name));
                return Err(cursor.fault(word.column, unknown("permission", &word.text, &near)));
            }
            if !cursor.take(',') {
                return cursor.expect('}');
            }
        }
    }
    let verbs = "'inspect', 'read', 'use' or 'manage'";
    let Some(word) = cursor.word()? else { return Err(cursor.expected(verbs)) };
    let Some(verb) = Verb::named(&word.text) else {
        let near = nearest(&word.text, Verb::ALL.iter().map(|(name, _)| *name));
        return Err(cursor.fault(word.column, format!("{verbs} belongs here, not {:?}{near}", word.text)));
    };
    let Some(word) = cursor.word()? else { return Err(cursor.expected("a resource type")) };
    match vocabulary::enforced(&word.text) {
        Some(types) => {
            written.permissions = vocabulary::permissions(verb, &types);
            if written.permissions.is_empty() {
                written.unenforced.push(format!(
                    "'{} {}', which permits nothing at all",
                    verb_name(verb),
                    word.text
                ));
            }
        }
        None if documented::is_documented_type(&word.text) => {
            written.unenforced.push(format!("the resource type {}", word.text));
        }
        None => {
            let known = vocabulary::PERMISSIONS.iter().map(|(resource, ..)| *resource);
            let near =
                nearest(&word.text, known.chain(["functions-family", "object-family", "all-resources"]));
            return Err(cursor.fault(word.column, unknown("resource type", &word.text, &near)));
        }
    }
    Ok(())
}

/// A word that is in no list here. OCI may have it: its reference is longer, and grows.
fn unknown(kind: &str, word: &str, near: &str) -> String {
    let remedy = if near.is_empty() { "; if it is one of OCI's, leave its statement out here" } else { near };
    format!("no {kind} {word:?} is known here{remedy}")
}

fn verb_name(verb: Verb) -> &'static str {
    Verb::ALL.iter().find(|(_, of)| *of == verb).map_or("", |(name, _)| name)
}

fn location(cursor: &mut Cursor<'_>, across: bool) -> Result<Location, Fault> {
    if cursor.take_keyword("tenancy")? {
        if across && !matches!(cursor.peek(), None | Some('w' | 'W')) {
            name(cursor, "the tenancy's name")?;
        }
        return Ok(Location::Tenancy);
    }
    if across && cursor.take_keyword("any-tenancy")? {
        return Ok(Location::Remote);
    }
    if !cursor.take_keyword("compartment")? {
        return Err(cursor.expected("'tenancy' or 'compartment'"));
    }
    if cursor.take_keyword("id")? {
        return ocid(cursor).map(Location::Compartment);
    }
    name(cursor, "a compartment's name").map(Location::Path)
}

/// A name, in quotes or without.
fn name(cursor: &mut Cursor<'_>, what: &str) -> Result<Word, Fault> {
    if let Some(quoted) = cursor.quoted()? {
        if quoted.text.is_empty() {
            return Err(cursor.fault(quoted.column, format!("{what} may not be empty")));
        }
        return Ok(quoted);
    }
    match cursor.word()? {
        Some(word) => Ok(word),
        None => Err(cursor.expected(what)),
    }
}

fn ocid(cursor: &mut Cursor<'_>) -> Result<Word, Fault> {
    let word = name(cursor, "an OCID")?;
    // ocid1.TYPE.REALM.[REGION].ID
    if word.text.starts_with("ocid1.") && word.text.split('.').count() >= 5 {
        Ok(word)
    } else {
        Err(cursor.fault(word.column, format!("an OCID belongs here, not {:?}", word.text)))
    }
}
