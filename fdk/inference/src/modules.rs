//! What a sentence-transformers folder is made of, as its `modules.json` lists it.

use crate::assets::Assets;
use crate::error::Error;
use serde::Deserialize;
use std::fs;
use std::io::ErrorKind;

const NAME: &str = "modules.json";
/// The modules that are served. Whether vectors are scaled to length 1 the request says.
const SERVED: [&str; 3] = ["Transformer", "Pooling", "Normalize"];
/// Where the pooling's configuration is read.
pub(crate) const POOLING: &str = "1_Pooling";

#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    r#type: String,
}

/// Refuses a model with a module that would be left out: its vectors would be others than it was trained for. A folder
/// without the file has a transformer and a pooling.
pub(crate) fn check(assets: &Assets) -> Result<(), Error> {
    match fs::read(assets.path(NAME)) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::model(&format!("has no readable {NAME}"), error)),
    }
}

fn parse(text: &[u8]) -> Result<(), Error> {
    let modules: Vec<Module> = serde_json::from_slice(text)
        .map_err(|error| Error::model(&format!("has a {NAME} that does not parse"), error))?;
    for Module { path, r#type } in &modules {
        // What stands before the class is where a version of the library keeps it.
        let class = r#type.rsplit('.').next().unwrap_or(r#type);
        if !SERVED.contains(&class) {
            let served = SERVED.join(", ");
            let what = format!("has the module {class} ('{path}'), which is not served: served are {served}");
            return Err(Error::model(&what, NAME));
        }
        if class == "Pooling" && path != POOLING {
            let what = format!("has its pooling in '{path}', which is not served: it must be in '{POOLING}'");
            return Err(Error::model(&what, NAME));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_would_be_left_out_is_refused_by_name() {
        let usual = r#"{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}"#;
        let with = |more: &str| parse(format!("[{usual}{more}]").as_bytes());
        assert!(with("").is_ok());
        assert!(
            with(r#", {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}"#).is_ok()
        );
        let message = |more: &str| with(more).unwrap_err().to_string();
        assert_eq!(
            message(r#", {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}"#),
            "the model has the module Dense ('2_Dense'), which is not served: served are Transformer, Pooling, Normalize"
        );
        assert_eq!(
            message(r#", {"path": "2_Pooling", "type": "a.b.Pooling"}"#),
            "the model has its pooling in '2_Pooling', which is not served: it must be in '1_Pooling'"
        );
        assert_eq!(message(","), "the model has a modules.json that does not parse");
    }
}
