//! `classify_image` against an independent reference: `reference/pictures.py` goes from the file to the logits in numpy and
//! Pillow.

use fdk_inference::{Assets, ClassifyImageRequest, ImageClassifier, Interrupt};
use serde::Deserialize;
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

#[derive(Deserialize)]
struct Golden {
    /// Of pixels that a formula makes.
    formula: Vec<f32>,
    pictures: Vec<Picture>,
}

#[derive(Deserialize)]
struct Picture {
    file: String,
    /// Of each colour, over the square that the model sees.
    mean: [f64; 3],
    corner: [u8; 3],
    centre: [u8; 3],
    logits: Vec<f32>,
    top: Vec<usize>,
    scores: Vec<f32>,
}

static MODEL: LazyLock<ImageClassifier> = LazyLock::new(|| {
    let folder = fdk_models::obtain("efficientnet-lite0").unwrap();
    ImageClassifier::open(Assets::open(&folder, Some("efficientnet-lite0")).unwrap()).unwrap()
});

fn file(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("inference/pictures").join(name)).unwrap()
}

fn refusal(image: impl Into<Vec<u8>>) -> String {
    let error = MODEL.classify(&ClassifyImageRequest::new(image), &Interrupt::never()).unwrap_err();
    assert!(error.is_input() && error.path() == Some("image"), "{error}");
    error.to_string()
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/pictures.json")).unwrap()
}

fn worst(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

#[test]
fn the_network_is_that_of_the_reference() {
    #[expect(clippy::cast_possible_truncation, reason = "the formula is modulo 256")]
    let colours = |x: usize, y: usize| (0..3).map(move |c| (x * (3 + c) + y * (5 - c) + x * y / 64) as u8);
    let pixels: Vec<u8> = (0..224).flat_map(|y| (0..224).flat_map(move |x| colours(x, y))).collect();
    let worst = worst(&MODEL.logits(&pixels, &Interrupt::never()).unwrap(), &golden().formula);
    assert!(worst < 1e-3, "{worst}");
    let error = MODEL.logits(&pixels[1..], &Interrupt::never()).unwrap_err();
    assert_eq!(error.to_string(), "150527 bytes are not 224 × 224 pixels of three");
}

#[test]
fn pictures_are_judged_as_by_the_reference() {
    let golden = golden().pictures;
    assert_eq!(golden.len(), 3);
    for golden in golden {
        let name = &golden.file;
        let image = file(name);
        let pixels = MODEL.pixels(&image).unwrap();
        // Scaling rounds otherwise by one at most; decoders of JPEG and WebP differ by a little, and do.
        let off = if name == "pattern.png" { 1 } else { 4 };
        let at = |x: usize, y: usize| &pixels[(y * 224 + x) * 3..][..3];
        for (ours, theirs) in [(at(0, 0), golden.corner), (at(112, 112), golden.centre)] {
            assert!(
                ours.iter().zip(theirs).all(|(x, y)| x.abs_diff(y) <= off),
                "{name}: {ours:?} {theirs:?}"
            );
        }
        for (colour, theirs) in golden.mean.into_iter().enumerate() {
            let sum: f64 = pixels.iter().skip(colour).step_by(3).map(|value| f64::from(*value)).sum();
            let ours = sum / (224.0 * 224.0);
            assert!((ours - theirs).abs() < 0.3, "{name}: {ours} {theirs}");
        }
        let worst = worst(&MODEL.logits(&pixels, &Interrupt::never()).unwrap(), &golden.logits);
        assert!(worst < 0.25, "{name}: {worst}");
        let reply = MODEL.classify(&ClassifyImageRequest::new(image), &Interrupt::never()).unwrap();
        assert_eq!((reply.predictions.len(), reply.model.as_str()), (5, "EfficientNet-Lite0"));
        assert!(reply.predictions.is_sorted_by(|a, b| a.score >= b.score));
        assert_eq!(&*reply.predictions[0].label, MODEL.labels()[golden.top[0]], "{name}");
        for (ours, theirs) in reply.predictions.iter().zip(&golden.scores) {
            assert!((ours.score - theirs).abs() < 0.03, "{name}: {} {theirs}", ours.score);
        }
    }
}

#[test]
fn a_picture_is_turned_as_its_exif_says() {
    let upright = file("cat.jpg");
    let turned = |orientation: u8| {
        // An APP1 segment behind the first marker: a TIFF with one entry, the orientation.
        let mut exif = b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        [&upright[..2], &exif, &upright[2..]].concat()
    };
    let (plain, half) = (MODEL.pixels(&upright).unwrap(), MODEL.pixels(&turned(3)).unwrap());
    let reversed: Vec<u8> = plain.chunks(3).rev().flatten().copied().collect();
    assert_eq!(half, reversed, "3 is half a turn");
    let quarter = MODEL.pixels(&turned(6)).unwrap();
    for (x, y) in [(0, 0), (223, 0), (10, 200)] {
        // 6: the file's left edge is the picture's top.
        let (ours, from) = ((y * 224 + x) * 3, ((223 - x) * 224 + y) * 3);
        assert_eq!(quarter[ours..ours + 3], plain[from..from + 3]);
    }
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    // A PNG of 10,000 × 10,000 pixels of one colour is 100 megapixels in a few bytes.
    let mut head = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    let size = 10_000_u32.to_be_bytes();
    head.extend([&size[..], &size[..], b"\x08\x02\0\0\0"].concat());
    head.extend(0x352c_f570_u32.to_be_bytes());
    head.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xae\x42\x60\x82");
    LazyLock::force(&MODEL);
    let began = Instant::now();
    let message = refusal(head);
    // Hundreds of times what a refusal takes, a hundredth of what unpacking would.
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(message, "the picture has 10000 × 10000 pixels, 100 million, and may have 17: scale it down");
}

#[test]
fn bad_input_is_refused_with_its_reason() {
    assert!(refusal("GIF89a and more").starts_with("the file is no picture that is read here"));
    let cut = file("cat.jpg")[..300].to_vec();
    assert!(refusal(cut).starts_with("the picture cannot be decoded: "));
    let mut request = ClassifyImageRequest::new(file("cat.jpg"));
    request.top_k = 1001;
    let error = MODEL.classify(&request, &Interrupt::never()).unwrap_err();
    assert_eq!(
        (error.path(), error.to_string().as_str()),
        (Some("top_k"), "1001 is none of 1 to 1000, the model's labels")
    );
    // The smallest picture there is.
    let dot = image_of_one_pixel();
    assert_eq!(
        MODEL.classify(&ClassifyImageRequest::new(dot), &Interrupt::never()).unwrap().predictions.len(),
        5
    );
}

fn image_of_one_pixel() -> Vec<u8> {
    use base64::Engine as _;
    let text =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[test]
fn a_body_is_the_file_or_json() {
    use base64::Engine as _;
    let image = file("coffee.webp");
    assert_eq!(ClassifyImageRequest::read(&image).unwrap(), ClassifyImageRequest::new(image.clone()));
    let text = base64::engine::general_purpose::STANDARD.encode(&image);
    let request =
        ClassifyImageRequest::read(format!("{{\"image\": \"{text}\", \"top_k\": 2}}").as_bytes()).unwrap();
    assert_eq!((request.image, request.top_k), (image, 2));
    let error = ClassifyImageRequest::read(b"{\"picture\": 1}").unwrap_err();
    assert!(error.is_input() && error.to_string().starts_with("unknown field `picture`"), "{error}");
}

#[test]
fn an_interrupt_ends_the_work_between_blocks() {
    LazyLock::force(&MODEL);
    let request = ClassifyImageRequest::new(file("cat.jpg"));
    let asked = Cell::new(0);
    let run = |most: usize| {
        asked.set(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > most
        };
        MODEL.classify(&request, &Interrupt::when(&stop))
    };
    run(usize::MAX).unwrap();
    // The last questions are between the blocks, those before them between pieces of the file.
    let last = asked.get() - 3;
    assert!(run(last).unwrap_err().is_interrupted());
    assert_eq!(asked.get(), last + 1);
}
