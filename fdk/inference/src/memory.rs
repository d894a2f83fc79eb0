//! What serving a model takes at most, reckoned from the headers of its files before any of it is taken.

#[cfg(feature = "text")]
mod decoder;
#[cfg(feature = "text")]
mod encoder;
#[cfg(any(feature = "vision", feature = "speech"))]
mod media;

use crate::assets::Assets;
#[cfg(feature = "text")]
pub(crate) use decoder::Decoder;
#[cfg(feature = "text")]
pub(crate) use encoder::BATCH_TOKENS;

/// Bytes that are taken at some time, and those that are taken at all times.
#[derive(Debug, Clone, Copy, Default)]
struct Needs {
    /// At all times: weights and tables.
    fixed: u64,
    /// More while the model is loaded.
    loading: u64,
    /// More while it answers.
    computing: u64,
}

impl Needs {
    /// The most at any time.
    fn most(self) -> u64 {
        self.fixed.saturating_add(self.loading.max(self.computing))
    }
}

/// What the model takes, reckoned as its task and its files say; `None` where nothing is known of either.
pub(crate) fn needed(assets: &Assets) -> Option<u64> {
    match assets.model().task.as_str() {
        #[cfg(feature = "vision")]
        "classify_image" => Some(media::picture(assets)),
        #[cfg(feature = "speech")]
        "detect_speech" => Some(media::sound(assets, 0)),
        #[cfg(feature = "speech")]
        "transcribe" => Some(media::sound(assets, media::TRANSCRIBING)),
        #[cfg(feature = "text")]
        _ => encoder::needed(assets).or_else(|| decoder::needed(assets)),
        #[cfg(not(feature = "text"))]
        _ => None,
    }
}
