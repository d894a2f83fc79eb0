//! Qwen 2 and 3, on small seeded checkpoints: `reference/qwen.py` made them and computed what follows.

use fdk_inference::{Assets, DecoderPrecision, GenerateRequest, GenerateSettings, Generator, Interrupt};
use serde_json::Value;
use std::path::Path;

#[test]
fn numbers_equal_the_reference() {
    let golden: Value = serde_json::from_str(include_str!("golden/qwen.json")).unwrap();
    let checkpoints = Path::new(env!("CARGO_MANIFEST_DIR")).join("inference/checkpoints");
    let request = GenerateRequest::prompt(golden["prompt"].as_str().unwrap());
    for name in ["qwen2", "qwen3", "qwen2-q8_0", "qwen3-q8_0"] {
        let wanted: Vec<f32> = serde_json::from_value(golden[name].clone()).unwrap();
        let largest = wanted.iter().map(|logit| logit.abs()).fold(0.0, f32::max);
        for precision in [DecoderPrecision::Full, DecoderPrecision::Quantised] {
            let assets = Assets::open(&checkpoints, Some(name)).unwrap();
            let settings = GenerateSettings::default().precision(precision);
            let model = Generator::open_with(assets, &settings).unwrap();
            assert_eq!(serde_json::to_value(model.ids(&request).unwrap()).unwrap(), golden["ids"]);
            let logits = model.logits(&request, &Interrupt::never()).unwrap();
            assert_eq!(logits.len(), wanted.len());
            let worst = logits.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            println!("{name} {precision:?}: {worst} of {largest}");
            // With weights in blocks, what they are multiplied with is rounded to eight bits as well.
            let rounded = name.ends_with("q8_0") && precision == DecoderPrecision::Quantised;
            assert!(worst < if rounded { 0.05 * largest } else { 2e-3 }, "{name} {precision:?}: {worst}");
        }
    }
}
