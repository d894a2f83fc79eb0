//! The environment, read once at start: it is fixed for the container's life, so no call scans it again.

use crate::contract::env;
use std::collections::HashMap;

/// Configuration of the application and the function, and what the platform says of the container.
#[derive(Debug, Clone, Default)]
pub struct Config {
    values: HashMap<String, String>,
}

impl Config {
    /// Every variable of this process. Bytes that are not UTF-8 become U+FFFD rather than a refusal to start.
    pub(crate) fn from_process() -> Self {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self { values: std::env::vars_os().map(|(key, value)| (lossy(key), lossy(value))).collect() }
    }

    pub(crate) fn from_pairs<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self { values: pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect() }
    }

    /// The value of a key as func.yaml, the application or the platform set it.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// Every key and value, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The application's id, empty where the platform sets none.
    pub fn app_id(&self) -> &str {
        self.get(env::APP_ID).unwrap_or_default()
    }

    /// The function's id, empty where the platform sets none.
    pub fn fn_id(&self) -> &str {
        self.get(env::FN_ID).unwrap_or_default()
    }

    /// The application's name; OCI sets it, the open-source server does not.
    pub fn app_name(&self) -> Option<&str> {
        self.get(env::APP_NAME)
    }

    /// The function's name; OCI sets it, the open-source server does not.
    pub fn fn_name(&self) -> Option<&str> {
        self.get(env::FN_NAME)
    }

    /// The memory the platform grants, in bytes; `FN_MEMORY` has it in MB.
    pub fn memory(&self) -> Option<u64> {
        self.get(env::MEMORY)?.trim().parse::<u64>().ok()?.checked_mul(1024 * 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_platform_sets_has_accessors() {
        let config = Config::from_pairs([("FN_MEMORY", "128"), ("FN_FN_ID", "f"), ("MY_KEY", "")]);
        assert_eq!(config.memory(), Some(128 * 1024 * 1024));
        assert_eq!((config.fn_id(), config.app_id(), config.app_name()), ("f", "", None));
        assert_eq!(config.get("MY_KEY"), Some(""));
        assert_eq!(Config::from_pairs([("FN_MEMORY", "lots")]).memory(), None);
    }
}
