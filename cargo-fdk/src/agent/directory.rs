//! A container's directory, and what is left of those whose platform was killed.
//!
//! The platform holds a lock on a file in each: a directory whose lock can be had is nobody's any more.

use super::mark::Mark;
use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A short path: a unix socket's has at most 107 bytes, and the system's own temporary folder may be deep.
const ABOVE: &str = "/tmp";
const PREFIX: &str = "fdk-container-";
const LOCK: &str = "lock";

/// The directory; it goes with this value.
#[derive(Debug)]
pub(crate) struct Directory {
    directory: TempDir,
    _lock: File,
}

impl Directory {
    pub(crate) fn create() -> std::io::Result<Self> {
        sweep_once();
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(ABOVE)?;
        let path = directory.path();
        // Locked before it has its name: a sweep sees it locked, or not at all.
        let lock = File::create(path.join(".lock"))?;
        lock.lock()?;
        std::fs::rename(path.join(".lock"), path.join(LOCK))?;
        for folder in ["io", "root"] {
            std::fs::create_dir(path.join(folder))?;
        }
        // The agent makes it so (0777): whoever the function runs as binds its socket there.
        std::fs::set_permissions(path.join("io"), Permissions::from_mode(0o777))?;
        std::fs::set_permissions(path, Permissions::from_mode(0o755))?;
        Ok(Self { directory, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where the socket will be.
    pub(super) fn io(&self) -> PathBuf {
        self.directory.path().join("io")
    }

    /// Where the function's root file system is put together.
    pub(super) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }
}

/// Ends and removes what platforms that were killed have left; the first time in this process.
pub(crate) fn sweep_once() {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| sweep(Path::new(ABOVE)));
}

/// Removes the directories of platforms that are no more, and kills the processes that are theirs.
fn sweep(above: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in std::fs::read_dir(above).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == own);
        if ours && is_left(&entry.path()) {
            // The function died with its platform; what it had started did not.
            Mark::Directory(entry.path()).kill();
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn is_left(directory: &Path) -> bool {
    if let Ok(lock) = File::open(directory.join(LOCK)) {
        return lock.try_lock().is_ok();
    }
    // It is being made, or its maker was killed while it was.
    let made = std::fs::metadata(directory).and_then(|found| found.modified());
    made.is_ok_and(|made| {
        SystemTime::now().duration_since(made).is_ok_and(|age| age > Duration::from_mins(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_platform_left_is_swept_and_nothing_else() {
        let above = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let folder = above.path().join(name);
            std::fs::create_dir_all(folder.join("io")).unwrap();
            File::create(folder.join(LOCK)).unwrap()
        };
        drop(make("fdk-container-left"));
        let held = make("fdk-container-held");
        held.lock().unwrap();
        drop(make("another"));
        std::fs::create_dir(above.path().join("fdk-container-new")).unwrap();
        sweep(above.path());
        let mut names: Vec<_> =
            std::fs::read_dir(above.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["another", "fdk-container-held", "fdk-container-new"]);
    }

    #[test]
    fn what_a_left_function_had_started_is_killed() {
        use std::os::unix::process::ExitStatusExt as _;
        let above = tempfile::tempdir().unwrap();
        let left = above.path().join("fdk-container-left");
        std::fs::create_dir_all(left.join("io")).unwrap();
        drop(File::create(left.join(LOCK)).unwrap());
        let start = |folder: &Path| {
            let listener = format!("unix:{}", folder.join("io/lsnr.sock").display());
            let mut command = std::process::Command::new("sleep");
            command.arg("60").env("FN_LISTENER", listener).spawn().unwrap()
        };
        let (mut its, mut other) = (start(&left), start(&above.path().join("fdk-container-left-not")));
        sweep(above.path());
        assert_eq!(its.wait().unwrap().signal(), Some(9));
        assert_eq!(other.try_wait().unwrap(), None);
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
