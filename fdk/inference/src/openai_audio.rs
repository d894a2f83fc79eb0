//! `OpenAI`'s `/v1/audio/transcriptions` (API reference of `OpenAI`, 2025): the fields of its form, and the five forms of its reply.

use crate::error::Error;
use crate::transcribe::{Segment, TranscribeReply, TranscribeRequest};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A request, field by field.
#[derive(Debug, Default)]
pub struct Transcription {
    file: Option<Vec<u8>>,
    model: Option<String>,
    format: Format,
    language: Option<String>,
    prompt: Option<String>,
    temperature: Option<f32>,
}

/// How the reply is to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Json,
    VerboseJson,
    Text,
    Srt,
    Vtt,
}

/// A reply, and what kind of text it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The whole body.
    pub body: String,
    /// Its `Content-Type`.
    pub content_type: &'static str,
}

impl Transcription {
    /// Takes one field of the form. An error is the request's fault.
    pub fn field(&mut self, name: &str, value: Vec<u8>) -> Result<(), Error> {
        if name == "file" {
            self.file = Some(value);
            return Ok(());
        }
        let value = String::from_utf8(value).map_err(|_| Error::input(name, "it is no text"))?;
        match name {
            "model" => self.model = Some(value),
            "language" => self.language = Some(value),
            "prompt" => self.prompt = Some(value),
            "response_format" => self.format = Format::parse(&value)?,
            "temperature" => {
                let number = value.trim().parse();
                self.temperature =
                    Some(number.map_err(|_| Error::input(name, format!("'{value}' is no number")))?);
            }
            // What we would do anyway, or what is only a hint.
            "timestamp_granularities[]" | "timestamp_granularities" if value == "segment" => {}
            "stream" if value == "false" => {}
            "user" | "chunking_strategy" => {}
            "timestamp_granularities[]" | "timestamp_granularities" => {
                return Err(Error::input(name, format!("'{value}' is not told: segment is")));
            }
            "stream" => return Err(Error::input(name, "the reply comes whole: leave it out")),
            _ => return Err(Error::input(name, "there is no such field here")),
        }
        Ok(())
    }

    /// The whole request, for a model of this name and entry.
    pub fn request(self, name: &str, entry: &str) -> Result<(TranscribeRequest, Form), Error> {
        let missing = |field: &str| Error::input(field, "the form has no such field, and must");
        let model = self.model.ok_or_else(|| missing("model"))?;
        if model != name && model != entry {
            return Err(Error::input(
                "model",
                format!("the model '{model}' is not served here; '{name}' is"),
            ));
        }
        let mut request = TranscribeRequest::new(self.file.ok_or_else(|| missing("file"))?);
        request.language = self.language.filter(|language| !language.is_empty());
        request.prompt = self.prompt;
        request.temperature = self.temperature;
        Ok((request, Form(self.format)))
    }
}

/// How the client wants its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form(Format);

impl Format {
    fn parse(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "json" => Self::Json,
            "verbose_json" => Self::VerboseJson,
            "text" => Self::Text,
            "srt" => Self::Srt,
            "vtt" => Self::Vtt,
            other => {
                let message =
                    format!("there is no format '{other}': json, verbose_json, text, srt and vtt there are");
                return Err(Error::input("response_format", message));
            }
        })
    }
}

impl Form {
    /// Writes a reply as the client wants it.
    pub fn write(self, reply: &TranscribeReply) -> Written {
        let segments = reply.segments.as_deref().unwrap_or_default();
        let (body, content_type) = match self.0 {
            Format::Json => (json!({"text": reply.text}).to_string(), "application/json"),
            Format::VerboseJson => (verbose(reply, segments).to_string(), "application/json"),
            Format::Text => (format!("{}\n", reply.text), "text/plain; charset=utf-8"),
            Format::Srt => (srt(segments), "text/plain; charset=utf-8"),
            Format::Vtt => (vtt(segments), "text/vtt; charset=utf-8"),
        };
        Written { body, content_type }
    }
}

/// An error as the client's library reads it: the status, and the body.
pub fn refused(status: u16, message: &str, path: Option<&str>) -> (u16, Value) {
    // The form calls it the file, and no model of that name is a thing not found.
    let param = path.filter(|path| !path.is_empty()).map(|path| if path == "audio" { "file" } else { path });
    let (status, code) = match (status, param) {
        (_, Some("model")) => (404, Some("model_not_found")),
        (422, _) => (400, None),
        (other, _) => (other, None),
    };
    (
        status,
        json!({"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}),
    )
}

fn verbose(reply: &TranscribeReply, segments: &[Segment]) -> Value {
    let segment = |(id, segment): (usize, &Segment)| {
        let found = &segment.found;
        json!({
            "id": id, "seek": 0, "start": segment.start, "end": segment.end, "text": segment.text,
            "tokens": found.tokens, "temperature": found.temperature,
            "avg_logprob": found.average_log_probability, "compression_ratio": found.compression_ratio,
            "no_speech_prob": found.no_speech_probability,
        })
    };
    json!({
        "task": "transcribe",
        "language": "english",
        "duration": reply.duration,
        "text": reply.text,
        "segments": segments.iter().enumerate().map(segment).collect::<Vec<_>>(),
    })
}

/// Hours, minutes, seconds and thousandths.
fn clock(seconds: f64, point: char) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "half an hour at most")]
    let all = (seconds * 1000.0).round() as u64;
    let (rest, thousandths) = (all / 1000, all % 1000);
    format!("{:02}:{:02}:{:02}{point}{thousandths:03}", rest / 3600, rest / 60 % 60, rest % 60)
}

fn srt(segments: &[Segment]) -> String {
    let mut text = String::new();
    for (index, segment) in segments.iter().enumerate() {
        let (start, end) = (clock(segment.start, ','), clock(segment.end, ','));
        let _ = write!(text, "{}\n{start} --> {end}\n{}\n\n", index + 1, segment.text.trim());
    }
    text
}

fn vtt(segments: &[Segment]) -> String {
    let mut text = String::from("WEBVTT\n\n");
    for segment in segments {
        let (start, end) = (clock(segment.start, '.'), clock(segment.end, '.'));
        // An arrow in the text would end the cue.
        let _ = write!(text, "{start} --> {end}\n{}\n\n", segment.text.trim().replace("-->", "->"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> TranscribeReply {
        let mut reply: TranscribeReply = serde_json::from_value(json!({
            "text": "One. Two.", "language": "en", "model": "m",
            "segments": [{"start": 0.0, "end": 1.5, "text": " One."}, {"start": 3661.25, "end": 3662.0, "text": " Two."}],
        }))
        .unwrap();
        reply.duration = 3663.0;
        reply
    }

    fn written(format: &str) -> Written {
        Form(Format::parse(format).unwrap()).write(&reply())
    }

    #[test]
    fn each_form_is_what_players_read() {
        assert_eq!(written("json").body, "{\"text\":\"One. Two.\"}");
        assert_eq!(written("text").body, "One. Two.\n");
        let srt = "1\n00:00:00,000 --> 00:00:01,500\nOne.\n\n2\n01:01:01,250 --> 01:01:02,000\nTwo.\n\n";
        assert_eq!(written("srt").body, srt);
        assert!(written("vtt").body.starts_with("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nOne.\n"));
        let verbose: Value = serde_json::from_str(&written("verbose_json").body).unwrap();
        assert_eq!((&verbose["segments"][1]["id"], &verbose["duration"]), (&json!(1), &json!(3663.0)));
    }

    #[test]
    fn a_form_is_read_field_by_field() {
        let read = |fields: &[(&str, &str)]| {
            let mut form = Transcription::default();
            for (name, value) in fields {
                form.field(name, value.as_bytes().to_vec())?;
            }
            form.request("whisper-tiny.en", "whisper-tiny-en")
        };
        let (request, form) = read(&[
            ("file", "RIFF"),
            ("model", "whisper-tiny-en"),
            ("response_format", "srt"),
            ("language", "en"),
            ("temperature", "0.2"),
            ("timestamp_granularities[]", "segment"),
        ])
        .unwrap();
        assert_eq!(
            (request.audio.as_slice(), request.temperature, form.0),
            (&b"RIFF"[..], Some(0.2), Format::Srt)
        );
        let fault = |fields: &[(&str, &str)]| {
            let error = read(fields).unwrap_err();
            format!("{}: {error}", error.path().unwrap())
        };
        assert_eq!(fault(&[("file", "x")]), "model: the form has no such field, and must");
        assert_eq!(fault(&[("model", "whisper-tiny.en")]), "file: the form has no such field, and must");
        assert_eq!(
            fault(&[("model", "whisper-1"), ("file", "x")]),
            "model: the model 'whisper-1' is not served here; 'whisper-tiny.en' is"
        );
        assert!(
            fault(&[("response_format", "xml")]).starts_with("response_format: there is no format 'xml'")
        );
        assert_eq!(
            fault(&[("timestamp_granularities[]", "word")]),
            "timestamp_granularities[]: 'word' is not told: segment is"
        );
        assert_eq!(fault(&[("n", "2")]), "n: there is no such field here");
        assert_eq!(refused(422, "no", Some("audio")).1["error"]["param"], "file");
    }
}
