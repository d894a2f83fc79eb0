//! What stands for images here: the name of an image leads to the function that was built under it.
//!
//! An image is the folder `NAME-HASH` in a folder of the user's: a copy of the executable, and `image.json`. A newer build
//! of the same name replaces it whole; containers that run keep the file they started from.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// A built function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its name, as `fn deploy` and `func.yaml` make it: `embed:0.0.1`.
    pub name: String,
    /// The function folder it was built from.
    pub source: PathBuf,
    /// The executable; a path of the store's own once it is there.
    pub executable: PathBuf,
    /// Configuration that is the machine's and not the function's: where its model is.
    pub config: Vec<(String, String)>,
    /// What it reads beside its executable, at these paths.
    pub visible: Vec<PathBuf>,
}

/// The images of a folder.
#[derive(Debug)]
pub struct Images {
    folder: PathBuf,
    read: Mutex<HashMap<String, (SystemTime, Arc<Image>)>>,
}

impl Images {
    /// Those in this folder, which need not exist.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder, read: Mutex::default() }
    }

    /// Keeps a copy of what was built, under its name.
    pub fn keep(&self, image: &Image) -> Result<()> {
        let failed = |error: std::io::Error| {
            Error::failed(format!("{} cannot be kept in {}: {error}", image.name, self.folder.display()))
        };
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        let new = tempfile::Builder::new().prefix(".new").tempdir_in(&self.folder).map_err(failed)?;
        std::fs::copy(&image.executable, new.path().join("func")).map_err(failed)?;
        let place = self.place(&image.name);
        let kept = Image { executable: place.join("func"), ..image.clone() };
        let json = serde_json::to_vec_pretty(&kept).map_err(|error| failed(error.into()))?;
        std::fs::write(new.path().join("image.json"), json).map_err(failed)?;
        // A moment without any: only containers that start in it would notice, and they wait for a build anyway.
        let old = tempfile::Builder::new().prefix(".old").tempdir_in(&self.folder).map_err(failed)?;
        let _ = std::fs::rename(&place, old.path().join("image"));
        std::fs::rename(new.keep(), &place).map_err(failed)
    }

    /// The image of this name and when it was built; none when nothing was built under it.
    pub fn find(&self, name: &str) -> Option<(SystemTime, Arc<Image>)> {
        let manifest = self.place(name).join("image.json");
        let built = std::fs::metadata(&manifest).and_then(|file| file.modified()).ok()?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.get(name).filter(|(when, _)| *when == built) {
            return Some(known.clone());
        }
        let image: Image = serde_json::from_slice(&std::fs::read(&manifest).ok()?).ok()?;
        let found = (built, Arc::new(image));
        read.insert(name.into(), found.clone());
        Some(found)
    }

    fn place(&self, name: &str) -> PathBuf {
        // Another toolchain finds the folder again: std's own hash may change with each.
        let digest = Sha256::digest(name);
        let hash = digest.iter().take(8).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
        let readable: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
            .take(80)
            .collect();
        self.folder.join(format!("{readable}-{hash:016x}"))
    }
}

/// The user's folder for what this program keeps: `$XDG_STATE_HOME/cargo-fdk`, or the same in `~/.local/state`.
pub fn state_folder() -> Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .ok_or_else(|| Error::usage("neither XDG_STATE_HOME nor HOME is set: say --state DIR"))?;
    Ok(base.join("cargo-fdk"))
}

/// The name that the Fn CLI gives an image (`ImageNameV20180708`), with `FN_REGISTRY` before it where that is set.
pub fn name(function: &str, version: &str) -> String {
    let registry = std::env::var("FN_REGISTRY").unwrap_or_default();
    let registry = registry.trim_end_matches('/');
    if registry.is_empty() || function.contains('/') {
        format!("{function}:{version}")
    } else {
        format!("{registry}/{function}:{version}")
    }
}

/// Where a folder of a test's or a user's keeps its images.
pub(crate) fn folder(state: &Path) -> PathBuf {
    state.join("images")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_the_last_build() {
        let folder = tempfile::tempdir().unwrap();
        let images = Images::at(folder.path().join("images"));
        assert_eq!(images.find("f:0.0.1"), None);
        let built = folder.path().join("built");
        for content in ["one", "two"] {
            std::fs::write(&built, content).unwrap();
            let image = Image {
                name: "f:0.0.1".into(),
                source: folder.path().into(),
                executable: built.clone(),
                config: vec![],
                visible: vec![],
            };
            images.keep(&image).unwrap();
            let (_, found) = images.find("f:0.0.1").unwrap();
            assert_eq!(std::fs::read_to_string(&found.executable).unwrap(), content);
        }
        // The first 16 digits of what `printf f:0.0.1 | sha256sum` prints.
        let folders = std::fs::read_dir(folder.path().join("images")).unwrap();
        let folders: Vec<_> = folders.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(folders, ["f-0.0.1-2b06111e6aeb9c93"]);
        assert_eq!(images.find("f-0.0.1"), None);
    }
}
