//! Any folder of a model: it is served, or refused in one line. The input is a `config.json`, a blank line, and the weights as
//! safetensors; or, after the blank line, a GGUF file.

use crate::{assert_one_line, folder_for};
use fdk_inference::{
    Assets, Classifier, EmbedRequest, Embedder, Error, GenerateRequest, GenerateSettings, Generator,
    Interrupt, Tagger,
};
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

const TOKENIZER: &[u8] = include_bytes!("../../inference/checkpoints/names/tokenizer.json");

/// The folder above that of the model.
static ABOVE: LazyLock<PathBuf> = LazyLock::new(|| folder_for("folder"));

fn refused(outcome: Result<(), Error>) {
    if let Err(error) = outcome {
        assert_one_line(&error.to_string());
    }
}

/// Takes an input through.
pub fn run(input: &[u8]) {
    let (config, weights) = crate::split_head(input);
    let folder = ABOVE.join("m");
    let write = |name: &str, content: &[u8]| fs::write(folder.join(name), content).expect("room for a file");
    let assets = || Assets::open(&ABOVE, Some("m"));
    if weights.starts_with(b"GGUF") {
        let _ = fs::remove_file(folder.join("model.safetensors"));
        let _ = fs::remove_file(folder.join("config.json"));
        write("model.gguf", weights);
        let settings = GenerateSettings::default().context(64);
        refused(assets().and_then(|assets| Generator::open_with(assets, &settings)).and_then(|model| {
            model.generate(&GenerateRequest::prompt("a").max_tokens(2), &Interrupt::never()).map(drop)
        }));
    } else {
        let _ = fs::remove_file(folder.join("model.gguf"));
        write("config.json", config);
        write("model.safetensors", weights);
        write("tokenizer.json", TOKENIZER);
        refused(
            assets()
                .and_then(Embedder::open)
                .and_then(|model| model.embed(&EmbedRequest::new(["a"]), &Interrupt::never()).map(drop)),
        );
        refused(assets().and_then(Classifier::open).map(drop));
        refused(assets().and_then(Tagger::open).map(drop));
    }
}
