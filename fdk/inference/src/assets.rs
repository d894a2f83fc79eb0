//! A model's files, verified before use: present, of the stated size and sha256, and small enough for the memory.

use crate::error::Error;
use crate::manifest::{File, Manifest, Model, is_folder_name};
use crate::timings::Timings;
use crate::verified::Mark;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// Where an image keeps its models.
const IMAGE_FOLDER: &str = "/function/model-assets";
/// What a project calls the folder of its models.
pub const FOLDER: &str = "model-assets";

/// The version of everything in a prepared file: the container, the tables' names, and the order of packed weights. One that
/// this build does not write is not read.
pub const PREPARED_VERSION: u32 = 4;

/// The files of one model, verified.
#[derive(Debug, Clone)]
pub struct Assets {
    name: String,
    model: Model,
    folder: PathBuf,
    timings: Timings,
    verified: Verified,
}

/// Whether a model's files are known to be what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verified {
    /// They were when they were fetched, and have not changed since.
    AtBuild,
    /// They were hashed when the model was opened.
    AtStart,
    /// Nobody says what they should be: the folder has no entry in `models.toml`, or they have not been read yet.
    No,
}

impl Assets {
    /// Opens the model `name` (the only one when `None`) in an assets folder: every file must have the size and sha256
    /// that the manifest states. Files that the folder's [`Mark`] vouches for are not read again.
    pub fn open(assets: &Path, name: Option<&str>) -> Result<Self, Error> {
        let mut found = Self::locate(assets, name)?;
        if !found.is_listed() {
            // There is nothing to verify it against.
            return Ok(found);
        }
        let mark = Mark::read(&found.folder);
        let vouched = |file: &&File| match fs::metadata(found.path(&file.path)) {
            Ok(metadata) => mark.vouches(file, &metadata),
            // `locate` has seen that the prepared file stands for it.
            Err(_) => true,
        };
        let doubtful: Vec<&File> = found.model.files.iter().filter(|file| !vouched(file)).collect();
        if !doubtful.is_empty() {
            found.timings.time("hash", || doubtful.iter().try_for_each(|file| found.verify(file)))?;
        }
        found.verified = if doubtful.is_empty() { Verified::AtBuild } else { Verified::AtStart };
        Ok(found)
    }

    /// As [`Assets::open`], without reading the files' content: whether they are there and of the right size. It takes
    /// under a millisecond.
    pub fn locate(assets: &Path, name: Option<&str>) -> Result<Self, Error> {
        if let Some(name) = name
            && let Some(unlisted) = Self::unlisted(assets, name)?
        {
            return Ok(unlisted);
        }
        let manifest = Manifest::read(assets)?;
        let (name, model) = manifest.model(name)?;
        let folder = assets.join(name);
        for file in &model.files {
            let path = folder.join(&file.path);
            match fs::metadata(&path) {
                Ok(found) if found.len() == file.size => {}
                Err(error) if error.kind() == ErrorKind::NotFound && replaced(&folder, file) => {}
                Ok(found) => {
                    let (is, should) = (found.len(), file.size);
                    return Err(unfit(&path, name, &format!("is {is} bytes, the manifest states {should}")));
                }
                Err(error) => return Err(unfit(&path, name, &format!("cannot be used: {error}"))),
            }
        }
        Ok(Self::of(name, model, &folder))
    }

    /// A folder that somebody put into the assets folder without an entry in `models.toml`: a model as it comes from a hub,
    /// with its `config.json` or its GGUF file. An error where `models.toml` cannot be read: whether it lists the model is then
    /// not known.
    pub fn unlisted(assets: &Path, name: &str) -> Result<Option<Self>, Error> {
        // Another spelling of a listed one's name, such as `m/`, is none of a folder.
        if !is_folder_name(name) {
            return Ok(None);
        }
        let manifest = Manifest::find(assets)?;
        let listed = manifest.is_some_and(|manifest| manifest.names().any(|listed| listed == name));
        Ok(if listed { None } else { Self::dropped(assets, name) })
    }

    /// The model in a folder that the manifest does not list, where there is one.
    fn dropped(assets: &Path, name: &str) -> Option<Self> {
        let folder = assets.join(name);
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).ok()?.flatten() {
            let path = entry.file_name().to_string_lossy().into_owned();
            let metadata = fs::metadata(entry.path()).ok().filter(fs::Metadata::is_file);
            if let Some(metadata) = metadata.filter(|_| !path.starts_with('.') && !is_prepared(&path)) {
                files.push(File { path, size: metadata.len(), sha256: String::new() });
            }
        }
        let is_model = |file: &File| file.path == "config.json" || is_gguf(&file.path);
        // A prepared file may be all that there is.
        if !files.iter().any(is_model) && !folder.join("model.prepared").is_file() {
            return None;
        }
        let model = Model {
            name: name.into(),
            task: String::new(),
            zero_shot: None,
            head: None,
            license: String::new(),
            origin: String::new(),
            sources: Vec::new(),
            files,
        };
        Some(Self::of(name, &model, &folder))
    }

    /// Says that every file has just been held against the manifest.
    pub(crate) fn verified_at_start(self) -> Self {
        Self { verified: Verified::AtStart, ..self }
    }

    /// The model as the manifest has it, whether or not its files are there.
    pub(crate) fn of(name: &str, model: &Model, folder: &Path) -> Self {
        let folder = folder.to_path_buf();
        Self {
            name: name.into(),
            model: model.clone(),
            folder,
            timings: Timings::default(),
            verified: Verified::No,
        }
    }

    /// The model `name` of an assets folder where its files are absent and its entry says where in Object Storage they
    /// are: to reckon with, until [`Assets::obtain`] has them. `None` when it is to be opened as it is.
    pub fn remote(assets: &Path, name: Option<&str>) -> Result<Option<Self>, Error> {
        if let Some(name) = name
            && Self::unlisted(assets, name)?.is_some()
        {
            return Ok(None);
        }
        let manifest = Manifest::read(assets)?;
        let (name, model) = manifest.model(name)?;
        let folder = assets.join(name);
        let here = |file: &File| folder.join(&file.path).exists() || replaced(&folder, file);
        let absent = !model.files.iter().all(here);
        Ok((absent && model.object_storage().is_some()).then(|| Self::of(name, model, &folder)))
    }

    fn verify(&self, file: &File) -> Result<(), Error> {
        let path = self.path(&file.path);
        match sha256(&path) {
            Ok(found) if found == file.sha256 => Ok(()),
            Ok(found) => {
                let why = format!("has sha256 {found}, the manifest states {}", file.sha256);
                Err(unfit(&path, &self.name, &why))
            }
            Err(error) => Err(unfit(&path, &self.name, &format!("cannot be read: {error}"))),
        }
    }

    /// The model's entry in the manifest.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the manifest says of the model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Where a file of the model is.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Where a head that somebody fitted on this model belongs: beside the manifest, or in the folder of a model that the
    /// manifest does not list.
    pub fn head_path(&self) -> PathBuf {
        let name = format!("{}.head.safetensors", self.name);
        match (&self.model.head, self.is_listed()) {
            (Some(head), _) => self.folder.with_file_name(&head.path),
            (None, true) => self.folder.with_file_name(name),
            (None, false) => self.folder.join(name),
        }
    }

    /// The head to classify by, verified where the manifest lists it: the one that the manifest names; of a model that it
    /// does not list, the one in its folder.
    #[cfg(feature = "text")]
    pub(crate) fn head(&self) -> Result<Option<PathBuf>, Error> {
        let path = self.head_path();
        match &self.model.head {
            Some(head) => {
                let refuse = |why: String| {
                    let path = path.display();
                    let remedy = format!("`cargo fdk assets fit-head {}` makes it anew", self.name);
                    Error::assets(format!("{path} {why}; {remedy}"))
                };
                let found = sha256(&path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
                if found != head.sha256 {
                    return Err(refuse(format!("has sha256 {found}, the manifest states {}", head.sha256)));
                }
                Ok(Some(path))
            }
            None => Ok((!self.is_listed() && path.is_file()).then_some(path)),
        }
    }

    /// Whether the manifest has an entry for it.
    pub fn is_listed(&self) -> bool {
        !self.model.license.is_empty()
    }

    /// The model's only file whose name ends so.
    #[cfg(any(feature = "text", feature = "vision", feature = "speech"))]
    pub(crate) fn file_ending(&self, end: &str) -> Result<PathBuf, Error> {
        let mut found = self.model.files.iter().filter(|file| file.path.ends_with(end));
        match (found.next(), found.next()) {
            (Some(file), None) => Ok(self.path(&file.path)),
            (None, _) => Err(Error::assets(format!("model {} has no file *{end}", self.name))),
            (Some(_), Some(_)) => Err(Error::assets(format!("model {} has several files *{end}", self.name))),
        }
    }

    /// Whether its files are known to be what they should be.
    pub fn verified(&self) -> Verified {
        self.verified
    }

    #[cfg(feature = "text")]
    /// The model's GGUF file, where it has one; an error when it has none, or several.
    pub(crate) fn gguf(&self) -> Result<PathBuf, Error> {
        let mut found = self.model.files.iter().filter(|file| is_gguf(&file.path));
        match (found.next(), found.next()) {
            (Some(file), None) => Ok(self.path(&file.path)),
            (None, _) => Err(Error::assets(format!("model {} has no GGUF file", self.name))),
            (Some(_), Some(_)) => {
                let message = format!("model {} has several GGUF files: keep one, whole", self.name);
                Err(Error::assets(message))
            }
        }
    }

    /// The sum of the files' sizes in bytes.
    pub fn bytes(&self) -> u64 {
        self.model.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// The bytes of memory that serving the model takes at most, reckoned from the headers of its files: candle copies
    /// the weights to the heap as f32, the largest sub-batch needs its activations, the tokenizer its tables, and the process
    /// its own. Where the files are not there yet it is reckoned from their sizes.
    pub fn memory_needed(&self) -> u64 {
        #[cfg(feature = "core")]
        if let Some(model) = crate::memory::needed(self) {
            return model.saturating_add(PROCESS);
        }
        self.bytes().saturating_add(ACTIVATIONS + PROCESS)
    }

    /// Refuses a memory grant that the model cannot fit in, before the kernel kills the process for it.
    pub fn check_memory(&self, granted: u64) -> Result<(), Error> {
        let needed = self.memory_needed();
        if needed <= granted {
            return Ok(());
        }
        let mb = |bytes: u64| bytes.div_ceil(1024 * 1024);
        Err(Error::assets(format!(
            "model {} needs about {} MB and FN_MEMORY grants {}: raise `memory` in func.yaml",
            self.name,
            mb(needed),
            mb(granted),
        )))
    }

    /// What opening the model cost so far, phase by phase. Clones share it.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }
}

/// Tokenizer tables and the activations of a sub-batch, of a model of which no more is known.
const ACTIVATIONS: u64 = 96 * 1024 * 1024;
/// Code, stacks, buffers.
pub(crate) const PROCESS: u64 = 16 * 1024 * 1024;

fn is_gguf(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// Whether the folder's prepared file stands for a file that is not there.
#[cfg(feature = "prepared")]
fn replaced(folder: &Path, file: &File) -> bool {
    crate::prepared::Prepared::map(&folder.join(crate::prepared::FILE_NAME))
        .is_ok_and(|prepared| prepared.replaces(file))
}

#[cfg(not(feature = "prepared"))]
fn replaced(_: &Path, _: &File) -> bool {
    false
}

/// Whether a name is that of a prepared file, or of one in the making.
fn is_prepared(name: &str) -> bool {
    name.starts_with("model.prepared")
}

fn unfit(path: &Path, model: &str, why: &str) -> Error {
    Error::assets(format!("{} {why}; run `cargo fdk assets fetch {model}`", path.display()))
}

/// The assets folder: `configured` (`FDK_ASSETS_DIR`), else the image's, else `model-assets` here or in a folder above,
/// as cargo looks for a workspace.
pub fn folder(configured: Option<&str>) -> Result<PathBuf, Error> {
    if let Some(configured) = configured.filter(|path| !path.is_empty()) {
        return Ok(configured.into());
    }
    if Path::new(IMAGE_FOLDER).is_dir() {
        return Ok(IMAGE_FOLDER.into());
    }
    let here = std::env::current_dir().unwrap_or_default();
    let holds_manifest = |folder: &PathBuf| folder.join(crate::manifest::FILE_NAME).is_file();
    here.ancestors().map(|above| above.join(FOLDER)).find(holds_manifest).ok_or_else(|| {
        Error::assets(format!(
            "no {FOLDER}/{} in {} or above: set FDK_ASSETS_DIR to the folder that has it",
            crate::manifest::FILE_NAME,
            here.display()
        ))
    })
}

/// The sha256 of a file in lower-case hex, read in pieces.
pub fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn assets(content: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("m")).unwrap();
        fs::write(folder.path().join("m/w"), content).unwrap();
        let manifest = format!(
            "[m]\nname = \"M\"\ntask = \"embed\"\nlicense = \"MIT\"\norigin = \"us\"\n\
             files = [{{ path = \"w\", size = 3, sha256 = \"{ABC}\" }}]"
        );
        fs::write(folder.path().join("models.toml"), manifest).unwrap();
        folder
    }

    fn refusal(folder: &Path) -> String {
        Assets::open(folder, None).unwrap_err().to_string().replace(&folder.display().to_string(), "DIR")
    }

    #[test]
    fn only_the_stated_bytes_are_opened() {
        let good = assets("abc");
        let opened = Assets::open(good.path(), Some("m")).unwrap();
        assert_eq!((opened.name(), opened.bytes()), ("m", 3));
        assert_eq!(opened.timings().phases()[0].0, "hash");
        let changed = assets("abd");
        let wrong = "a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9";
        assert_eq!(
            refusal(changed.path()),
            format!("DIR/m/w has sha256 {wrong}, the manifest states {ABC}; run `cargo fdk assets fetch m`")
        );
        assert_eq!(
            refusal(assets("ab").path()),
            "DIR/m/w is 2 bytes, the manifest states 3; run `cargo fdk assets fetch m`"
        );
        fs::remove_file(good.path().join("m/w")).unwrap();
        assert_eq!(
            refusal(good.path()),
            "DIR/m/w cannot be used: No such file or directory (os error 2); run `cargo fdk assets fetch m`"
        );
    }

    #[test]
    fn what_was_verified_when_it_was_fetched_is_not_read_again() {
        let folder = assets("abc");
        let files = Assets::open(folder.path(), None).unwrap().model().files.clone();
        Mark::write(&folder.path().join("m"), &files).unwrap();
        let opened = Assets::open(folder.path(), None).unwrap();
        assert_eq!((opened.verified(), opened.timings().phases().len()), (Verified::AtBuild, 0));
        fs::remove_file(folder.path().join("m/.verified")).unwrap();
        assert_eq!(Assets::open(folder.path(), None).unwrap().verified(), Verified::AtStart);
    }

    #[test]
    fn a_folder_without_an_entry_is_taken_as_it_is() {
        let folder = assets("abc");
        fs::create_dir(folder.path().join("dropped")).unwrap();
        let message = |name| Assets::open(folder.path(), Some(name)).unwrap_err().to_string();
        assert_eq!(message("dropped"), "no model 'dropped' in models.toml, which has: m");
        fs::write(folder.path().join("dropped/config.json"), "{}").unwrap();
        let dropped = Assets::open(folder.path(), Some("dropped")).unwrap();
        assert_eq!((dropped.name(), dropped.bytes(), dropped.verified()), ("dropped", 2, Verified::No));
        for other in ["../m", "m/", "m/.", "./m", "."] {
            assert!(Assets::unlisted(folder.path(), other).unwrap().is_none(), "{other}");
        }
    }

    #[test]
    fn a_manifest_that_cannot_be_read_makes_no_model_unlisted() {
        let folder = assets("abc");
        fs::write(folder.path().join("m/config.json"), "{}").unwrap();
        let path = folder.path().join("models.toml");
        let whole = fs::read(&path).unwrap();
        let refused = |how: &str| {
            for result in [
                Assets::open(folder.path(), Some("m")).map(drop),
                Assets::locate(folder.path(), Some("m")).map(drop),
                Assets::unlisted(folder.path(), "m").map(drop),
                Assets::remote(folder.path(), Some("m")).map(drop),
            ] {
                let error = result.unwrap_err();
                assert!(error.is_assets() && error.to_string().contains("models.toml"), "{how}: {error}");
            }
        };
        // A fault in another entry, text that is none, a folder, a link that leads nowhere.
        fs::write(&path, [&whole[..], b"\n[other]\nlicence = \"MIT\"\n"].concat()).unwrap();
        refused("another entry");
        fs::write(&path, b"\xff").unwrap();
        refused("no text");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refused("a folder");
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        refused("a link");
        fs::remove_file(&path).unwrap();
        assert_eq!(Assets::open(folder.path(), Some("m")).unwrap().verified(), Verified::No);
        fs::write(&path, whole).unwrap();
        assert_eq!(Assets::open(folder.path(), Some("m")).unwrap().verified(), Verified::AtStart);
        let other = Assets::open(folder.path(), Some("m/")).unwrap_err().to_string();
        assert_eq!(other, "no model 'm/' in models.toml, which has: m");
    }

    #[test]
    fn a_model_that_does_not_fit_is_refused_with_numbers() {
        let folder = assets("abc");
        let assets = Assets::open(folder.path(), None).unwrap();
        assert!(assets.check_memory(128 * 1024 * 1024).is_ok());
        assert_eq!(
            assets.check_memory(64 * 1024 * 1024).unwrap_err().to_string(),
            "model m needs about 113 MB and FN_MEMORY grants 64: raise `memory` in func.yaml"
        );
    }
}
