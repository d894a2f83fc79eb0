//! The one thing of `func.yaml` that concerns models: `FDK_MODEL` of its `config`.

use crate::{Error, Result};
use serde::Deserialize;
use serde_yaml_ng::Value;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct FuncYaml {
    #[serde(default)]
    config: Option<BTreeMap<String, Value>>,
}

/// The model that a function folder's `func.yaml` names; `None` when it names none.
pub(crate) fn model(folder: &Path) -> Result<Option<String>> {
    let path = folder.join("func.yaml");
    let wrong = |error: &dyn std::fmt::Display| Error::usage(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(&error))?;
    let yaml: FuncYaml = serde_yaml_ng::from_str(&text).map_err(|error| wrong(&error))?;
    match yaml.config.unwrap_or_default().remove("FDK_MODEL") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name).filter(|name| !name.is_empty())),
        Some(_) => Err(wrong(&"FDK_MODEL is no text: write it in quotes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_that_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            std::fs::write(folder.path().join("func.yaml"), text).unwrap();
            model(folder.path())
        };
        assert_eq!(read("name: f\nconfig:\n  FDK_MODEL: minilm\n").unwrap().as_deref(), Some("minilm"));
        for without in ["name: f\n", "config:\n", "config:\n  FDK_MODEL:\n", "config:\n  FDK_MODEL: \"\"\n"] {
            assert_eq!(read(without).unwrap(), None, "{without}");
        }
        let refused = read("config:\n  FDK_MODEL: [a]\n").unwrap_err();
        assert!(
            refused.is_usage() && refused.to_string().ends_with("FDK_MODEL is no text: write it in quotes")
        );
        assert!(model(&folder.path().join("nowhere")).unwrap_err().to_string().contains("No such file"));
    }
}
