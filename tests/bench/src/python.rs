//! The Python FDK from PyPI, in an environment of its own.

use crate::{Result, because};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The environment, made at the first run and kept: where its `fdk` command is, and what is in it.
pub(crate) struct Python {
    pub(crate) fdk: PathBuf,
    pub(crate) version: String,
}

pub(crate) fn prepare(output: &Path) -> Result<Python> {
    let folder = output.join("python");
    let python = folder.join("bin/python");
    let fdk = folder.join("bin/fdk");
    if !fdk.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "fdk"]))?;
    }
    let ask =
        "import importlib.metadata as m, platform as p; print(m.version('fdk'), 'on', p.python_version())";
    let version = run(Command::new(&python).args(["-c", ask]))?;
    Ok(Python { fdk, version: version.trim().into() })
}

fn run(command: &mut Command) -> Result<String> {
    let what = format!("{} {:?}", command.get_program().display(), command.get_args().collect::<Vec<_>>());
    let ended = command.output().map_err(because(&what))?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&ended.stderr);
    Err(format!("{what}: {}", stderr.lines().last().unwrap_or("failed")))
}
