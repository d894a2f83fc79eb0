//! `cargo fdk policy explain`: which statement allows a request, or why none does.

use super::file::{PolicyFile, names_of};
use super::variables::nearest;
use super::vocabulary::{OPERATIONS, Operation, operation};
use super::{Caller, Decision, Request, Target};
use crate::tenancy::Tenancy;
use crate::{Error, Result};
use clap::{Args, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say which statement allows a request, or why none does. Exit code 0 when it is allowed, 1 when not
    Explain(Question),
}

#[derive(Args)]
struct Question {
    /// Who asks: a user's name or OCID, or the OCID of a function
    #[arg(long = "as", value_name = "USER")]
    caller: String,
    /// The operation, by its name in the API, such as `InvokeFunction`
    #[arg(long = "do", value_name = "OPERATION")]
    operation: String,
    /// What it is done to: the OCID of a function, an application, a secret or a compartment; or BUCKET, or BUCKET/OBJECT
    #[arg(long = "on", value_name = "OCID")]
    target: String,
    /// The compartment it is in, by its path of names or its OCID; the tenancy's first when not given
    #[arg(long = "in", value_name = "COMPARTMENT")]
    compartment: Option<String>,
    /// The compartment of a function that asks; the tenancy's first when not given
    #[arg(long = "as-in", value_name = "COMPARTMENT")]
    callers_compartment: Option<String>,
    /// The application of a function; without it `target.app.id` has no value
    #[arg(long, value_name = "OCID")]
    app: Option<String>,
    /// The tenancy's folder, as `cargo fdk start --oci --init-oci DIR` makes it. There is none by default: without a folder
    /// `start` makes a tenancy that goes when it ends
    #[arg(long, visible_alias = "init-oci", value_name = "DIR")]
    tenancy: PathBuf,
    #[command(flatten)]
    file: PolicyFile,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Command::Explain(question) = &options.command;
    let tenancy = Arc::new(Tenancy::read(&question.tenancy)?);
    let mut names = names_of(&tenancy);
    // What the question names is what the file's placeholders of that name most likely mean; a statement with another one
    // is not in force, which the reader of the file says.
    let kinds = [
        ("ocid1.fnfunc.", "function_id"),
        ("ocid1.fnapp.", "application_id"),
        ("ocid1.vaultsecret.", "secret_id"),
    ];
    for id in std::iter::once(&question.target).chain(&question.app) {
        let kind = kinds.iter().find(|(kind, _)| id.starts_with(kind));
        names.extend(kind.map(|(_, name)| ((*name).to_owned(), id.clone())));
    }
    if let Some(bucket) = question.target.split('/').next().filter(|bucket| !bucket.starts_with("ocid1.")) {
        names.insert("bucket".to_owned(), bucket.to_owned());
    }
    let policies = question.file.read(tenancy.clone(), names)?;
    let callers_compartment = compartment(&tenancy, "--as-in", question.callers_compartment.as_deref())?;
    let compartment = compartment(&tenancy, "--in", question.compartment.as_deref())?;
    let caller = caller(&tenancy, &question.caller, &callers_compartment)?;
    let operation = known(&question.operation)?;
    let target = target(question, &tenancy, compartment)?;
    let decision = policies.decide(&Request { caller: &caller, operation, target: &target });
    let allowed = decision.is_allowed();
    let _ = tell(&decision, &caller, operation);
    Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(decision: &Decision<'_>, caller: &Caller, operation: &Operation) -> std::io::Result<()> {
    let out = &mut anstream::stdout();
    match decision {
        Decision::Allowed(statements) => {
            writeln!(out, "allowed: {caller} may {}", operation.name)?;
            for (needed, statement) in operation.permissions.iter().zip(statements) {
                writeln!(out, "  {needed} by line {}: {}", statement.line(), statement.text())?;
            }
        }
        Decision::Denied { permission, why } => {
            writeln!(out, "not allowed: {caller} may not {}", operation.name)?;
            if why.is_empty() {
                writeln!(out, "  {permission} is needed, and there is no statement at all")?;
            } else {
                writeln!(out, "  {permission} is needed, and no statement grants it:")?;
            }
            for (statement, mismatch) in why {
                writeln!(out, "  line {}: {}\n    {mismatch}", statement.line(), statement.text())?;
            }
        }
    }
    Ok(())
}

fn known(name: &str) -> Result<&'static Operation> {
    operation(name).ok_or_else(|| {
        let near = nearest(name, OPERATIONS.iter().map(|operation| operation.name));
        let mut all: Vec<_> = OPERATIONS.iter().map(|operation| operation.name).collect();
        all.dedup();
        Error::usage(format!(
            "--do {name}: no such operation is emulated{near}\n       there are {}",
            all.join(", ")
        ))
    })
}

fn compartment(tenancy: &Tenancy, option: &str, named: Option<&str>) -> Result<String> {
    match named {
        None => Ok(tenancy.home().to_owned()),
        Some(id) if tenancy.has_compartment(id) => Ok(id.to_owned()),
        Some(path) => tenancy
            .compartment_at(path)
            .cloned()
            .ok_or_else(|| Error::usage(format!("{option} {path}: the tenancy has no such compartment"))),
    }
}

fn caller(tenancy: &Tenancy, named: &str, compartment: &str) -> Result<Caller> {
    if let Some(user) = tenancy.user(named) {
        return Ok(Caller::User {
            id: user.id.clone(),
            name: user.name.clone(),
            groups: tenancy.groups_of(user),
        });
    }
    let kind = named.strip_prefix("ocid1.").and_then(|rest| rest.split('.').next());
    if let Some(kind) = kind.filter(|kind| *kind != "user") {
        return Ok(Caller::Resource { id: named.into(), kind: kind.into(), compartment: compartment.into() });
    }
    let users = tenancy.users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>().join(", ");
    Err(Error::usage(format!("--as {named}: the tenancy has no such user; it has {users}")))
}

fn target(question: &Question, tenancy: &Tenancy, compartment: String) -> Result<Target> {
    let on = question.target.clone();
    let mut target = Target { compartment, variables: Vec::new() };
    let kind = on.strip_prefix("ocid1.").and_then(|rest| rest.split('.').next());
    match kind {
        Some("fnfunc") => target.variables.push(("target.function.id", on)),
        Some("fnapp") => target.variables.push(("target.app.id", on)),
        Some("vaultsecret") => {
            let name = crate::oci::secret_name(&on).map(|name| ("target.secret.name", name.to_owned()));
            target.variables.extend(name);
            target.variables.push(("target.secret.id", on));
        }
        Some("compartment" | "tenancy") if tenancy.has_compartment(&on) => target.compartment = on,
        Some(_) => {
            return Err(Error::usage(format!(
                "--on {on}: no function, application, secret or compartment has this OCID"
            )));
        }
        None => {
            let (bucket, object) =
                on.split_once('/').map_or((&*on, None), |(bucket, object)| (bucket, Some(object)));
            target.variables.push(("target.bucket.name", bucket.to_owned()));
            target.variables.extend(object.map(|object| ("target.object.name", object.to_owned())));
        }
    }
    target.variables.extend(question.app.clone().map(|app| ("target.app.id", app)));
    Ok(target)
}
