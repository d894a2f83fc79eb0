//! A prepared MiniLM against its own files, the golden values, and the `tokenizers` crate.

use crate::{cosine, golden};
use fdk_inference::verified::Mark;
use fdk_inference::{
    Assets, Classifier, ClassifyRequest, EmbedRequest, Embedder, Interrupt, Precision, Tokenizer, prepare,
};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A copy of the model's folder, prepared; with `only`, without what the prepared file stands for.
fn prepared(precision: Precision, only: bool) -> (TempDir, Assets) {
    let from = crate::assets();
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("minilm");
    for file in &from.model().files {
        let to = model.join(&file.path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from.path(&file.path), to).unwrap();
    }
    let manifest = fdk_models::obtain("minilm").unwrap().join("models.toml");
    fs::copy(manifest, folder.path().join("models.toml")).unwrap();
    Mark::write(&model, &from.model().files).unwrap();
    let assets = Assets::open(folder.path(), Some("minilm")).unwrap();
    let report = prepare(&assets, precision).unwrap().unwrap();
    assert_eq!(report.replaced, ["model.safetensors", "tokenizer.json"]);
    for file in report.replaced.iter().filter(|_| only) {
        fs::remove_file(assets.path(file)).unwrap();
    }
    let assets = Assets::open(folder.path(), Some("minilm")).unwrap();
    (folder, assets)
}

fn fact(assets: &Assets, name: &str) -> String {
    assets
        .timings()
        .facts()
        .into_iter()
        .find(|(fact, _)| *fact == name)
        .map_or_else(String::new, |(_, value)| value)
}

/// Writes a file in another second than it was written before, so that the mark does not vouch for it.
fn write_later(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    fs::File::options().write(true).open(path).unwrap().set_modified(later).unwrap();
}

#[test]
fn vectors_are_the_references_without_the_original_files() {
    let cases = golden(include_str!("golden/minilm.json"));
    for (precision, least) in [(Precision::F16, 0.9999), (Precision::Int8, 0.999)] {
        let (_folder, assets) = prepared(precision, true);
        let model = Embedder::open(assets.clone()).unwrap();
        let texts = cases.iter().map(|case| &*case.text);
        let reply = model.embed(&EmbedRequest::new(texts), &Interrupt::never()).unwrap();
        for (case, vector) in cases.iter().zip(&reply.embeddings) {
            let cosine = cosine(vector, &case.embedding);
            // Texts of nothing, or of one letter, lie where eight bits tell least.
            let dull = precision == Precision::Int8
                && (case.text.trim().is_empty() || case.text.chars().all(|character| character == 'x'));
            let least = if dull { 0.998 } else { least };
            assert!(cosine >= least, "{precision:?} {:?}: {cosine}", case.text);
        }
        assert_eq!(fact(&assets, "prepared"), precision.name());
        assert!(fact(&assets, "kernels").starts_with("fused, "), "{}", fact(&assets, "kernels"));
        assert!(assets.timings().phases().iter().all(|(phase, _)| *phase != "hash" && *phase != "pack"));
        // Nothing of it is copied to the heap: it fits where the original does not.
        assert!(assets.check_memory(128 * 1024 * 1024).is_ok(), "{}", assets.memory_needed());
    }
}

#[test]
fn ids_are_the_references_and_the_crates() {
    let (_folder, assets) = prepared(Precision::Int8, false);
    let ours = Tokenizer::open(&assets).unwrap();
    let mut theirs = tokenizers::Tokenizer::from_file(assets.path("tokenizer.json")).unwrap();
    theirs.with_padding(None).with_truncation(None).unwrap();
    let mut cases = golden(include_str!("golden/minilm.json"));
    cases.extend(golden(include_str!("golden/tokens.json")));
    assert!(cases.len() > 1000);
    for case in &cases {
        assert_eq!(ours.encode(&case.text).unwrap(), case.ids, "{:?}", case.text);
    }
    // Mixed scripts: pieces of the cases' texts beside each other.
    let pieces: Vec<String> = cases.iter().map(|case| case.text.chars().take(40).collect()).collect();
    for number in 0..2000 {
        let text: String =
            [1, 7, 31].iter().map(|step| pieces[(number * step + step) % pieces.len()].as_str()).collect();
        let expected = theirs.encode(text.as_str(), true).unwrap();
        if expected.len() <= ours.limit() {
            assert_eq!(ours.encode(&text).unwrap(), expected.get_ids(), "{text:?}");
        }
    }
}

#[test]
fn a_file_that_is_not_this_models_is_passed_over_or_refused_with_the_remedy() {
    let (folder, assets) = prepared(Precision::Int8, false);
    let path = assets.path(fdk_inference::prepared::FILE_NAME);
    let spoil = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        write_later(path, &bytes);
    };
    spoil(&path);
    let model = Embedder::open(assets.clone()).unwrap();
    assert_eq!(model.embed(&EmbedRequest::new(["a"]), &Interrupt::never()).unwrap().embeddings[0].len(), 384);
    assert!(fact(&assets, "prepared").starts_with("no: run `cargo fdk assets prepare minilm`"));
    fs::remove_file(assets.path("model.safetensors")).unwrap();
    let assets = Assets::open(folder.path(), Some("minilm")).unwrap();
    let refused = Embedder::open(assets).unwrap_err();
    assert!(refused.is_assets(), "{refused}");
    let message = refused.to_string();
    assert!(
        message.contains("its content has sha256 ")
            && message.ends_with("run `cargo fdk assets prepare minilm`"),
        "{message}"
    );
    fs::write(&path, b"FDKMODEL").unwrap();
    let absent = Assets::open(folder.path(), Some("minilm")).unwrap_err().to_string();
    assert!(absent.ends_with("run `cargo fdk assets fetch minilm`"), "{absent}");
}

#[test]
fn a_folder_without_an_entry_is_held_against_what_its_prepared_file_was_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("mood");
    fs::create_dir(&model).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("inference/checkpoints/mood");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(from.join(file), model.join(file)).unwrap();
    }
    fs::write(model.join("README.md"), "what nothing is made of").unwrap();
    let open = || Assets::open(folder.path(), Some("mood")).unwrap();
    // The labels' scores, what was used, and whether anything was read only to be hashed.
    let served = || {
        let assets = open();
        let classifier = Classifier::open(assets.clone()).unwrap();
        let request = ClassifyRequest::new(["the sun rose near rome"]);
        let mut labels =
            classifier.classify(&request, &Interrupt::never()).unwrap().predictions.swap_remove(0);
        labels.sort_by_key(|one| one.label.clone());
        let scores: Vec<f32> = labels.iter().map(|one| one.score).collect();
        let hashed = assets.timings().phases().iter().any(|(phase, _)| *phase == "hash");
        (scores, fact(&assets, "prepared"), hashed)
    };
    let differ =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) > 1e-4;
    let is_passed_over = |used: &str| used.starts_with("no: run `cargo fdk assets prepare mood`");

    let (old, used, _) = served();
    assert!(is_passed_over(&used), "{used}");
    let mut replaced = prepare(&open(), Precision::F32).unwrap().unwrap().replaced;
    replaced.sort_unstable();
    assert_eq!(replaced, ["model.safetensors", "tokenizer.json"]);
    let (scores, used, hashed) = served();
    assert!(!differ(&scores, &old) && used == "f32" && !hashed, "the mark vouches for it: {used}");
    fs::write(model.join("README.md"), "and is no matter").unwrap();
    assert_eq!(served().1, "f32");

    // Trained again: every number's sign is another, and the file is as long as it was.
    let weights = model.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let header = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    for number in bytes[8 + header..].chunks_exact_mut(4) {
        number[3] ^= 0x80;
    }
    write_later(&weights, &bytes);
    let (new, used, _) = served();
    assert!(is_passed_over(&used), "{used}");
    assert!(differ(&new, &old), "{new:?}");

    prepare(&open(), Precision::F32).unwrap().unwrap();
    let (scores, used, hashed) = served();
    assert!(!differ(&scores, &new) && used == "f32" && !hashed, "{used}");
    fs::remove_file(model.join(".verified")).unwrap();
    let (_, used, hashed) = served();
    assert!(used == "f32" && hashed, "without a mark it is read again: {used}");
    for file in &replaced {
        fs::remove_file(model.join(file)).unwrap();
    }
    let (scores, used, _) = served();
    assert!(!differ(&scores, &new) && used == "f32", "nothing is there to hold it against: {used}");

    // And what is there, and another, is told with the remedy.
    let config = fs::read_to_string(model.join("config.json")).unwrap().replace("good", "fine");
    write_later(&model.join("config.json"), config.as_bytes());
    let refused = Classifier::open(open()).unwrap_err().to_string();
    assert!(
        refused.ends_with("it was made of another config.json; run `cargo fdk assets prepare mood`"),
        "{refused}"
    );
}
