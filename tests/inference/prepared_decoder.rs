//! A prepared `SmolLM2` against its own GGUF.

use fdk_inference::{
    Assets, DecoderPrecision, GenerateRequest, GenerateSettings, Generator, Interrupt, Precision, prepare,
};
use std::fs;
use tempfile::TempDir;

const GGUF: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// A copy of the model's folder, prepared, without the GGUF.
fn prepared() -> (TempDir, Assets) {
    let from = fdk_models::obtain("smollm2").unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("smollm2")).unwrap();
    for file in ["models.toml", "smollm2/.verified"] {
        fs::copy(from.join(file), folder.path().join(file)).unwrap();
    }
    let gguf = folder.path().join("smollm2").join(GGUF);
    std::os::unix::fs::symlink(from.join("smollm2").join(GGUF), &gguf).unwrap();
    let assets = Assets::open(folder.path(), Some("smollm2")).unwrap();
    let report = prepare(&assets, Precision::F16).unwrap().unwrap();
    assert_eq!(report.replaced, [GGUF]);
    fs::remove_file(gguf).unwrap();
    let assets = Assets::open(folder.path(), Some("smollm2")).unwrap();
    (folder, assets)
}

#[test]
fn a_prepared_decoder_says_what_its_gguf_says() {
    let original = Assets::open(&fdk_models::obtain("smollm2").unwrap(), Some("smollm2")).unwrap();
    let (folder, assets) = prepared();
    assert_eq!(assets.memory_needed(), original.memory_needed());
    let request = GenerateRequest::chat("Which of the two came first, the hen or the egg?");
    let logits = |assets: &Assets, precision: DecoderPrecision| {
        let settings = GenerateSettings::default().precision(precision).context(512);
        let model = Generator::open_with(assets.clone(), &settings).unwrap();
        (model.ids(&request).unwrap(), model.logits(&request, &Interrupt::never()).unwrap())
    };
    // In place on the kernels; and on candle, for which the GGUF is made anew from it.
    for precision in [DecoderPrecision::Quantised, DecoderPrecision::Full] {
        assert!(logits(&assets, precision) == logits(&original, precision), "{precision:?}");
    }
    if std::env::consts::ARCH == "x86_64" {
        let facts = assets.timings().facts();
        assert!(facts.iter().any(|(name, value)| *name == "prepared" && value == "q4_1"), "{facts:?}");
        assert!(assets.timings().phases().iter().all(|(phase, _)| *phase != "hash"), "{assets:?}");
    }

    // What is not what its header says is refused, with the remedy.
    let path = folder.path().join("smollm2/model.prepared");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    fs::remove_file(folder.path().join("smollm2/.verified")).unwrap();
    let refused =
        Assets::open(folder.path(), Some("smollm2")).and_then(Generator::open).unwrap_err().to_string();
    assert!(refused.contains("run `cargo fdk assets prepare smollm2`"), "{refused}");
}
