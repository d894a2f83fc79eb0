//! A model's files, verified before use: present, of the stated size and sha256, and small enough for the memory.

use crate::error::Error;
use crate::manifest::{File, Manifest, Model};
use crate::timings::Timings;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Where an image keeps its models.
const IMAGE_FOLDER: &str = "/function/model-assets";
/// What a project calls the folder of its models.
pub const FOLDER: &str = "model-assets";

/// The files of one model, verified.
#[derive(Debug, Clone)]
pub struct Assets {
    name: String,
    model: Model,
    folder: PathBuf,
    timings: Timings,
}

impl Assets {
    /// Opens the model `name` (the only one when `None`) in an assets folder: every file must have the size and sha256
    /// that the manifest states.
    pub fn open(assets: &Path, name: Option<&str>) -> Result<Self, Error> {
        let found = Self::locate(assets, name)?;
        found.timings.time("hash", || found.model.files.iter().try_for_each(|file| found.verify(file)))?;
        Ok(found)
    }

    /// As [`Assets::open`], without reading the files' content: whether they are there and of the right size. It takes
    /// under a millisecond.
    pub fn locate(assets: &Path, name: Option<&str>) -> Result<Self, Error> {
        let manifest = Manifest::read(assets)?;
        let (name, model) = manifest.model(name)?;
        let folder = assets.join(name);
        for file in &model.files {
            let path = folder.join(&file.path);
            match fs::metadata(&path) {
                Ok(found) if found.len() == file.size => {}
                Ok(found) => {
                    let (is, should) = (found.len(), file.size);
                    return Err(unfit(&path, name, &format!("is {is} bytes, the manifest states {should}")));
                }
                Err(error) => return Err(unfit(&path, name, &format!("cannot be used: {error}"))),
            }
        }
        Ok(Self { name: name.into(), model: model.clone(), folder, timings: Timings::default() })
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

    /// The sum of the files' sizes in bytes.
    pub fn bytes(&self) -> u64 {
        self.model.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// The bytes of memory that serving the model takes at most, reckoned from the sizes of its files: candle copies
    /// the weights to the heap, the largest sub-batch needs its activations, and the process itself needs its own. Weights
    /// stored in half precision are widened and take twice what is reckoned here.
    pub fn memory_needed(&self) -> u64 {
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

/// Tokenizer tables and the activations of a sub-batch; `cargo fdk demo` shows the peak that these two cover.
const ACTIVATIONS: u64 = 96 * 1024 * 1024;
/// Code, stacks, buffers.
const PROCESS: u64 = 16 * 1024 * 1024;

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

fn hex(bytes: &[u8]) -> String {
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
