//! A label and how likely it is.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// One label of a text or a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Prediction {
    /// The label. The predictions of a reply share its text.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub label: Arc<str>,
    /// Its probability, 0 to 1.
    pub score: f32,
}

fn write<S: Serializer>(label: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(label)
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    String::deserialize(deserializer).map(Into::into)
}
