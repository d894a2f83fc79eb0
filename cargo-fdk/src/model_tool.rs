//! The model tool: the one program that links candle to prepare models and to fit heads on them, built when it is first needed.

use crate::compile::{self, Package};
use crate::{Error, Result, kit};
use fdk_models::prepared::{State, look};
use sha2::{Digest as _, Sha256};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The tool's package, and its binary.
const NAME: &str = "fdk-models";
/// As images keep weights, unless they are told otherwise.
const PRECISION: &str = "f16";

/// `cargo fdk assets …`, but for fetching: the tool is given the same words.
pub(crate) async fn run(words: &[OsString]) -> Result<ExitCode> {
    let tool = build(&std::env::current_dir().unwrap_or_default()).await?;
    let status = tokio::process::Command::new(&tool)
        .args(words)
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| Error::failed(format!("{}: {error}", tool.display())))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// The assets folder from which a fetched model is served: one with its prepared file, as an image has it. Where that cannot be
/// made, the model's own files are served, which is said.
pub(crate) async fn prepared(assets: &Path, model: &str, near: &Path) -> Result<PathBuf> {
    if let State::Ready(folder) = look(assets, model, PRECISION)? {
        return Ok(folder);
    }
    let tool = build(near).await?;
    let mut command = tokio::process::Command::new(&tool);
    command.args(["prepare", model, "--beside", "--precision", PRECISION, "--dir"]).arg(assets);
    // Its results are files.
    let status = command.stdout(std::io::stderr()).kill_on_drop(true).status().await;
    let status = status.map_err(|error| Error::failed(format!("{}: {error}", tool.display())))?;
    match look(assets, model, PRECISION)? {
        State::Ready(folder) if status.success() => Ok(folder),
        _ => {
            let _ = writeln!(
                anstream::stderr(),
                "{model}: it could not be prepared, as said above; its own files are served, with a slower start"
            );
            Ok(assets.into())
        }
    }
}

/// Builds the tool: in the workspace that a folder stands in, where that is the FDK's, and shares its candle with functions; else
/// from the sources that this program carries, in a folder of the user's, once.
async fn build(near: &Path) -> Result<PathBuf> {
    let near = near.canonicalize().unwrap_or_else(|_| near.into());
    let own = near.ancestors().find(|above| above.join("fdk/models/Cargo.toml").is_file());
    let (workspace, target) = if let Some(workspace) = own {
        (workspace.to_owned(), None)
    } else {
        let cache = cache()?;
        let _ = writeln!(anstream::stderr(), "the model tool is built once, in {}", cache.display());
        // Not where something else is built: cargo takes packages at like places of two workspaces for one.
        (unpack(&cache)?, Some(cache.join("target")))
    };
    let package = Package {
        name: NAME,
        manifest: workspace.join("Cargo.toml"),
        features: "tool",
        release: false,
        target,
    };
    compile::package_while_serving(&package).await
}

/// Where the tool is built when no workspace has it.
fn cache() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("XDG_CACHE_HOME")
        .or_else(|| Some(variable("HOME")?.join(".cache")))
        .map(|folder| folder.join("fdk"))
        .ok_or_else(|| Error::usage("no place to build the model tool: set HOME or XDG_CACHE_HOME"))
}

/// Writes the sources that this program carries, whole or not at all. Other sources have another folder.
fn unpack(cache: &Path) -> Result<PathBuf> {
    kit::check()?;
    let mut hasher = Sha256::new();
    for (path, content) in kit::FILES {
        hasher.update(path.len().to_le_bytes());
        hasher.update(path);
        hasher.update(content.len().to_le_bytes());
        hasher.update(content);
    }
    let digest = hasher.finalize();
    let hash = digest.iter().take(8).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
    let place = cache.join(format!("{hash:016x}"));
    if place.join("Cargo.toml").is_file() {
        return Ok(place);
    }
    let failed = |error: std::io::Error| Error::failed(format!("{}: {error}", place.display()));
    std::fs::create_dir_all(cache).map_err(failed)?;
    let new = tempfile::Builder::new().prefix(".new").tempdir_in(cache).map_err(failed)?;
    for (path, content) in kit::FILES {
        let to = new.path().join(path);
        if let Some(above) = to.parent() {
            std::fs::create_dir_all(above).map_err(failed)?;
        }
        let whole =
            if *path == "Cargo.toml" { kit::workspace(content).into_bytes() } else { content.to_vec() };
        std::fs::write(to, whole).map_err(failed)?;
    }
    match std::fs::rename(new.keep(), &place) {
        // Another process was there first.
        Err(_) if place.join("Cargo.toml").is_file() => Ok(place),
        Err(error) => Err(failed(error)),
        Ok(()) => Ok(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_program_carries_is_a_workspace_that_has_the_tool() {
        let cache = tempfile::tempdir().unwrap();
        let place = unpack(cache.path()).unwrap();
        assert_eq!(unpack(cache.path()).unwrap(), place, "the same sources have one folder");
        let mut tree = compile::cargo();
        tree.args(["tree", "--offline", "-p", NAME, "--features", "tool", "--manifest-path"]);
        let output = tree.arg(place.join("Cargo.toml")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8_lossy(&output.stdout);
        assert!(tree.contains("candle-core v") && !tree.contains("cargo-fdk v"), "{tree}");
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 1, "nothing half is left");
    }
}
