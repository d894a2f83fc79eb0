//! The task `detect_speech`: a recording → when somebody speaks in it.

use crate::assets::Assets;
use crate::body;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::map::map;
use crate::models::silero::Silero;
use crate::{sound, speech};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where to look: the bytes of a WAV, FLAC, MP3 or OGG, or `{"audio": base64}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DetectSpeechRequest {
    /// The file, of at most 30 minutes; in JSON as base64 or as a data URL.
    #[serde(deserialize_with = "body::base64")]
    pub audio: Vec<u8>,
}

impl DetectSpeechRequest {
    /// A request for this file.
    pub fn new(audio: impl Into<Vec<u8>>) -> Self {
        Self { audio: audio.into() }
    }

    /// Reads a body: JSON, or the file itself. An error is the request's fault.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        body::read(body, Self::new)
    }
}

/// When somebody speaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DetectSpeechReply {
    /// In order, not overlapping; empty where nobody speaks.
    pub segments: Vec<Stretch>,
}

/// A stretch of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stretch {
    /// In seconds from the beginning of the recording.
    pub start: f64,
    /// As `start`.
    pub end: f64,
}

/// A model that hears whether somebody speaks.
pub struct SpeechDetector {
    name: String,
    model: Silero,
}

impl SpeechDetector {
    /// Opens Silero VAD (`*.safetensors`) and runs it once, so that the first call pays for nothing.
    #[expect(clippy::needless_pass_by_value, reason = "the files are the model's from here on")]
    pub fn open(assets: Assets) -> Result<Self, Error> {
        crate::cpu::check_kernels()?;
        let detector = Self { name: assets.model().name.clone(), model: load(&assets)? };
        assets.timings().time("warm-up", || detector.probabilities(&[0.0; 512], &Interrupt::never()))?;
        Ok(detector)
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Finds the speech of a recording. An error is the request's fault when the file is no recording or is too long. An
    /// interrupt is asked before each packet is decoded, and every two seconds of sound.
    pub fn detect(
        &self,
        request: &DetectSpeechRequest,
        interrupt: &Interrupt<'_>,
    ) -> Result<DetectSpeechReply, Error> {
        let samples = sound::decode(&request.audio, interrupt)?;
        let stretches = self.stretches(&samples, interrupt)?;
        Ok(DetectSpeechReply { segments: stretches.into_iter().map(Stretch::of).collect() })
    }

    /// The probability of speech in each 512 of these samples of 16 kHz.
    pub fn probabilities(&self, samples: &[f32], interrupt: &Interrupt<'_>) -> Result<Vec<f32>, Error> {
        self.model.run(samples, interrupt)
    }

    pub(crate) fn stretches(
        &self,
        samples: &[f32],
        interrupt: &Interrupt<'_>,
    ) -> Result<Vec<(usize, usize)>, Error> {
        Ok(speech::stretches(&self.model.run(samples, interrupt)?, samples.len()))
    }
}

impl Stretch {
    fn of((start, end): (usize, usize)) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "half an hour at most")]
        let seconds = |samples: usize| samples as f64 / sound::RATE as f64;
        Self { start: seconds(start), end: seconds(end) }
    }
}

/// The detector among a model's files.
fn load(assets: &Assets) -> Result<Silero, Error> {
    let path = assets.file_ending(".safetensors")?;
    let file = map(&path).map_err(|error| Error::assets(format!("{}: {error}", path.display())))?;
    assets.timings().time("build", || Silero::load(&file))
}

/// The detector of a model that uses it for something else.
pub(crate) fn of(assets: &Assets) -> Result<SpeechDetector, Error> {
    Ok(SpeechDetector { name: assets.model().name.clone(), model: load(assets)? })
}

impl fmt::Debug for SpeechDetector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpeechDetector").field("name", &self.name).finish_non_exhaustive()
    }
}
