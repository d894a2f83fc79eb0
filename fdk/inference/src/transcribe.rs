//! The task `transcribe`: a recording → what is said in it, and when.

use crate::assets::Assets;
use crate::body;
use crate::decoding::{SECONDS_PER_STAMP, Said, Vocabulary, temperatures};
use crate::detect_speech::{self, SpeechDetector};
use crate::error::Error;
use crate::formats::ctranslate2;
use crate::interrupt::Interrupt;
use crate::map::map;
use crate::mel::{Bands, WINDOW};
use crate::models::whisper::Whisper;
use crate::sound::{self, RATE};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much before a stretch of speech a window begins; of what is left of one, less is not worth a window.
const LEAD: usize = RATE / 5;
/// The most bytes of a prompt, of which the model reads the last 200 or so tokens: tokenising takes a hundred bytes of memory for each.
const PROMPT_BYTES: usize = 64 * 1024;

/// What to transcribe: the bytes of a WAV, FLAC, MP3 or OGG, or `{"audio": base64, "timestamps": true, "language": "en",
/// "task": "transcribe", "prompt": "…", "temperature": 0}`; only `audio` must be there.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TranscribeRequest {
    /// The file, of at most 30 minutes; in JSON as base64 or as a data URL.
    #[serde(deserialize_with = "body::base64")]
    pub audio: Vec<u8>,
    /// Whether the reply says when what was said. True unless said.
    #[serde(default = "yes")]
    pub timestamps: bool,
    /// The language spoken, as `en` or `english`; another than the model's is refused.
    #[serde(default)]
    pub language: Option<String>,
    /// `transcribe`; `translate` is refused by a model that knows one language.
    #[serde(default)]
    pub task: Option<String>,
    /// What was said before, or words as they are to be spelt; at most 64 KiB, of which the end counts.
    #[serde(default)]
    pub prompt: Option<String>,
    /// From 0, the likeliest words, to 1. At 0, or unless said, a text that cannot be true is tried again at higher ones.
    #[serde(default)]
    pub temperature: Option<f32>,
}

fn yes() -> bool {
    true
}

impl TranscribeRequest {
    /// A request for this file with the defaults.
    pub fn new(audio: impl Into<Vec<u8>>) -> Self {
        Self {
            audio: audio.into(),
            timestamps: true,
            language: None,
            task: None,
            prompt: None,
            temperature: None,
        }
    }

    /// Reads a body: JSON, or the file itself. An error is the request's fault.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        body::read(body, Self::new)
    }

    fn check(&self) -> Result<(), Error> {
        if let Some(language) = &self.language
            && !["en", "english"].contains(&language.to_ascii_lowercase().as_str())
        {
            return Err(Error::input("language", format!("the model knows English alone, not '{language}'")));
        }
        match self.task.as_deref() {
            None | Some("transcribe") => {}
            Some("translate") => {
                return Err(Error::input("task", "the model knows English alone and cannot translate"));
            }
            Some(other) => {
                return Err(Error::input("task", format!("there is no task '{other}': say transcribe")));
            }
        }
        if self.temperature.is_some_and(|temperature| !(0.0..=1.0).contains(&temperature)) {
            return Err(Error::input("temperature", "it is none of 0 to 1"));
        }
        if let Some(prompt) = self.prompt.as_ref().filter(|prompt| prompt.len() > PROMPT_BYTES) {
            let message =
                format!("it has {} bytes and may have {PROMPT_BYTES}: its end is enough", prompt.len());
            return Err(Error::input("prompt", message));
        }
        Ok(())
    }
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TranscribeReply {
    /// All of it; empty where nobody speaks.
    pub text: String,
    /// Its parts in order, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<Vec<Segment>>,
    /// The language, as `en`.
    pub language: String,
    /// The model's name.
    pub model: String,
    /// How long the recording is, in seconds.
    #[serde(skip)]
    pub duration: f64,
}

/// A part of what was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Segment {
    /// In seconds from the beginning of the recording.
    pub start: f64,
    /// As `start`.
    pub end: f64,
    /// The words, beginning with a space where a word begins.
    pub text: String,
    /// How the words were found.
    #[serde(skip)]
    pub found: Found,
}

/// How the words of a segment were found: what `OpenAI`'s `verbose_json` tells of them.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Found {
    /// The model's tokens, time-stamps among them.
    pub tokens: Vec<u32>,
    /// At which temperature.
    pub temperature: f32,
    /// Of the window's tokens, on average; a guess is below -1.
    pub average_log_probability: f32,
    /// How much smaller the window's text can be made; what repeats itself is above 2.4.
    pub compression_ratio: f32,
    /// That the window is silent.
    pub no_speech_probability: f32,
}

/// A model that writes down what is said.
pub struct Transcriber {
    name: String,
    entry: String,
    model: Whisper,
    vocabulary: Vocabulary,
    bands: Bands,
    detector: SpeechDetector,
}

impl Transcriber {
    /// Opens an English Whisper as `CTranslate2` stores it (`model.bin`, `config.json`, `tokenizer.json`), with Silero VAD
    /// (`*.safetensors`) beside it. It is not run: a window takes as long as it is, and the first call would pay for no less.
    #[expect(clippy::needless_pass_by_value, reason = "the files are the model's from here on")]
    pub fn open(assets: Assets) -> Result<Self, Error> {
        crate::cpu::check_kernels()?;
        let timings = assets.timings();
        let path = assets.path("model.bin");
        let file = timings
            .time("read", || map(&path))
            .map_err(|error| Error::assets(format!("{}: {error}", path.display())))?;
        let model = timings.time("build", || {
            let stored = ctranslate2::read(&file)?;
            if stored.spec != "WhisperSpec" {
                return Err(Error::assets(format!("model.bin is a {}, not a WhisperSpec", stored.spec)));
            }
            Whisper::load(&stored.tensors)
        })?;
        let vocabulary =
            timings.time("tokenizer", || Vocabulary::open(&assets, model.vocabulary(), model.positions()))?;
        let detector = detect_speech::of(&assets)?;
        let name = assets.model().name.clone();
        let entry = assets.name().to_owned();
        Ok(Self { name, entry, model, vocabulary, bands: Bands::new(), detector })
    }

    /// What replies call the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its entry in `models.toml`.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// Transcribes a recording.
    ///
    /// An error is the request's fault when the file is no recording, is too long, or asks for what the model cannot do. Where
    /// nobody speaks, nothing is transcribed. An interrupt is asked before each packet is decoded, each layer and each token.
    pub fn transcribe(
        &self,
        request: &TranscribeRequest,
        interrupt: &Interrupt<'_>,
    ) -> Result<TranscribeReply, Error> {
        request.check()?;
        let samples = sound::decode(&request.audio, interrupt)?;
        let stretches = self.detector.stretches(&samples, interrupt)?;
        let mut segments = Vec::new();
        let mut from = 0;
        // Each window begins where the last whole sentence of the one before ended, so that windows overlap by what was cut.
        while let Some(stretch) = stretches.iter().find(|stretch| stretch.1 > from + LEAD) {
            from = from.max(stretch.0.saturating_sub(LEAD));
            let window = &samples[from..samples.len().min(from + WINDOW)];
            let prompt = request.prompt.as_deref().filter(|_| segments.is_empty());
            let said = self.window(window, prompt, &temperatures(request.temperature), interrupt)?;
            from += if said.is_silence() {
                window.len()
            } else {
                self.cut(&said, from, window.len(), &mut segments)?
            };
        }
        let text = segments.iter().map(|segment: &Segment| segment.text.as_str()).collect::<String>();
        Ok(TranscribeReply {
            text: text.trim().to_owned(),
            segments: request.timestamps.then_some(segments),
            language: "en".into(),
            model: self.name.clone(),
            duration: seconds(samples.len()),
        })
    }

    /// The features that the encoder hears of up to 30 seconds of samples of 16 kHz: 3,000 frames of 80 numbers.
    pub fn features(&self, samples: &[f32]) -> Result<Vec<f32>, Error> {
        self.bands.of(samples)
    }

    /// What the encoder makes of the features: 1,500 rows of the model's width.
    pub fn encode(&self, features: &[f32], interrupt: &Interrupt<'_>) -> Result<Vec<f32>, Error> {
        self.model.encode(features, interrupt)
    }

    /// The logits of the first token, before any rule, for what was encoded.
    pub fn first_logits(&self, sound: &[f32], interrupt: &Interrupt<'_>) -> Result<Vec<f32>, Error> {
        self.model.decoding(sound, interrupt)?.step(&self.vocabulary.before(None)?, interrupt)
    }

    fn window(
        &self,
        samples: &[f32],
        prompt: Option<&str>,
        temperatures: &[f32],
        interrupt: &Interrupt<'_>,
    ) -> Result<Said, Error> {
        let sound = self.model.encode(&self.bands.of(samples)?, interrupt)?;
        let mut decoding = self.model.decoding(&sound, interrupt)?;
        self.vocabulary.say(&mut decoding, &self.vocabulary.before(prompt)?, temperatures, interrupt)
    }

    /// Cuts what was said in a window into segments at its pairs of time-stamps, and says how many samples of the window are
    /// done with: up to the last pair, or all of it.
    fn cut(
        &self,
        said: &Said,
        from: usize,
        length: usize,
        segments: &mut Vec<Segment>,
    ) -> Result<usize, Error> {
        let tokens = &said.tokens;
        let stamp = |index: usize| tokens.get(index).and_then(|token| self.vocabulary.stamp(*token));
        let pairs: Vec<usize> =
            (1..tokens.len()).filter(|index| stamp(index - 1).is_some() && stamp(*index).is_some()).collect();
        // A single time-stamp at the end says that nothing is left to say.
        let closed =
            tokens.len() >= 2 && stamp(tokens.len() - 1).is_some() && stamp(tokens.len() - 2).is_none();
        let mut cuts = pairs.clone();
        if closed || pairs.is_empty() {
            cuts.push(tokens.len());
        }
        let whole = seconds(length);
        let mut begin = 0;
        for cut in cuts {
            let part = &tokens[begin..cut];
            let at = |token: Option<&u32>| {
                let stamp = token.and_then(|token| self.vocabulary.stamp(*token));
                stamp.map(|stamp| (f64::from(stamp) * SECONDS_PER_STAMP).min(whole))
            };
            let text = self.vocabulary.text(part)?;
            let (start, end) = (at(part.first()).unwrap_or(0.0), at(part.last()).filter(|_| part.len() > 1));
            if !text.trim().is_empty() {
                let found = Found {
                    tokens: part.to_vec(),
                    temperature: said.temperature,
                    average_log_probability: said.average_log_probability,
                    compression_ratio: said.compression_ratio,
                    no_speech_probability: said.no_speech_probability,
                };
                let round = |time: f64| ((time + seconds(from)) * 1000.0).round() / 1000.0;
                segments.push(Segment { start: round(start), end: round(end.unwrap_or(whole)), text, found });
            }
            begin = cut;
        }
        let last = pairs.last().filter(|_| !closed).and_then(|pair| stamp(pair - 1));
        let done = last.map_or(length, |stamp| stamp as usize * (RATE / 50));
        // A window of which nothing is done with would come again for ever.
        Ok(if done == 0 { length } else { done.min(length) })
    }
}

#[expect(clippy::cast_precision_loss, reason = "half an hour at most")]
fn seconds(samples: usize) -> f64 {
    samples as f64 / RATE as f64
}

impl fmt::Debug for Transcriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcriber").field("name", &self.name).finish_non_exhaustive()
    }
}
