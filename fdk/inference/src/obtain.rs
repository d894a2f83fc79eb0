//! Obtains a model's files at start, from a source that needs the function's identity.

use crate::assets::Assets;
use crate::error::Error;
use crate::manifest::{File, Manifest, ObjectStorage, Source};
use crate::verified::Mark;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{self, Read, Write as _};
use std::path::Path;

impl Assets {
    /// Opens the model `name` of an assets folder, whose files `open` reads from Object Storage into `into` first: each is
    /// hashed as it comes, and counts only when its size and sha256 are the manifest's. Files that `into` has from before
    /// are not read again.
    pub fn obtain<R: Read>(
        assets: &Path,
        name: &str,
        into: &Path,
        open: impl Fn(&ObjectStorage, &File) -> Result<R, String>,
    ) -> Result<Self, Error> {
        let manifest = Manifest::read(assets)?;
        let (name, model) = manifest.model(Some(name))?;
        let source = model.object_storage().ok_or_else(|| {
            Error::assets(format!("model {name} has no object-storage source in models.toml"))
        })?;
        let folder = into.join(name);
        let found = Self::of(name, model, &folder);
        let mark = Mark::read(&folder);
        found.timings().time("fetch", || {
            for file in &model.files {
                let path = folder.join(&file.path);
                if fs::metadata(&path).is_ok_and(|there| mark.vouches(file, &there)) {
                    continue;
                }
                open(source, file)
                    .and_then(|body| receive(body, &path, file).map_err(|error| told(&error, &path)))
                    .map_err(|why| Error::assets(format!("model {name}: {}: {why}", file.path)))?;
                tracing::info!(target: "fdk::assets", model = name, file = file.path, bytes = file.size, "fetched");
            }
            Ok::<(), Error>(())
        })?;
        // Without it the next open would only read them all again.
        let _ = Mark::write(&folder, &model.files);
        Ok(found.verified_at_start())
    }
}

impl crate::manifest::Model {
    /// Where in Object Storage its files are, if its entry says so.
    pub fn object_storage(&self) -> Option<&ObjectStorage> {
        self.sources.iter().find_map(|source| match source {
            Source::ObjectStorage(place) => Some(place),
            Source::Wheel { .. } | Source::Hub { .. } => None,
        })
    }
}

/// Writes what comes, whole and verified or not at all.
fn receive(mut body: impl Read, path: &Path, file: &File) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".part");
    let copied = copy(&mut body, Path::new(&partial), file).and_then(|()| fs::rename(&partial, path));
    if copied.is_err() {
        let _ = fs::remove_file(&partial);
    }
    copied
}

fn copy(body: &mut impl Read, partial: &Path, file: &File) -> io::Result<()> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut out = fs::File::create(partial)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut written = 0;
    loop {
        let read = body.read(&mut buffer)?;
        written += read as u64;
        if written > file.size || (read == 0 && written < file.size) {
            let how = if read == 0 { "" } else { "more than " };
            return Err(wrong(format!(
                "it came with {how}{written} bytes, the manifest states {}",
                file.size
            )));
        }
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        out.write_all(&buffer[..read])?;
    }
    let sha256 = crate::assets::hex(&hasher.finalize());
    if sha256 == file.sha256 {
        return Ok(());
    }
    Err(wrong(format!("it came with sha256 {sha256}, the manifest states {}", file.sha256)))
}

fn told(error: &io::Error, path: &Path) -> String {
    if error.kind() == io::ErrorKind::StorageFull {
        let folder = path.parent().unwrap_or(path).display();
        return format!(
            "no space is left in {folder}: it must hold the model; grant the function more memory"
        );
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn manifest() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[m]\nname = \"M\"\ntask = \"embed\"\nlicense = \"MIT\"\norigin = \"us\"\n\
             sources = [{{ namespace = \"n\", bucket = \"b\", prefix = \"models/m\" }}]\n\
             files = [{{ path = \"a/w\", size = 3, sha256 = \"{ABC}\" }}]"
        );
        fs::write(folder.path().join("models.toml"), text).unwrap();
        folder
    }

    #[test]
    fn files_come_once_and_verified() {
        let (assets, into, opened) = (manifest(), tempfile::tempdir().unwrap(), Cell::new(0));
        let obtain = |content: &'static [u8]| {
            Assets::obtain(assets.path(), "m", into.path(), |place, file| {
                assert_eq!(place.object(file), "models/m/a/w");
                opened.set(opened.get() + 1);
                Ok(content)
            })
        };
        let message = |content| obtain(content).unwrap_err().to_string();
        assert_eq!(message(b"ab"), "model m: a/w: it came with 2 bytes, the manifest states 3");
        assert_eq!(message(b"abcd"), "model m: a/w: it came with more than 4 bytes, the manifest states 3");
        assert!(message(b"abd").starts_with("model m: a/w: it came with sha256 a52d"));
        assert_eq!(fs::read_dir(into.path().join("m/a")).unwrap().count(), 0, "nothing half is left");
        let model = obtain(b"abc").unwrap();
        assert_eq!(fs::read(model.path("a/w")).unwrap(), b"abc");
        assert_eq!(opened.replace(0), 4);
        obtain(b"not read").unwrap();
        assert_eq!(opened.get(), 0);
    }

    #[test]
    fn a_reason_names_the_model_and_the_file() {
        let (assets, into) = (manifest(), tempfile::tempdir().unwrap());
        let refused = Assets::obtain(assets.path(), "m", into.path(), |_, _| Err::<&[u8], _>("404".into()));
        assert_eq!(refused.unwrap_err().to_string(), "model m: a/w: 404");
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(
            told(&full, Path::new("/tmp/m/w")),
            "no space is left in /tmp/m: it must hold the model; grant the function more memory"
        );
    }
}
