//! A prepared file of each kind, changed and sealed anew: its task refuses it in one line, or answers.
//!
//! The input's first line names the model. Each line after it changes the file: `/about/x = 7` what the header says there, in
//! JSON; `4096 = 00ff` the bytes from there on, in hex.

use crate::prepared::seal;
use crate::{assert_one_line, folder_for, small_decoder};
use fdk_inference::{
    Assets, Classifier, ClassifyImageRequest, ClassifyRequest, EmbedRequest, Embedder, Error,
    GenerateRequest, GenerateSettings, Generator, ImageClassifier, Interrupt, Precision, RerankRequest,
    Reranker, Tagger, TokensRequest,
};
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

const CHECKPOINTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../inference/checkpoints");
const PICTURE: &[u8] = include_bytes!("../../inference/pictures/pattern.png");
const FILE: &str = "model.prepared";
/// Where the tables begin is a multiple of this.
const PAGE: usize = 4096;
/// Before the header.
const FIXED: usize = 48;

type Run = fn(Assets) -> Result<(), Error>;

/// A model that is prepared, as its file was written.
struct Model {
    above: PathBuf,
    file: Vec<u8>,
    run: Run,
}

/// A model, made when an input first names it.
fn model(name: &str) -> Option<&'static Model> {
    static MOOD: LazyLock<Model> = LazyLock::new(|| checkpoint("mood", embed));
    static TOPIC: LazyLock<Model> = LazyLock::new(|| checkpoint("topic", classify));
    static NAMES: LazyLock<Model> = LazyLock::new(|| checkpoint("names", tag));
    static CROSS: LazyLock<Model> = LazyLock::new(|| checkpoint("cross", rerank));
    static DECODER: LazyLock<Model> = LazyLock::new(decoder);
    static PICTURES: LazyLock<Model> = LazyLock::new(pictures);
    Some(match name {
        "mood" => &MOOD,
        "topic" => &TOPIC,
        "names" => &NAMES,
        "cross" => &CROSS,
        "decoder" if cfg!(target_arch = "x86_64") => &DECODER,
        "pictures" => &PICTURES,
        _ => return None,
    })
}

fn never() -> Interrupt<'static> {
    Interrupt::never()
}

fn embed(assets: Assets) -> Result<(), Error> {
    Embedder::open(assets)?.embed(&EmbedRequest::new(["a", "the cat sat"]), &never()).map(drop)
}

fn classify(assets: Assets) -> Result<(), Error> {
    Classifier::open(assets)?.classify(&ClassifyRequest::new(["a"]), &never()).map(drop)
}

fn tag(assets: Assets) -> Result<(), Error> {
    Tagger::open(assets)?.tokens(&TokensRequest::new(["the cat sat"]), &never()).map(drop)
}

fn rerank(assets: Assets) -> Result<(), Error> {
    Reranker::open(assets)?.rerank(&RerankRequest::new("a", ["the cat", ""]), &never()).map(drop)
}

fn generate(assets: Assets) -> Result<(), Error> {
    let model = Generator::open_with(assets, &GenerateSettings::default().context(64))?;
    model.generate(&GenerateRequest::prompt("he").max_tokens(2), &never()).map(drop)
}

fn see(assets: Assets) -> Result<(), Error> {
    ImageClassifier::open(assets)?.classify(&ClassifyImageRequest::new(PICTURE), &never()).map(drop)
}

/// A folder that has a checkpoint's prepared file in place of what it stands for.
fn checkpoint(name: &str, run: Run) -> Model {
    let above = folder_for(name);
    for entry in fs::read_dir(Path::new(CHECKPOINTS).join(name)).expect("a checkpoint") {
        let entry = entry.expect("a file");
        fs::copy(entry.path(), above.join("m").join(entry.file_name())).expect("room for a file");
    }
    prepare(above, "m", run)
}

fn decoder() -> Model {
    let above = folder_for("prepared-decoder");
    fs::write(above.join("m/model.gguf"), small_decoder::gguf(Map::new())).expect("room for a file");
    prepare(above, "m", generate)
}

/// The real one: there is no smaller of its shape.
fn pictures() -> Model {
    let name = "efficientnet-lite0";
    let from = fdk_models::obtain(name).expect("the model");
    let above = folder_for("pictures");
    fs::copy(from.join("models.toml"), above.join("models.toml")).expect("room for a file");
    fs::create_dir_all(above.join(name)).expect("a folder");
    for file in
        Assets::open(&from, Some(name)).expect("the model").model().files.iter().map(|file| &file.path)
    {
        fs::copy(from.join(name).join(file), above.join(name).join(file)).expect("room for a file");
    }
    let model = prepare(above, name, see);
    // Without its entry nothing but the file itself is believed.
    fs::remove_file(model.above.join("models.toml")).expect("the manifest");
    fs::remove_dir_all(model.above.join("m")).expect("an empty folder");
    fs::rename(model.above.join(name), model.above.join("m")).expect("a folder");
    model
}

fn prepare(above: PathBuf, name: &str, run: Run) -> Model {
    let assets = Assets::open(&above, Some(name)).expect("a model");
    let report = fdk_inference::prepare(&assets, Precision::F16).expect("a model that can be prepared");
    let report = report.expect("a model of a kind that is prepared");
    for file in &report.replaced {
        fs::remove_file(above.join(name).join(file)).expect("it was there");
    }
    Model { file: fs::read(report.path).expect("a prepared file"), above, run }
}

/// Takes an input through; one that is no text, or names no model, is none.
pub fn run(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let mut lines = input.lines();
    let Some(model) = lines.next().and_then(model) else { return };
    let length = u64::from_le_bytes(model.file[8..16].try_into().expect("eight bytes"));
    let end = FIXED + usize::try_from(length).expect("a length");
    let mut header: Value = serde_json::from_slice(&model.file[FIXED..end]).expect("a header");
    let begins = end.next_multiple_of(PAGE);
    let mut content = model.file[begins..].to_vec();
    for (place, new) in lines.filter_map(|line| line.split_once(" = ")) {
        if let Ok(at) = place.parse::<usize>() {
            for (byte, new) in content.iter_mut().skip(at.saturating_sub(begins)).zip(bytes(new)) {
                *byte = new;
            }
        } else if let Ok(new) = serde_json::from_str(new)
            && let Some(value) = header.pointer_mut(place)
        {
            *value = new;
        }
    }
    let Some(file) = seal(header, begins - FIXED, &content) else { return };
    fs::write(model.above.join("m").join(FILE), file).expect("room for a file");
    if let Err(error) = Assets::open(&model.above, Some("m")).and_then(model.run) {
        assert_one_line(&error.to_string());
    }
}

fn bytes(hex: &str) -> impl Iterator<Item = u8> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    hex.as_bytes()
        .as_chunks::<2>()
        .0
        .iter()
        .map_while(move |[high, low]| Some(digit(high)? << 4 | digit(low)?))
}
