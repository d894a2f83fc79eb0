//! A decoder of a few thousand weights, whose GGUF has the metadata that an input says.

use crate::{assert_one_line, folder_for};
use fdk_inference::gguf::{Gguf, Value as Known};
use fdk_inference::{Assets, Error, GenerateSettings, Generator};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Its weights are those of this one, less the biases, which the architecture `llama` has not.
const WEIGHTS: &[u8] = include_bytes!("../../inference/checkpoints/qwen2-q8_0/model.gguf");
const TOKENIZER: [&str; 6] = ["model", "pre", "tokens", "token_type", "merges", "eos_token_id"];
const ALIGNMENT: usize = 32;

/// Its own metadata.
static METADATA: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut metadata = json!({
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.context_length": 512,
        "llama.embedding_length": 32,
        "llama.feed_forward_length": 64,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-6,
    });
    let weights = Gguf::parse(WEIGHTS).expect("a model");
    for key in TOKENIZER.map(|key| format!("tokenizer.ggml.{key}")) {
        metadata[&key] = value(weights.get(&key).expect("a tokenizer"));
    }
    metadata.as_object().cloned().expect("an object")
});

fn value(known: Known<'_>) -> Value {
    match known {
        Known::Unsigned(number) => number.into(),
        Known::Signed(number) => number.into(),
        Known::Float(number) => number.into(),
        Known::Bool(truth) => truth.into(),
        Known::Text(text) => text.into(),
        Known::List(list) => list.iter().map(value).collect(),
        _ => Value::Null,
    }
}

/// Its own tokens.
pub fn tokens() -> &'static [Value] {
    METADATA["tokenizer.ggml.tokens"].as_array().map_or(&[], Vec::as_slice)
}

/// Its file, with these entries in place of its own; one that is null is left out.
pub fn gguf(entries: Map<String, Value>) -> Vec<u8> {
    let weights = Gguf::parse(WEIGHTS).expect("a model");
    let tensors: Vec<_> = weights
        .tensors()
        .filter(|(name, _)| name.rsplit_once('.').is_none_or(|(_, part)| part != "bias"))
        .collect();
    let mut metadata = METADATA.clone();
    metadata.extend(entries);
    let metadata: Vec<_> = metadata.iter().filter_map(|(key, value)| Some((key, entry(value)?))).collect();

    let (mut file, mut data) = (b"GGUF".to_vec(), Vec::new());
    file.extend(3_u32.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((metadata.len() as u64).to_le_bytes());
    for (key, (kind, bytes)) in metadata {
        file.extend(text(key));
        file.extend(kind.to_le_bytes());
        file.extend(bytes);
    }
    for (name, tensor) in tensors {
        let sides = tensor.dimensions();
        file.extend(text(name));
        file.extend(u32::try_from(sides.len()).expect("few sides").to_le_bytes());
        file.extend(sides.iter().rev().flat_map(|side| (*side as u64).to_le_bytes()));
        // F32 or Q8_0.
        let kind: u32 = if tensor.bytes().len() == tensor.numbers() * 4 { 0 } else { 8 };
        file.extend(kind.to_le_bytes());
        file.extend((data.len() as u64).to_le_bytes());
        data.extend(tensor.bytes());
        data.resize(data.len().next_multiple_of(ALIGNMENT), 0);
    }
    file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
    [file, data].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// A value's kind and bytes; none of an object, nor of a list with anything but texts or numbers of the first one's kind.
fn entry(value: &Value) -> Option<(u32, Vec<u8>)> {
    Some(match value {
        Value::Null | Value::Object(_) => return None,
        Value::Bool(truth) => (7, vec![u8::from(*truth)]),
        Value::String(string) => (8, text(string)),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => (10, number.to_le_bytes().to_vec()),
            (None, Some(number)) => (11, number.to_le_bytes().to_vec()),
            (None, None) => (12, number.as_f64()?.to_le_bytes().to_vec()),
        },
        Value::Array(values) => {
            let entries: Vec<_> = values.iter().map(entry).collect::<Option<_>>()?;
            // An empty list is one of texts.
            let kind = entries.first().map_or(8, |(kind, _)| *kind);
            if kind == 9 || entries.iter().any(|(other, _)| *other != kind) {
                return None;
            }
            let mut bytes = kind.to_le_bytes().to_vec();
            bytes.extend((entries.len() as u64).to_le_bytes());
            bytes.extend(entries.into_iter().flat_map(|(_, bytes)| bytes));
            (9, bytes)
        }
    })
}

/// The folder above the model's.
static ABOVE: LazyLock<PathBuf> = LazyLock::new(|| folder_for("decoder"));

/// Opens the model of such a file, and does something with it: what is refused is refused in one line.
pub fn with(file: &[u8], what: impl FnOnce(&Generator) -> Result<(), Error>) {
    let above: &Path = &ABOVE;
    std::fs::write(above.join("m/model.gguf"), file).expect("room for a file");
    let settings = GenerateSettings::default().context(64);
    let model = Assets::open(above, Some("m")).and_then(|assets| Generator::open_with(assets, &settings));
    if let Err(error) = model.and_then(|model| what(&model)) {
        assert_one_line(&error.to_string());
    }
}
