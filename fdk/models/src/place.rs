//! Puts a file where it belongs, whole and verified or not at all.

use fdk_inference::assets::sha256;
use fdk_inference::manifest::File;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Whether the file is there with the size and sha256 that the manifest states.
pub(crate) fn is_verified(folder: &Path, file: &File) -> bool {
    let path = folder.join(&file.path);
    fs::metadata(&path).is_ok_and(|found| found.len() == file.size)
        && sha256(&path).is_ok_and(|sha| sha == file.sha256)
}

/// Where a file is written until it is whole. It lies beside its place, so that a later run can go on with it.
pub(crate) fn partial(folder: &Path, file: &File) -> io::Result<PathBuf> {
    let place = folder.join(&file.path);
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut name = place.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    Ok(place.with_file_name(name))
}

/// Verifies what was written and moves it to its place. A file that is not what the manifest states is removed.
pub(crate) fn finish(partial: &Path, folder: &Path, file: &File) -> Result<(), String> {
    let fails = |error: io::Error| format!("{}: {error}", partial.display());
    let size = fs::metadata(partial).map_err(fails)?.len();
    let sha = sha256(partial).map_err(fails)?;
    if (size, sha.as_str()) != (file.size, file.sha256.as_str()) {
        let _ = fs::remove_file(partial);
        return Err(format!(
            "{} came as {size} bytes with sha256 {sha}; the manifest states {} bytes with {}",
            file.path, file.size, file.sha256
        ));
    }
    // On the disk before it has its name, or a crash could leave the name on an empty file.
    fs::File::open(partial).and_then(|written| written.sync_all()).map_err(fails)?;
    let place = folder.join(&file.path);
    fs::rename(partial, &place).map_err(|error| format!("{}: {error}", place.display()))
}

/// Removes what a download that was killed left behind, except a part that a later one can go on with. The lock must be
/// held.
pub(crate) fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// How the names of staging folders begin.
pub(crate) const STAGING: &str = ".wheel";
