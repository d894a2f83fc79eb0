//! The largest requests that are allowed.

use bytes::Bytes;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use workspace_tests::not_run::is_nightly;

/// What a request may have, and a text of one.
const BODY: usize = 6 * 1024 * 1024;
const TEXT: usize = 256 * 1024;

fn body(value: &Value) -> Bytes {
    value.to_string().into()
}

/// The longest texts, at night as many as a body holds, and as many texts as a request may have. Each letter and each full stop
/// between letters is a token by itself.
pub(super) fn texts(field: &str, beside: &Value) -> Vec<Bytes> {
    let longest = vec!["a.".repeat(TEXT / 2); if is_nightly() { BODY / TEXT - 1 } else { 3 }];
    let most = vec!["a"; 4096];
    let ask = |texts: Value| {
        let mut ask = beside.clone();
        ask[field] = texts;
        body(&ask)
    };
    vec![ask(json!(longest)), ask(json!(most))]
}

/// The longest text, which is too long for the context; a prompt that fills it, of a token for each letter; and one held to
/// a schema.
pub(super) fn prompts(context: usize) -> Vec<Bytes> {
    let of = |letters: usize| "a1".repeat(letters / 2);
    let schema = json!({"properties": {"a": {"type": "string", "maxLength": 4}}, "required": ["a"]});
    vec![
        body(&json!({"prompt": of(TEXT)})),
        body(&json!({"prompt": of(context - 16), "max_tokens": 12, "temperature": 0.8, "top_p": 0.9})),
        body(&json!({"prompt": of(64), "max_tokens": 12, "schema": schema})),
    ]
}

/// A PNG of the widest kind, four channels of 16 bits, with as many pixels as take the 9 bytes for each of the 4096 × 4096 that a
/// picture may have; as a file of the largest size: what follows its end is not looked at.
pub(super) fn picture() -> Bytes {
    const WIDTH: u32 = 4096;
    const HEIGHT: u32 = WIDTH * 9 / (4 * 2 + 3);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8], data: &[u8]| {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(data);
        file.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        file.extend(kind);
        file.extend(data);
        file.extend(crc.sum().to_be_bytes());
    };
    chunk(b"IHDR", &[&WIDTH.to_be_bytes()[..], &HEIGHT.to_be_bytes(), &[16, 6, 0, 0, 0]].concat());
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::fast());
    let row = vec![0; 1 + WIDTH as usize * 8];
    (0..HEIGHT).for_each(|_| pixels.write_all(&row).unwrap());
    chunk(b"IDAT", &pixels.finish().unwrap());
    chunk(b"IEND", &[]);
    file.resize(BODY, 0);
    file.into()
}

/// A FLAC of half an hour, a sentence and then silence, as a file of the largest size.
pub(super) fn recording(sentence: &Path) -> Bytes {
    const SAMPLES: usize = 30 * 60 * 16_000;
    /// Samples of a frame, as its header has them: 256 × 2 to the power of 15 − 8.
    const FRAME: usize = 32_768;
    let wav = std::fs::read(sentence).unwrap();
    let data = wav.windows(4).position(|four| four == b"data").unwrap() + 8;
    let spoken = &wav[data..];
    let mut frames = Vec::new();
    for (number, first) in (0..SAMPLES - SAMPLES % FRAME).step_by(FRAME).enumerate() {
        let mut frame = vec![0xff, 0xf8, 0xf5, 0x08];
        // The number as UTF-8 has it.
        let mut letter = [0; 4];
        frame
            .extend(char::from_u32(u32::try_from(number).unwrap()).unwrap().encode_utf8(&mut letter).bytes());
        frame.push(
            frame.iter().fold(0_u8, |crc, byte| check(u16::from(crc ^ byte) << 8, 0x0700).to_be_bytes()[0]),
        );
        match spoken.get(2 * first..2 * (first + FRAME)) {
            Some(samples) => {
                frame.push(0x02);
                frame.extend(samples.chunks_exact(2).flat_map(|sample| [sample[1], sample[0]]));
            }
            None => frame.extend([0, 0, 0]),
        }
        let sum = frame.iter().fold(0_u16, |crc, byte| check(crc ^ (u16::from(*byte) << 8), 0x8005));
        frame.extend(sum.to_be_bytes());
        frames.extend(frame);
    }
    let mut information = vec![0; 34];
    information[..4].copy_from_slice(&[0x80, 0, 0x80, 0]);
    // The rate in 20 bits, one channel in 3, 16 bits in 5, the samples in 36.
    let rest = 16_000_u64 << 44 | 15 << 36 | (SAMPLES - SAMPLES % FRAME) as u64;
    information[10..18].copy_from_slice(&rest.to_be_bytes());
    let padding = BODY - 4 - 4 - information.len() - 4 - frames.len();
    let mut file = b"fLaC\0\0\0\x22".to_vec();
    file.extend(information);
    file.push(0x81);
    file.extend(&u32::try_from(padding).unwrap().to_be_bytes()[1..]);
    file.resize(file.len() + padding, 0);
    file.extend(frames);
    assert_eq!(file.len(), BODY);
    file.into()
}

/// Eight steps of a checksum of 16 bits.
fn check(start: u16, polynomial: u16) -> u16 {
    (0..8).fold(start, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ polynomial })
}
