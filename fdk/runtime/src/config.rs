//! The environment, read once at start: it is fixed for the container's life, so no call scans it again.

use crate::contract::env;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use zeroize::Zeroizing;

/// Configuration of the application and the function, and what the platform says of the container.
///
/// Any value may be a secret: `Debug` shows the keys alone, and the values are erased when this is dropped.
#[derive(Clone, Default)]
pub struct Config {
    values: HashMap<String, Zeroizing<String>>,
}

impl Config {
    /// Every variable of this process. Bytes that are not UTF-8 become U+FFFD rather than a refusal to start.
    pub(crate) fn from_process() -> Self {
        Self::from_variables(std::env::vars_os())
    }

    fn from_variables(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let key = |key: OsString| key.to_string_lossy().into_owned();
        Self { values: variables.map(|(name, value)| (key(name), text(value))).collect() }
    }

    pub(crate) fn from_pairs<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self {
            values: pairs
                .into_iter()
                .map(|(key, value)| (key.into(), Zeroizing::new(value.into())))
                .collect(),
        }
    }

    /// The value of a key as func.yaml, the application or the platform set it.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|value| value.as_str())
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

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("keys", &self.values.keys()).finish_non_exhaustive()
    }
}

/// A value as text, without leaving a copy of it behind.
fn text(value: OsString) -> Zeroizing<String> {
    Zeroizing::new(value.into_string().unwrap_or_else(|value| {
        let bytes = Zeroizing::new(value.into_encoded_bytes());
        String::from_utf8_lossy(&bytes).into_owned()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::ffi::OsStringExt as _;
    use std::os::unix::fs::FileExt as _;

    #[test]
    fn what_the_platform_sets_has_accessors() {
        let config = Config::from_pairs([("FN_MEMORY", "128"), ("FN_FN_ID", "f"), ("MY_KEY", "")]);
        assert_eq!(config.memory(), Some(128 * 1024 * 1024));
        assert_eq!((config.fn_id(), config.app_id(), config.app_name()), ("f", "", None));
        assert_eq!(config.get("MY_KEY"), Some(""));
        assert_eq!(Config::from_pairs([("FN_MEMORY", "lots")]).memory(), None);
    }
    #[test]
    fn debug_shows_keys_and_no_value() {
        let config = Config::from_pairs([("DB_PASSWORD", "open sesame")]);
        for shown in [format!("{config:?}"), format!("{config:#?}")] {
            assert!(shown.contains("DB_PASSWORD") && !shown.contains("sesame"), "{shown}");
        }
    }

    /// A byte of the secret, which stands nowhere as a whole but where the test puts it.
    fn letter(at: usize) -> u8 {
        b"EIANTSRHLDCU"[at * at % 11 + at % 2]
    }

    /// Whether this process's memory holds the end of a secret: its beginning is where an allocator keeps its notes.
    fn is_in_memory(length: usize, chunk: &mut [u8]) -> bool {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let memory = File::open("/proc/self/mem").unwrap();
        let range = |line: &str| {
            let (range, rest) = line.split_once(' ')?;
            let (from, to) = range.split_once('-')?;
            let address = |text| u64::from_str_radix(text, 16).ok();
            Some(address(from)?..address(to)?).filter(|_| rest.starts_with("rw"))
        };
        maps.lines().filter_map(range).any(|range| {
            range.step_by(chunk.len() / 2).any(|from| {
                let read = memory.read_at(chunk, from).unwrap_or_default();
                // As an allocation is aligned.
                let mut places = (0..read.saturating_sub(length)).step_by(16);
                places.any(|at| (32..length).all(|of| chunk[at + of] == letter(of)))
            })
        })
    }

    #[test]
    fn values_are_erased_when_it_is_dropped() {
        let mut chunk = vec![0; 1 << 20];
        for last in [b'x', b'\xff'] {
            let value = (0..200).map(letter).chain([last]).collect();
            let variables = [(OsString::from("KEY"), OsString::from_vec(value))];
            let config = Config::from_variables(variables.into_iter());
            let copy = config.clone();
            assert!(copy.get("KEY").is_some_and(|value| value.len() > 200));
            assert!(is_in_memory(200, &mut chunk), "the search finds what is there");
            chunk.fill(0);
            drop((config, copy));
            assert!(!is_in_memory(200, &mut chunk), "{last}");
        }
    }
}
