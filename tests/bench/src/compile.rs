//! Builds our side of the comparison and says where it is.

use crate::{Result, because};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Builds packages of the main workspace for release; their executables by name.
pub(crate) fn release(root: &Path, packages: &[&str]) -> Result<HashMap<String, PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--message-format=json-render-diagnostics"]);
    command.arg("--manifest-path").arg(root.join("Cargo.toml")).stderr(Stdio::inherit());
    for package in packages {
        command.args(["-p", package]);
    }
    let built = command.output().map_err(because("cargo build"))?;
    if !built.status.success() {
        return Err(format!("cargo build of {} failed", packages.join(", ")));
    }
    let text = String::from_utf8_lossy(&built.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    Ok(messages
        .filter_map(|message| {
            Some((message["target"]["name"].as_str()?.into(), message["executable"].as_str()?.into()))
        })
        .collect())
}
