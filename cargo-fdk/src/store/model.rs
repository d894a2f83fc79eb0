//! Applications, functions and triggers, as the Fn server's API has them (`api/models`).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Configuration: environment variables of the function.
pub type Config = BTreeMap<String, String>;
/// What clients note about a thing; the platform adds some of its own when it shows it.
pub type Annotations = BTreeMap<String, Value>;

/// An application: functions that share configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct App {
    /// Given by the platform.
    pub id: String,
    /// Unique; letters, digits, `_` and `-`.
    pub name: String,
    /// Configuration of all its functions.
    #[serde(deserialize_with = "some", skip_serializing_if = "BTreeMap::is_empty")]
    pub config: Config,
    /// Notes.
    #[serde(deserialize_with = "some", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// Where logs would go; kept and not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syslog_url: Option<String>,
    /// The architecture of its images.
    #[serde(deserialize_with = "some", skip_serializing_if = "String::is_empty")]
    pub shape: String,
    /// RFC 3339 with milliseconds.
    #[serde(deserialize_with = "some")]
    pub created_at: String,
    /// When it last changed.
    #[serde(deserialize_with = "some")]
    pub updated_at: String,
}

/// A function.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Func {
    /// Given by the platform.
    pub id: String,
    /// Unique in its application.
    pub name: String,
    /// The application's id.
    pub app_id: String,
    /// The image's name; see [`crate::images`].
    pub image: String,
    /// In MB.
    pub memory: u64,
    /// How long a call may take, in seconds.
    pub timeout: i32,
    /// How long an idle container stays, in seconds.
    pub idle_timeout: i32,
    /// Configuration; wins over the application's.
    #[serde(deserialize_with = "some")]
    pub config: Config,
    /// Notes.
    #[serde(deserialize_with = "some", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// The application's.
    #[serde(deserialize_with = "some", skip_serializing_if = "String::is_empty")]
    pub shape: String,
    /// RFC 3339 with milliseconds.
    #[serde(deserialize_with = "some")]
    pub created_at: String,
    /// When it last changed.
    #[serde(deserialize_with = "some")]
    pub updated_at: String,
}

/// A path that leads to a function.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trigger {
    /// Given by the platform.
    pub id: String,
    /// Unique among the function's.
    pub name: String,
    /// The application's id.
    pub app_id: String,
    /// The function's id.
    pub fn_id: String,
    /// RFC 3339 with milliseconds.
    #[serde(deserialize_with = "some")]
    pub created_at: String,
    /// When it last changed.
    #[serde(deserialize_with = "some")]
    pub updated_at: String,
    /// `http` is the only one.
    #[serde(rename = "type")]
    pub kind: String,
    /// The path under `/t/APP`, with its slash.
    pub source: String,
    /// Notes.
    #[serde(deserialize_with = "some", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

/// `null` is what is not there: Go's clients write it for an empty map.
fn some<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

impl App {
    /// Takes over what a change says: an empty value takes a key away.
    pub(super) fn merge(&mut self, change: Self) {
        merge_config(&mut self.config, change.config);
        merge_annotations(&mut self.annotations, change.annotations);
        if let Some(url) = change.syslog_url {
            self.syslog_url = Some(url).filter(|url| !url.is_empty());
        }
    }
}

impl Func {
    /// What the server sets where a client says nothing.
    pub(super) fn set_defaults(&mut self) {
        for (value, default) in [(&mut self.timeout, 30), (&mut self.idle_timeout, 30)] {
            if *value == 0 {
                *value = default;
            }
        }
        if self.memory == 0 {
            self.memory = 128;
        }
    }

    /// Takes over what a change says; zero and nothing are no change.
    pub(super) fn merge(&mut self, change: Self) {
        if !change.image.is_empty() {
            self.image = change.image;
        }
        for (value, new) in
            [(&mut self.timeout, change.timeout), (&mut self.idle_timeout, change.idle_timeout)]
        {
            if new != 0 {
                *value = new;
            }
        }
        if change.memory != 0 {
            self.memory = change.memory;
        }
        merge_config(&mut self.config, change.config);
        merge_annotations(&mut self.annotations, change.annotations);
    }
}

impl Trigger {
    pub(super) fn merge(&mut self, change: Self) {
        for (value, new) in [
            (&mut self.app_id, change.app_id),
            (&mut self.fn_id, change.fn_id),
            (&mut self.name, change.name),
            (&mut self.source, change.source),
        ] {
            if !new.is_empty() {
                *value = new;
            }
        }
        merge_annotations(&mut self.annotations, change.annotations);
    }
}

fn merge_config(config: &mut Config, change: Config) {
    for (key, value) in change {
        if value.is_empty() {
            config.remove(&key);
        } else {
            config.insert(key, value);
        }
    }
}

fn merge_annotations(annotations: &mut Annotations, change: Annotations) {
    for (key, value) in change {
        if is_nothing(&value) {
            annotations.remove(&key);
        } else {
            annotations.insert(key, value);
        }
    }
}

/// What an annotation cannot be, and what takes one away.
pub(super) fn is_nothing(value: &Value) -> bool {
    value.is_null() || value == ""
}
