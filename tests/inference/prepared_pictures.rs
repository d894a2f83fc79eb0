//! A prepared `EfficientNet-Lite0` against its own checkpoint.

use fdk_inference::verified::Mark;
use fdk_inference::{Assets, ImageClassifier, Interrupt, Precision, prepare};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const MODEL: &str = "efficientnet-lite0";
const CHECKPOINT: &str = "efficientnet-lite0-57934424.pth";

/// A copy of the model's folder, prepared.
fn prepared(precision: Precision) -> (TempDir, Assets) {
    let from = fdk_models::obtain(MODEL).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(MODEL)).unwrap();
    fs::copy(from.join("models.toml"), folder.path().join("models.toml")).unwrap();
    for file in [CHECKPOINT, "imagenet1k_label_to_names.json"] {
        let file = Path::new(MODEL).join(file);
        fs::copy(from.join(&file), folder.path().join(&file)).unwrap();
    }
    let files = Assets::locate(&from, Some(MODEL)).unwrap().model().files.clone();
    Mark::write(&folder.path().join(MODEL), &files).unwrap();
    let assets = open(&folder);
    assert_eq!(prepare(&assets, precision).unwrap().unwrap().replaced, [CHECKPOINT]);
    (folder, assets)
}

fn open(folder: &TempDir) -> Assets {
    Assets::open(folder.path(), Some(MODEL)).unwrap()
}

fn fact(assets: &Assets, name: &str) -> String {
    let facts = assets.timings().facts();
    facts.into_iter().find(|(fact, _)| *fact == name).map_or_else(String::new, |(_, value)| value)
}

/// The raw scores of the test's pictures, each as it is and moved around in its frame.
fn logits(assets: &Assets) -> Vec<Vec<f32>> {
    let model = ImageClassifier::open(assets.clone()).unwrap();
    let pictures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("inference/pictures");
    let mut all = Vec::new();
    for picture in ["cat.jpg", "coffee.webp", "pattern.png"] {
        let pixels = model.pixels(&fs::read(pictures.join(picture)).unwrap()).unwrap();
        for by in (0..224).step_by(56) {
            let mut moved = pixels.clone();
            moved.rotate_left(by * 224 * 3);
            moved.chunks_exact_mut(224 * 3).for_each(|row| row.rotate_left(by * 3));
            all.push(model.logits(&moved, &Interrupt::never()).unwrap());
        }
    }
    all
}

/// The likeliest class, by how much the next is less likely, and the class's share.
fn likeliest(logits: &[f32]) -> (usize, f32, f32) {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    let most = logits[order[0]];
    let sum: f32 = logits.iter().map(|x| (x - most).exp()).sum();
    (order[0], most - logits[order[1]], sum.recip())
}

#[test]
fn scores_are_those_of_the_checkpoint() {
    let original = Assets::open(&fdk_models::obtain(MODEL).unwrap(), Some(MODEL)).unwrap();
    let exact = logits(&original);
    assert!(fact(&original, "prepared").starts_with("no: run `cargo fdk assets prepare efficientnet-lite0`"));
    for (precision, name) in [(Precision::F32, "f32"), (Precision::F16, "f16"), (Precision::Int8, "f16")] {
        let (folder, _) = prepared(precision);
        fs::remove_file(folder.path().join(MODEL).join(CHECKPOINT)).unwrap();
        let assets = open(&folder);
        assert_eq!(prepare(&assets, precision).unwrap(), None, "what it is made of is gone");
        let found = logits(&assets);
        assert_eq!(fact(&assets, "prepared"), name);
        assert!(assets.timings().phases().iter().all(|(phase, _)| *phase != "hash" && *phase != "pack"));
        if precision == Precision::F32 {
            assert!(found == exact, "the tables are the same");
            continue;
        }
        let (mut farthest, mut worst) = (0.0_f32, 0.0_f32);
        for (found, exact) in found.iter().zip(&exact) {
            let ((class, _, share), (expected, lead, other)) = (likeliest(found), likeliest(exact));
            assert!(class == expected || lead < 0.1, "{name}: {class} is not {expected}, {lead} ahead");
            let size = exact.iter().fold(0.0, |size: f32, x| size.max(x.abs()));
            let apart = found.iter().zip(exact).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            farthest = farthest.max(apart / size);
            worst = worst.max((share - other).abs());
        }
        println!(
            "{name}: raw scores differ by {farthest} of the largest, the likeliest class's share by {worst}"
        );
        assert!(farthest < 0.03 && worst < 0.03, "{name}: {farthest} {worst}");
    }
}

#[test]
fn a_file_that_is_not_this_models_is_passed_over_or_refused_with_the_remedy() {
    let (folder, assets) = prepared(Precision::F16);
    let path = assets.path(fdk_inference::prepared::FILE_NAME);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    fs::remove_file(folder.path().join(MODEL).join(".verified")).unwrap();
    let assets = open(&folder);
    assert!(!logits(&assets).is_empty());
    assert!(fact(&assets, "prepared").starts_with("no: run "), "{assets:?}");
    fs::remove_file(assets.path(CHECKPOINT)).unwrap();
    let refused = Assets::open(folder.path(), Some(MODEL)).and_then(ImageClassifier::open).unwrap_err();
    assert!(refused.is_assets(), "{refused}");
    let refused = refused.to_string();
    assert!(refused.ends_with("run `cargo fdk assets prepare efficientnet-lite0`"), "{refused}");
}
