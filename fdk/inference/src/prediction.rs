//! A label and how likely it is.

use serde::{Deserialize, Serialize};

/// One label of a text or a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Prediction {
    /// The label.
    pub label: String,
    /// Its probability, 0 to 1.
    pub score: f32,
}
