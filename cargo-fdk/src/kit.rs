//! The FDK's own sources, which this program carries: for new projects, and for the model tool where no workspace has it.

use crate::{Error, Result};

/// The files, by their paths in the FDK's workspace.
pub(crate) const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// Refuses to go on without them: a build that saw no workspace has none.
pub(crate) fn check() -> Result<()> {
    if FILES.iter().any(|(path, _)| path.starts_with("fdk/")) {
        return Ok(());
    }
    Err(Error::failed("this cargo fdk was built without the FDK's sources: build it in a clone"))
}

/// The manifest of the FDK's workspace, with the crates alone that this program carries.
pub(crate) fn workspace(manifest: &[u8]) -> String {
    let manifest = String::from_utf8_lossy(manifest);
    let mut members: Vec<&str> =
        FILES.iter().filter_map(|(path, _)| path.strip_suffix("/Cargo.toml")).collect();
    members.sort_unstable();
    let members: Vec<String> = members.iter().map(|member| format!("    \"{member}\",\n")).collect();
    let (before, rest) = manifest.split_once("members = [").unwrap_or((&manifest, ""));
    let after = rest.split_once(']').map_or("", |(_, after)| after);
    let after = after.lines().filter(|line| !line.starts_with("exclude = "));
    format!("{before}members = [\n{}]{}\n", members.concat(), after.collect::<Vec<_>>().join("\n"))
}
