//! A function folder: `func.yaml`, as the Fn CLI reads it, beside a `Cargo.toml`.

use crate::{Error, Result};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_yaml_ng::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One function.
#[derive(Debug, Clone)]
pub struct Function {
    folder: PathBuf,
    package: String,
    yaml: FuncYaml,
}

/// The part of `func.yaml` that matters here; the Fn CLI ignores keys it does not know, and so do we.
#[derive(Debug, Clone, Deserialize)]
struct FuncYaml {
    name: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    memory: Option<u64>,
    #[serde(default)]
    timeout: Option<u64>,
    #[serde(default)]
    idle_timeout: Option<u64>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    triggers: Vec<Trigger>,
    #[serde(default, deserialize_with = "scalars")]
    config: BTreeMap<String, String>,
}

/// A path that leads to the function.
#[derive(Debug, Clone, Deserialize)]
struct Trigger {
    #[serde(default)]
    name: Option<String>,
    source: String,
}

/// Configuration values as text: the Fn CLI takes any YAML scalar for a string.
fn scalars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let values = Option::<BTreeMap<String, Value>>::deserialize(deserializer)?.unwrap_or_default();
    let text = |(key, value)| match value {
        Value::Null => Ok((key, String::new())),
        Value::String(text) => Ok((key, text)),
        Value::Bool(value) => Ok((key, value.to_string())),
        Value::Number(value) => Ok((key, value.to_string())),
        _ => Err(D::Error::custom(format_args!("config {key} is neither text nor a number"))),
    };
    values.into_iter().map(text).collect()
}

#[derive(Deserialize)]
struct CargoToml {
    /// None in the manifest of a workspace alone.
    package: Option<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

impl Function {
    /// Reads a function folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let yaml = parse(folder, "func.yaml", |text| {
            serde_yaml_ng::from_str::<FuncYaml>(text).map_err(|e| e.to_string())
        })?;
        let cargo =
            parse(folder, "Cargo.toml", |text| toml::from_str::<CargoToml>(text).map_err(|e| e.to_string()))?;
        let package = cargo.package.ok_or_else(|| no_package(folder))?.name;
        Ok(Self { folder: folder.into(), package, yaml })
    }

    /// The function's name.
    pub fn name(&self) -> &str {
        &self.yaml.name
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The cargo package that is built.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// In MB; the platform's default is 128.
    pub fn memory(&self) -> u64 {
        self.yaml.memory.unwrap_or(128)
    }

    /// How long a call may take; the platform's default is 30 s.
    pub fn timeout(&self) -> Duration {
        // A day is more than any platform grants, and keeps deadlines within the clock.
        Duration::from_secs(self.yaml.timeout.unwrap_or(30).min(86_400))
    }

    /// How long an idle container stays; the platform's default is 30 s.
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.yaml.idle_timeout.unwrap_or(30).min(3600))
    }

    /// The image's tag; the Fn CLI's first is 0.0.1.
    pub fn version(&self) -> &str {
        self.yaml.version.as_deref().unwrap_or("0.0.1")
    }

    /// What `fn invoke` sends as `Content-Type` from this folder.
    pub fn content_type(&self) -> Option<&str> {
        self.yaml.content_type.as_deref()
    }

    /// Its triggers: name and path within the application, with its slash.
    pub fn triggers(&self) -> impl Iterator<Item = (&str, String)> {
        self.yaml.triggers.iter().map(|trigger| {
            let source = trigger.source.trim_start_matches('/');
            (trigger.name.as_deref().unwrap_or(self.name()), format!("/{source}"))
        })
    }

    /// The configuration, which becomes environment variables.
    pub fn config(&self) -> &BTreeMap<String, String> {
        &self.yaml.config
    }

    /// The model it serves: `FDK_MODEL` of its configuration.
    pub fn model(&self) -> Option<&str> {
        self.yaml.config.get("FDK_MODEL").map(String::as_str).filter(|model| !model.is_empty())
    }
}

/// Folders where no function is looked for.
const SKIPPED: [&str; 3] = ["target", "node_modules", "vendor"];
/// How deep below a folder functions are looked for; `fn deploy --all` looks everywhere.
const DEPTH: usize = 3;

/// The function folders beneath a folder, in order; none within another.
pub(crate) fn beneath(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    search(folder, DEPTH, &mut found);
    found
}

fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().filter(|_| depth > 0);
    let mut beneath: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            !name.starts_with('.') && !SKIPPED.contains(&&*name)
        })
        .map(|entry| entry.path())
        .collect();
    beneath.sort();
    for folder in beneath {
        if folder.join("func.yaml").is_file() {
            found.push(folder);
        } else {
            search(&folder, depth - 1, found);
        }
    }
}

/// A workspace's own folder may have a `func.yaml`, for an image of one of its packages.
fn no_package(folder: &Path) -> Error {
    let manifest = folder.join("Cargo.toml");
    let found: Vec<String> = beneath(folder)
        .iter()
        .map(|function| function.strip_prefix(".").unwrap_or(function).display().to_string())
        .collect();
    let remedy = if found.is_empty() {
        "name the folder of a package that has a func.yaml".into()
    } else {
        format!("name one of {}", found.join(", "))
    };
    Error::usage(format!("{} has no [package], so there is nothing to build: {remedy}", manifest.display()))
}

fn parse<T>(folder: &Path, name: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T> {
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Error::usage(format!(
            "{}: {error}; a function folder has a func.yaml and a Cargo.toml",
            path.display()
        ))
    })?;
    read(&text).map_err(|error| Error::usage(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_platforms() {
        let folder = tempfile::tempdir().unwrap();
        let yaml = "schema_version: 20180708\nname: f\nunknown: 1\nconfig:\n  FDK_MODEL: m\n  N: 6\n";
        std::fs::write(folder.path().join("func.yaml"), yaml).unwrap();
        let missing = Function::read(folder.path()).unwrap_err();
        assert!(missing.is_usage() && missing.to_string().contains("Cargo.toml: No such file or directory"));
        std::fs::write(folder.path().join("Cargo.toml"), "[package]\nname = \"f\"\n").unwrap();
        let function = Function::read(folder.path()).unwrap();
        assert_eq!(
            (function.name(), function.memory(), function.timeout()),
            ("f", 128, Duration::from_secs(30))
        );
        assert_eq!(function.model(), Some("m"));
        assert_eq!(function.config()["N"], "6");
    }

    #[test]
    fn the_folder_of_a_workspace_alone_names_the_functions_beneath_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::write(root.join("func.yaml"), "name: f\n").unwrap();
        std::fs::write(root.join("Cargo.toml"), "[workspace]\nmembers = [\"functions/*\"]\n").unwrap();
        let told = || {
            let error = Function::read(root).unwrap_err();
            assert!(error.is_usage());
            error.to_string().replace(&root.display().to_string(), "ROOT")
        };
        let begins = "ROOT/Cargo.toml has no [package], so there is nothing to build: name ";
        assert_eq!(told(), format!("{begins}the folder of a package that has a func.yaml"));
        for name in ["functions/two", "functions/one", "target/three", ".hidden/four"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
            std::fs::write(root.join(name).join("func.yaml"), "name: f\n").unwrap();
        }
        assert_eq!(told(), format!("{begins}one of ROOT/functions/one, ROOT/functions/two"));
    }
}
