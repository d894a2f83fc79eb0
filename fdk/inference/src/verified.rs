//! The mark that a model's files were verified when they were fetched, so that a start need not read them all again.

use crate::manifest::File;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The mark's name in a model's folder.
const NAME: &str = ".verified";

/// What each file was when its content had the sha256 that the manifest states.
///
/// It vouches for a file of the same size and time of change. That is as good as the folder is unwritable: in an image it
/// is part of the read-only file system; elsewhere, whoever may write the folder may write the mark.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Mark {
    files: BTreeMap<String, Seen>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    size: u64,
    /// In whole seconds since 1970: the layers of an image keep no finer.
    modified: u64,
    sha256: String,
}

impl Mark {
    /// The mark of a model's folder; an absent or unreadable one vouches for nothing.
    pub fn read(folder: &Path) -> Self {
        let text = fs::read(folder.join(NAME)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Whether the file is what it was when it was verified against this entry of the manifest.
    pub fn vouches(&self, file: &File, found: &Metadata) -> bool {
        let seen = |seen: &Seen| Some(seen) == Seen::of(file, found).as_ref();
        found.len() == file.size && self.files.get(&file.path).is_some_and(seen)
    }

    /// Marks files whose content has just been verified; what is marked of others stays.
    pub fn write(folder: &Path, files: &[File]) -> io::Result<()> {
        let mut mark = Self::read(folder);
        for file in files {
            if let Some(seen) = Seen::of(file, &fs::metadata(folder.join(&file.path))?) {
                mark.files.insert(file.path.clone(), seen);
            }
        }
        // Whole or not at all: half a mark would read as none.
        let partial = folder.join(".verified.part");
        fs::write(&partial, serde_json::to_vec(&mark)?)?;
        fs::rename(partial, folder.join(NAME))
    }
}

impl Seen {
    fn of(file: &File, found: &Metadata) -> Option<Self> {
        let modified = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some(Self { size: found.len(), modified, sha256: file.sha256.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_mark_vouches_for_the_file_it_saw_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w");
        fs::write(&path, "abc").unwrap();
        let file = File { path: "w".into(), size: 3, sha256: "0".repeat(64) };
        let vouches = |file: &File| Mark::read(folder.path()).vouches(file, &fs::metadata(&path).unwrap());
        assert!(!vouches(&file), "there is no mark");
        Mark::write(folder.path(), std::slice::from_ref(&file)).unwrap();
        assert!(vouches(&file));
        assert!(
            !vouches(&File { sha256: "1".repeat(64), ..file.clone() }),
            "the manifest states another content"
        );
        assert!(!vouches(&File { path: "v".into(), ..file.clone() }), "the mark does not know the file");
        let touched = SystemTime::now() + Duration::from_secs(5);
        fs::File::options().write(true).open(&path).unwrap().set_modified(touched).unwrap();
        assert!(!vouches(&file), "the file was written since");
        fs::write(folder.path().join(NAME), "{").unwrap();
        assert!(!vouches(&file), "half a mark");
    }
}
