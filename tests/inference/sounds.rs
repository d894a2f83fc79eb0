//! `detect_speech` and `transcribe` against an independent reference: `reference/speech.py` goes from the file of weights to the
//! numbers in numpy.

#![expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "sound is small numbers")]

use fdk_inference::{Assets, DetectSpeechRequest, Interrupt, SpeechDetector, TranscribeRequest, Transcriber};
use serde::Deserialize;
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::LazyLock;

#[derive(Deserialize)]
struct Golden {
    samples: Vec<f32>,
    speech: Vec<f32>,
    features: Matrix,
    encoded: Matrix,
    first: Logits,
}

/// Means over rows and columns, and some of the numbers.
#[derive(Deserialize)]
struct Matrix {
    rows: Vec<f32>,
    columns: Vec<f32>,
    few: Vec<f32>,
}

#[derive(Deserialize)]
struct Logits {
    /// Each 300th.
    few: Vec<f32>,
    best: Vec<usize>,
}

static GOLDEN: LazyLock<Golden> =
    LazyLock::new(|| serde_json::from_str(include_str!("golden/speech.json")).unwrap());

fn assets(name: &str) -> Assets {
    Assets::open(&fdk_models::obtain(name).unwrap(), Some(name)).unwrap()
}

static DETECTOR: LazyLock<SpeechDetector> =
    LazyLock::new(|| SpeechDetector::open(assets("silero-vad")).unwrap());
static TRANSCRIBER: LazyLock<Transcriber> =
    LazyLock::new(|| Transcriber::open(assets("whisper-tiny-en")).unwrap());

/// The reference's sound, by its formula.
fn sound() -> Vec<f32> {
    use std::f64::consts::TAU;
    let sample = |index: u64| {
        let t = index as f64 / 16_000.0;
        let tones: f64 = [130.0, 620.0, 1710.0].iter().map(|hertz| (TAU * hertz * t + hertz).sin()).sum();
        let loud = (TAU * 1.3 * t).sin().max(0.0) * (TAU * 0.21 * t).sin().max(0.0);
        let noise = (index * 2_654_435_761 % (1 << 32)) as f64 / 2_147_483_648.0 - 1.0;
        (0.12 * tones * loud + 0.003 * noise) as f32
    };
    (0..64_000).map(sample).collect()
}

fn recording(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("inference/recordings").join(name)).unwrap()
}

fn close(ours: &[f32], theirs: &[f32], tolerance: f32, what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let worst = ours.iter().zip(theirs).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
    println!("{what}: differs by at most {worst}");
    assert!(worst < tolerance, "{what}: {worst}");
}

fn matrix(ours: &[f32], width: usize, golden: &Matrix, tolerance: f32, what: &str) {
    let rows = ours.len() / width;
    let mean = |values: &mut dyn Iterator<Item = f32>, count: usize| {
        (values.map(f64::from).sum::<f64>() / count as f64) as f32
    };
    let each = (rows / 60).max(1);
    let by_row: Vec<f32> =
        ours.chunks(width).step_by(each).map(|row| mean(&mut row.iter().copied(), width)).collect();
    let by_column: Vec<f32> =
        (0..width).map(|column| mean(&mut ours.iter().skip(column).step_by(width).copied(), rows)).collect();
    let few: Vec<f32> = ours.iter().step_by(ours.len() / 200).copied().collect();
    close(&by_row, &golden.rows, tolerance, &format!("{what}, rows"));
    close(&by_column, &golden.columns, tolerance, &format!("{what}, columns"));
    close(&few, &golden.few, tolerance, &format!("{what}, some"));
}

#[test]
fn probabilities_of_speech_are_those_of_the_reference() {
    let samples = sound();
    let few: Vec<f32> = samples.iter().step_by(997).copied().collect();
    close(&few, &GOLDEN.samples, 2e-6, "the sound");
    let ours = DETECTOR.probabilities(&samples, &Interrupt::never()).unwrap();
    close(&ours, &GOLDEN.speech, 1e-4, "speech");
}

#[test]
fn features_encoding_and_logits_are_those_of_the_reference() {
    let features = TRANSCRIBER.features(&sound()).unwrap();
    matrix(&features, 80, &GOLDEN.features, 1e-3, "features");
    let encoded = TRANSCRIBER.encode(&features, &Interrupt::never()).unwrap();
    matrix(&encoded, 384, &GOLDEN.encoded, 2e-3, "encoded");
    let logits = TRANSCRIBER.first_logits(&encoded, &Interrupt::never()).unwrap();
    let few: Vec<f32> = logits.iter().step_by(300).copied().collect();
    close(&few, &GOLDEN.first.few, 5e-3, "logits");
    let mut best: Vec<usize> = (0..logits.len()).collect();
    best.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    assert_eq!(best[..5], GOLDEN.first.best);
}

#[test]
fn each_format_is_heard_alike() {
    let mut lengths = Vec::new();
    for name in ["sentence.wav", "sentence.flac", "sentence.mp3", "sentence.ogg"] {
        let found = DETECTOR.detect(&DetectSpeechRequest::new(recording(name)), &Interrupt::never()).unwrap();
        println!("{name}: {:?}", found.segments);
        let first = found.segments.first().unwrap_or_else(|| panic!("{name}: nobody speaks"));
        assert!(first.start < 0.5, "{name}: {first:?}");
        assert!(found.segments.is_sorted_by(|a, b| a.start < a.end && a.end <= b.start), "{name}");
        lengths.push(found.segments.last().unwrap().end);
        let reply =
            TRANSCRIBER.transcribe(&TranscribeRequest::new(recording(name)), &Interrupt::never()).unwrap();
        println!("{name}: {reply:?}");
        let text = reply.text.to_lowercase();
        // What a small model makes of a synthetic voice's first words differs by what the codec left of them.
        for word in ["cold today", "please bring a warm coat"] {
            assert!(text.contains(word), "{name}: {text}");
        }
        assert_eq!((reply.language.as_str(), reply.model.as_str()), ("en", "whisper-tiny.en"));
        let segments = reply.segments.unwrap();
        assert!(segments.iter().all(|part| part.start < part.end && part.end < 6.0), "{name}: {segments:?}");
    }
    assert!(lengths.iter().all(|end| (end - lengths[0]).abs() < 0.2), "{lengths:?}");
}

/// A WAV of 16 kHz.
fn wav(samples: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|sample| ((sample * 32767.0) as i16).to_le_bytes()).collect();
    let size = u32::try_from(data.len()).unwrap();
    let mut file = [b"RIFF", &(36 + size).to_le_bytes()[..], b"WAVEfmt \x10\0\0\0\x01\0\x01\0"].concat();
    file.extend([&16_000_u32.to_le_bytes()[..], &32_000_u32.to_le_bytes(), b"\x02\0\x10\0data"].concat());
    file.extend(size.to_le_bytes());
    file.extend(data);
    file
}

/// The samples of `sentence.wav`, which has 44 bytes before them, or some more of tags.
fn sentence() -> Vec<f32> {
    let file = recording("sentence.wav");
    let at = file.windows(4).position(|four| four == b"data").unwrap() + 8;
    file[at..].as_chunks::<2>().0.iter().map(|pair| f32::from(i16::from_le_bytes(*pair)) / 32768.0).collect()
}

#[test]
fn silence_is_silent_and_a_long_recording_is_whole() {
    let quiet = TRANSCRIBER
        .transcribe(&TranscribeRequest::new(wav(&vec![0.0; 5 * 16_000])), &Interrupt::never())
        .unwrap();
    assert_eq!((quiet.text.as_str(), quiet.segments.unwrap().len()), ("", 0));
    // 70 seconds: a sentence at the beginning, across the end of the first window, and after half a minute of silence.
    let mut samples = vec![0.0; 70 * 16_000];
    let sentence = sentence();
    for second in [1, 28, 62] {
        samples[second * 16_000..][..sentence.len()].copy_from_slice(&sentence);
    }
    let reply = TRANSCRIBER.transcribe(&TranscribeRequest::new(wav(&samples)), &Interrupt::never()).unwrap();
    println!("{reply:?}");
    let text = reply.text.to_lowercase();
    assert_eq!(text.matches("cold today").count(), 3, "{text}");
    assert_eq!(text.matches("coat").count(), 3, "{text}");
    let segments = reply.segments.unwrap();
    assert!(segments.is_sorted_by(|a, b| a.start <= b.start), "{segments:?}");
    let last = segments.iter().find(|part| part.start > 50.0).unwrap();
    assert!((61.0..63.5).contains(&last.start), "{last:?}");
}

#[test]
fn what_the_model_cannot_do_is_refused() {
    let refusal = |change: fn(&mut TranscribeRequest)| {
        let mut request = TranscribeRequest::new(recording("sentence.ogg"));
        change(&mut request);
        let error = TRANSCRIBER.transcribe(&request, &Interrupt::never()).unwrap_err();
        format!("{}: {error}", error.path().unwrap())
    };
    assert_eq!(
        refusal(|request| request.language = Some("de".into())),
        "language: the model knows English alone, not 'de'"
    );
    assert_eq!(
        refusal(|request| request.task = Some("translate".into())),
        "task: the model knows English alone and cannot translate"
    );
    assert_eq!(refusal(|request| request.temperature = Some(2.0)), "temperature: it is none of 0 to 1");
    assert_eq!(
        refusal(|request| request.audio = b"RIFFnoise".to_vec()),
        "audio: the file is no recording that is read here: send a WAV, FLAC, MP3 or OGG"
    );
    let mut plain = TranscribeRequest::new(recording("sentence.ogg"));
    (plain.timestamps, plain.language) = (false, Some("English".into()));
    let reply = TRANSCRIBER.transcribe(&plain, &Interrupt::never()).unwrap();
    let json = serde_json::to_value(&reply).unwrap();
    assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["language", "model", "text"]);
}

#[test]
fn an_interrupt_ends_the_work_between_layers_and_tokens() {
    LazyLock::force(&TRANSCRIBER);
    let request = TranscribeRequest::new(recording("sentence.wav"));
    let asked = Cell::new(0);
    let count = || {
        asked.set(asked.get() + 1);
        false
    };
    TRANSCRIBER.transcribe(&request, &Interrupt::when(&count)).unwrap();
    let all = asked.replace(0);
    // Wherever it comes, the next to be asked is the last.
    for after in [0, all / 10, all / 3, all / 2, all - 1] {
        asked.set(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > after
        };
        let stopped = TRANSCRIBER.transcribe(&request, &Interrupt::when(&stop)).unwrap_err();
        assert!(stopped.is_interrupted() && asked.get() == after + 1, "{after} of {all}: {stopped}");
    }
}
