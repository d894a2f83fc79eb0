//! What a model can be asked to do.

use crate::assets::Assets;
use crate::error::Error;
use crate::models::family::Family;

/// A task, by the name that `models.toml` and `FDK_TASK` give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Task {
    /// Texts → vectors.
    Embed,
    /// A query and documents → the documents in order.
    Rerank,
    /// Texts → labels.
    Classify,
    /// Texts → the entities in them.
    Tokens,
    /// A conversation → what a model says next.
    Generate,
    /// Pictures → labels; where the feature `vision` is.
    ClassifyImage,
    /// Recordings → when somebody speaks; where the feature `speech` is.
    DetectSpeech,
    /// Recordings → what is said; where the feature `speech` is.
    Transcribe,
}

impl Task {
    const ALL: [Self; 8] = [
        Self::Embed,
        Self::Rerank,
        Self::Classify,
        Self::Tokens,
        Self::Generate,
        Self::ClassifyImage,
        Self::DetectSpeech,
        Self::Transcribe,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Rerank => "rerank",
            Self::Classify => "classify",
            Self::Tokens => "tokens",
            Self::Generate => "generate",
            Self::ClassifyImage => "classify_image",
            Self::DetectSpeech => "detect_speech",
            Self::Transcribe => "transcribe",
        }
    }

    /// The task of this name; the error lists the names there are.
    pub fn parse(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|task| task.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::assets(format!("there is no task '{name}': a model's task is one of {names}"))
        })
    }

    /// The task of a model: the one its entry in `models.toml` states, or else what its checkpoint was trained for.
    pub fn of(assets: &Assets) -> Result<Self, Error> {
        match assets.model().task.as_str() {
            "" if assets.gguf().is_ok() || assets.is_decoder() => Ok(Self::Generate),
            "" => Ok(Self::trained(&Family::read(assets)?)),
            stated => Self::parse(stated),
        }
    }

    fn trained(family: &Family) -> Self {
        if family.is_token_classifier() {
            Self::Tokens
        } else if family.is_sequence_classifier() {
            // One output is a cross-encoder's.
            if family.labels().len() == 1 { Self::Rerank } else { Self::Classify }
        } else {
            Self::Embed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_known_by_its_name() {
        for task in Task::ALL {
            assert_eq!(Task::parse(task.name()).unwrap(), task);
        }
        assert_eq!(
            Task::parse("translate").unwrap_err().to_string(),
            "there is no task 'translate': a model's task is one of embed, rerank, classify, tokens, \
             generate, classify_image, detect_speech, transcribe"
        );
    }
}
