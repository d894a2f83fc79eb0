//! What OCI knows of an application or a function and the Fn server does not: kept as annotations, as OCI's own is.

use super::super::Fault;
use crate::store::model::{Annotations, App, Config};
use crate::tenancy::Tenancy;
use serde_json::{Map, Value, json};

const PREFIX: &str = "oracle.com/oci/";
/// Where an application is.
const COMPARTMENT: &str = "oracle.com/oci/compartmentId";

/// Kept for applications, as they came.
pub(super) const OF_APPS: [&str; 9] = [
    "subnetIds",
    "networkSecurityGroupIds",
    "traceConfig",
    "logging",
    "imagePolicyConfig",
    "securityAttributes",
    "freeformTags",
    "definedTags",
    "shape",
];
/// Kept for functions, as they came.
pub(super) const OF_FUNCTIONS: [&str; 8] = [
    "imageDigest",
    "provisionedConcurrencyConfig",
    "detachedModeTimeoutInSeconds",
    "failureDestination",
    "successDestination",
    "traceConfig",
    "freeformTags",
    "definedTags",
];
/// The image as its maker called it, where it is known here by another name.
pub(super) const IMAGE: &str = "oracle.com/oci/image";

/// The compartment of an application; one from a folder is in the tenancy's first.
pub(in super::super) fn compartment_of(tenancy: &Tenancy, app: &App) -> String {
    let said = app.annotations.get(COMPARTMENT).and_then(Value::as_str);
    said.filter(|id| tenancy.has_compartment(id)).unwrap_or(tenancy.home()).to_owned()
}

/// Notes the compartment.
pub(super) fn put_in(annotations: &mut Annotations, compartment: &str) {
    annotations.insert(COMPARTMENT.into(), compartment.into());
}

/// Takes what is to be kept.
pub(super) fn keep(details: &Map<String, Value>, names: &[&str]) -> Annotations {
    let found =
        names.iter().filter_map(|name| Some((name, details.get(*name).filter(|value| !value.is_null())?)));
    found.map(|(name, value)| (format!("{PREFIX}{name}"), value.clone())).collect()
}

/// Shows what was kept.
pub(super) fn show(annotations: &Annotations, names: &[&str], into: &mut Map<String, Value>) {
    for name in names {
        let kept = annotations.get(&format!("{PREFIX}{name}")).cloned();
        let nothing = match *name {
            "freeformTags" | "definedTags" | "securityAttributes" => json!({}),
            "subnetIds" | "networkSecurityGroupIds" => json!([]),
            "shape" => json!("GENERIC_X86"),
            _ => Value::Null,
        };
        into.insert((*name).to_owned(), kept.unwrap_or(nothing));
    }
}

/// Configuration: texts by name, 4 KB in all.
pub(super) fn config(details: &Map<String, Value>) -> Result<Option<Config>, Fault> {
    let wrong = |why: &str| Fault::invalid(format!("config {why}"));
    let all = match details.get("config") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(all)) => all,
        Some(_) => return Err(wrong("must be an object")),
    };
    let mut config = Config::new();
    for (name, value) in all {
        let value = value.as_str().ok_or_else(|| wrong("values must be texts"))?;
        let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let good = name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
            && name.bytes().next().is_some_and(letter);
        if !good {
            return Err(wrong(&format!("names are of letters, digits and '_', which {name:?} is not")));
        }
        config.insert(name.clone(), value.to_owned());
    }
    let size: usize = config.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > 4096 { Err(wrong("may have 4 KB in all")) } else { Ok(Some(config)) }
}

/// What changes one configuration into another, where a change takes over what it names: an empty value takes a name away.
pub(super) fn instead(old: &Config, new: Option<Config>) -> Config {
    let Some(new) = new else { return Config::new() };
    let gone = old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), String::new()));
    gone.chain(new.clone()).collect()
}
