//! A folder as buckets and secrets: `DIR/buckets/BUCKET/OBJECT` and `DIR/secrets/NAME`.
//!
//! The folder is its owner's, who may put links in it: a model's folder, say, as a bucket. A caller cannot.

use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How deep below a bucket objects are looked for: a link may lead in a circle.
const DEPTH: usize = 32;

/// The folder.
#[derive(Debug, Clone)]
pub struct Storage {
    folder: PathBuf,
}

/// What is known of an object, or of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) size: u64,
    pub(super) modified: SystemTime,
}

impl Facts {
    fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Self { size: metadata.len(), modified }
    }

    /// Changes with the content, as far as the file system tells.
    pub(super) fn etag(&self) -> String {
        let since = self.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        format!("{:x}-{:x}", since.as_nanos(), self.size)
    }
}

impl Storage {
    /// Serves a folder.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    fn buckets(&self) -> PathBuf {
        self.folder.join("buckets")
    }

    /// The names of the buckets.
    pub(super) fn bucket_names(&self) -> Vec<String> {
        names(&self.buckets(), Path::is_dir).into_iter().filter(|name| is_name(name)).collect()
    }

    /// The names of the secrets.
    pub(super) fn secret_names(&self) -> Vec<String> {
        names(&self.folder.join("secrets"), Path::is_file).into_iter().filter(|name| is_name(name)).collect()
    }

    /// A bucket's folder, where there is one.
    pub(super) fn bucket(&self, name: &str) -> Option<PathBuf> {
        Some(self.buckets().join(name)).filter(|folder| is_name(name) && folder.is_dir())
    }

    /// Where an object is or would be; `None` for names that no file can have.
    fn object(&self, bucket: &str, name: &str) -> Option<PathBuf> {
        let good = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255 && !part.contains('\0');
        let fits = name.len() <= 1024 && name.split('/').all(good);
        self.bucket(bucket).filter(|_| fits).map(|folder| folder.join(name))
    }

    /// Opens an object.
    pub(super) fn open(&self, bucket: &str, name: &str) -> Option<(File, Facts)> {
        let file = File::open(self.object(bucket, name)?).ok()?;
        let metadata = file.metadata().ok().filter(Metadata::is_file)?;
        Some((file, Facts::of(&metadata)))
    }

    /// What is known of an object.
    pub(super) fn facts(&self, bucket: &str, name: &str) -> Option<Facts> {
        let metadata = fs::metadata(self.object(bucket, name)?).ok().filter(Metadata::is_file)?;
        Some(Facts::of(&metadata))
    }

    /// Writes an object, whole or not at all; `None` when it cannot have that name.
    pub(super) fn put(&self, bucket: &str, name: &str, content: &[u8]) -> Option<io::Result<Facts>> {
        let path = self.object(bucket, name)?;
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
            // Beside the buckets, so that no list shows it.
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(content)?;
            file.persist(&path).map_err(|error| error.error)?;
            fs::metadata(&path).map(|metadata| Facts::of(&metadata))
        };
        Some(write())
    }

    /// Removes an object; `None` when it is not there.
    pub(super) fn remove(&self, bucket: &str, name: &str) -> Option<io::Result<()>> {
        self.facts(bucket, name)?;
        let path = self.object(bucket, name)?;
        Some(fs::remove_file(path))
    }

    /// The objects of a bucket, in the order of their names.
    pub(super) fn objects(&self, bucket: &str) -> Option<Vec<(String, Facts)>> {
        let folder = self.bucket(bucket)?;
        let mut found = Vec::new();
        collect(&folder, "", DEPTH, &mut found);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Some(found)
    }

    /// A secret's content.
    pub(super) fn secret(&self, name: &str) -> Option<(Vec<u8>, Facts)> {
        let path = self.folder.join("secrets").join(name);
        let metadata = fs::metadata(&path).ok().filter(|file| is_name(name) && file.is_file())?;
        Some((fs::read(path).ok()?, Facts::of(&metadata)))
    }
}

/// Names of buckets and secrets: letters, digits, and `-`, `_`, `.` within.
fn is_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    plain && !name.is_empty() && !name.starts_with('.')
}

fn names(folder: &Path, wanted: fn(&Path) -> bool) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| wanted(&entry.path()));
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn collect(folder: &Path, prefix: &str, depth: usize, found: &mut Vec<(String, Facts)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let (path, name) = (entry.path(), format!("{prefix}{name}"));
        // Where a link leads, not the link.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_dir() && depth > 0 {
            collect(&path, &format!("{name}/"), depth - 1, found);
        } else if metadata.is_file() {
            found.push((name, Facts::of(&metadata)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_its_bucket() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::at(folder.path());
        fs::create_dir_all(folder.path().join("buckets/models/deep")).unwrap();
        fs::create_dir_all(folder.path().join("secrets")).unwrap();
        fs::write(folder.path().join("secrets/db"), "open sesame").unwrap();
        fs::write(folder.path().join("buckets/models/deep/a"), "0123").unwrap();
        assert_eq!(storage.facts("models", "deep/a").unwrap().size, 4);
        for name in [
            "../../secrets/db",
            "deep/../deep/a",
            "/etc/passwd",
            "deep//a",
            "./deep/a",
            "deep",
            "",
            ".",
            "..",
            "a\0b",
        ] {
            assert!(storage.open("models", name).is_none(), "{name:?}");
            assert!(storage.facts("models", name).is_none(), "{name:?}");
        }
        for bucket in ["..", ".", "", "../secrets", "models/deep", "none"] {
            assert!(
                storage.bucket(bucket).is_none() && storage.put(bucket, "a", b"x").is_none(),
                "{bucket:?}"
            );
        }
        for secret in ["../buckets/models/deep/a", "", ".", "none"] {
            assert!(storage.secret(secret).is_none(), "{secret:?}");
        }
        assert_eq!(storage.secret("db").unwrap().0, b"open sesame");
        assert_eq!(
            (storage.bucket_names(), storage.secret_names()),
            (vec!["models".into()], vec!["db".into()])
        );
    }

    #[test]
    fn what_is_put_is_there_and_what_is_removed_is_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("buckets/b")).unwrap();
        let storage = Storage::at(folder.path());
        let first = storage.put("b", "x/y", b"one").unwrap().unwrap();
        storage.put("b", "a", b"").unwrap().unwrap();
        let names: Vec<_> = storage.objects("b").unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "x/y"]);
        assert_ne!(storage.put("b", "x/y", b"other").unwrap().unwrap().etag(), first.etag());
        assert!(storage.put("b", "x/y/z", b"below a file").unwrap().is_err());
        storage.remove("b", "x/y").unwrap().unwrap();
        assert!(storage.remove("b", "x/y").is_none() && storage.open("b", "x/y").is_none());
    }
}
