//! The configuration file of the OCI tools: profiles of `name = value` lines.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{Kind, Material, Origin, Refusal};
use crate::sources::read_small_file;

/// One profile, with what it inherits.
pub(crate) struct Profile {
    file: PathBuf,
    name: String,
    // Zeroised, since one of them may be a passphrase.
    values: BTreeMap<String, Zeroizing<String>>,
}

const DEFAULT: &str = "DEFAULT";

impl Profile {
    pub(crate) fn read(file: &Path, name: &str) -> Result<Self, Refusal> {
        let mut profile = Self { file: file.to_path_buf(), name: name.to_owned(), values: BTreeMap::new() };
        let text = read_small_file(file).map_err(|error| Kind::Unreadable {
            what: Material::Config,
            origin: profile.origin(),
            error,
        })?;
        let sections = parse(&text);
        // The tools find a DEFAULT even where the file has none, so it is no reason to refuse.
        if name != DEFAULT && !sections.iter().any(|section| section.name == name) {
            let known = sections.iter().map(|section| section.name.to_owned()).collect();
            return Err(profile.fault(Fault::NoProfile { known }));
        }
        for wanted in [DEFAULT, name] {
            for section in sections.iter().filter(|section| section.name == wanted) {
                for (key, value) in &section.values {
                    profile.values.insert((*key).to_owned(), Zeroizing::new((*value).to_owned()));
                }
            }
        }
        Ok(profile)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(crate) fn require(&self, name: &'static str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| self.fault(Fault::NoValue { name }))
    }

    /// A path, with `~` for the home directory.
    pub(crate) fn path(&self, name: &'static str) -> Result<PathBuf, Refusal> {
        let value = self.require(name)?;
        match (value.strip_prefix("~/"), std::env::home_dir()) {
            (Some(rest), Some(home)) => Ok(home.join(rest)),
            _ => Ok(PathBuf::from(value)),
        }
    }

    /// How messages name a file that this profile points at.
    pub(crate) fn file_origin(&self, name: &str, path: &Path) -> Origin {
        let name = format!("{name} of profile {} in {}", self.name, self.file.display());
        Origin { name: name.into(), path: Some(path.to_path_buf()) }
    }

    pub(crate) fn fault(&self, fault: Fault) -> Refusal {
        Kind::Config(self.origin(), fault).into()
    }

    fn origin(&self) -> Origin {
        Origin { name: format!("profile {}", self.name).into(), path: Some(self.file.clone()) }
    }
}

struct Section<'a> {
    name: &'a str,
    values: Vec<(&'a str, &'a str)>,
}

/// Lines that are neither a section, a value nor a comment are skipped, as are values before the first section.
fn parse(text: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.push(Section { name: name.trim(), values: Vec::new() });
        } else if let (Some(section), Some((key, value))) = (sections.last_mut(), line.split_once('=')) {
            section.values.push((key.trim(), value.trim()));
        }
    }
    sections
}

pub(crate) enum Fault {
    NoProfile { known: Vec<String> },
    NoValue { name: &'static str },
    Fingerprint { key_file: PathBuf },
}

impl Fault {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoProfile { .. } => "config_profile_missing",
            Self::NoValue { .. } => "config_value_missing",
            Self::Fingerprint { .. } => "config_fingerprint_mismatch",
        }
    }

    pub(crate) fn describe(&self, origin: &Origin, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProfile { known } if known.is_empty() => {
                write!(f, "{origin} does not exist; the file has no profile: add this one")
            }
            Self::NoProfile { known } => {
                write!(
                    f,
                    "{origin} does not exist; the file has {}: name one of them, or add this one",
                    known.join(", ")
                )
            }
            Self::NoValue { name } => write!(f, "{origin} has no {name}; add it"),
            Self::Fingerprint { key_file } => write!(
                f,
                "{origin} has a fingerprint that is not the one of {}; correct fingerprint or key_file",
                key_file.display()
            ),
        }
    }
}
