//! Policy files on the command line.

use super::{Fault, Names, Policies};
use crate::tenancy::Tenancy;
use crate::{Error, Result};
use clap::Args;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PolicyFile {
    /// IAM policy statements, one in a line; without a file nobody is allowed anything
    #[arg(long, value_name = "FILE")]
    pub(crate) policies: Option<PathBuf>,
    /// What a placeholder ${NAME} of the file stands for
    #[arg(long = "policy-var", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) vars: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is not of the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl PolicyFile {
    /// When the file last changed.
    pub(crate) fn modified(&self) -> Option<SystemTime> {
        std::fs::metadata(self.policies.as_ref()?).ok()?.modified().ok()
    }

    /// Reads the file, with these placeholders and those of the command line, which win; says on stderr what of it is not
    /// enforced.
    pub(crate) fn read(&self, tenancy: Arc<Tenancy>, mut names: Names) -> Result<Policies> {
        let name = self.policies.as_ref().map_or_else(String::new, |file| file.display().to_string());
        let text = match &self.policies {
            None => String::new(),
            Some(file) => std::fs::read_to_string(file)
                .map_err(|error| Error::usage(format!("--policies {name}: {error}")))?,
        };
        names.extend(self.vars.iter().cloned());
        let policies = Policies::read(&text, &names, tenancy).map_err(|faults| {
            let told = faults.iter().map(|fault: &Fault| match fault.line {
                0 => fault.to_string(),
                _ => format!("{name}:{fault}"),
            });
            Error::usage(told.collect::<Vec<_>>().join("\n       "))
        })?;
        for notice in policies.notices() {
            let _ = match notice.line {
                0 => writeln!(anstream::stderr(), "{notice}"),
                _ => writeln!(anstream::stderr(), "{name}:{notice}"),
            };
        }
        Ok(policies)
    }
}

/// The placeholders that a tenancy fills.
pub(crate) fn names_of(tenancy: &Tenancy) -> Names {
    let mut names = Names::from([
        ("tenancy_id".to_owned(), tenancy.id.clone()),
        ("tenancy_name".to_owned(), tenancy.name.clone()),
        ("namespace".to_owned(), tenancy.namespace.clone()),
    ]);
    // Buckets and secrets are there too.
    for name in ["compartment_id", "bucket_compartment_id", "secret_compartment_id"] {
        names.insert(name.to_owned(), tenancy.home().to_owned());
    }
    if let Some(home) = tenancy.compartments.first() {
        names.insert("compartment_name".to_owned(), home.name.clone());
    }
    if let [only] = tenancy.dynamic_groups.as_slice() {
        names.insert("dynamic_group".to_owned(), only.name.clone());
    }
    names
}
