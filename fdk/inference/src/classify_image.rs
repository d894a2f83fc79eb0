//! The task `classify_image`: a picture → what is in it.

use crate::assets::Assets;
use crate::body;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::models::efficientnet::{EfficientNet, SIDE};
use crate::models::probability::softmax;
use crate::prediction::Prediction;
use crate::{picture, picture_file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;

/// What to classify: the bytes of a JPEG, PNG or WebP, or `{"image": base64, "top_k": 5}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClassifyImageRequest {
    /// The file, of at most 16.8 million pixels (13.7 of four channels of 16 bits); in JSON as base64 or as a data URL.
    #[serde(deserialize_with = "body::base64")]
    pub image: Vec<u8>,
    /// How many labels are told, the likeliest first. Five unless said.
    #[serde(default = "five")]
    pub top_k: usize,
}

fn five() -> usize {
    5
}

impl ClassifyImageRequest {
    /// A request for this file with the defaults.
    pub fn new(image: impl Into<Vec<u8>>) -> Self {
        Self { image: image.into(), top_k: five() }
    }

    /// Reads a body: JSON, or the file itself. An error is the request's fault.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        body::read(body, Self::new)
    }
}

/// What is in the picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClassifyImageReply {
    /// The likeliest labels with their probabilities, which over all labels sum up to 1.
    pub predictions: Vec<Prediction>,
    /// The model's name.
    pub model: String,
}

/// A model that classifies pictures.
pub struct ImageClassifier {
    name: String,
    labels: Vec<String>,
    model: EfficientNet,
}

impl ImageClassifier {
    /// Opens EfficientNet-Lite0: its prepared file, or else its checkpoint (`.pth`), and the names of its classes (`.json`, by
    /// their numbers). It runs once, so that the first call pays for nothing.
    #[expect(clippy::needless_pass_by_value, reason = "the files are the model's from here on")]
    pub fn open(assets: Assets) -> Result<Self, Error> {
        crate::cpu::check_kernels()?;
        let timings = assets.timings();
        let labels = labels(&assets)?;
        let (file, classes) = picture_file::open(&assets)?;
        if labels.len() != classes {
            let labels = labels.len();
            return Err(Error::assets(format!("the model has {classes} classes and {labels} labels")));
        }
        let model = timings.time("build", || EfficientNet::open(&file, classes))?;
        let name = assets.model().name.clone();
        let grey = vec![127; SIDE * SIDE * 3];
        timings.time("warm-up", || model.run(&grey, &Interrupt::never()))?;
        Ok(Self { name, labels, model })
    }

    /// What replies call the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of all classes, in the order of their numbers.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Classifies a picture.
    ///
    /// An error is the request's fault when the file is no picture, has too many pixels, or `top_k` is none of 1 to the number
    /// of labels. An interrupt is asked while the picture is decoded and before each of the model's blocks.
    pub fn classify(
        &self,
        request: &ClassifyImageRequest,
        interrupt: &Interrupt<'_>,
    ) -> Result<ClassifyImageReply, Error> {
        if !(1..=self.labels.len()).contains(&request.top_k) {
            let message =
                format!("{} is none of 1 to {}, the model's labels", request.top_k, self.labels.len());
            return Err(Error::input("top_k", message));
        }
        interrupt.check()?;
        let pixels = picture::square(&request.image, SIDE, interrupt)?;
        let scores = softmax(&self.logits(&pixels, interrupt)?);
        let pairs = self.labels.iter().zip(scores);
        let mut predictions: Vec<_> =
            pairs.map(|(label, score)| Prediction { label: label.as_str().into(), score }).collect();
        predictions.sort_by(|a, b| b.score.total_cmp(&a.score));
        predictions.truncate(request.top_k);
        Ok(ClassifyImageReply { predictions, model: self.name.clone() })
    }

    /// The 224 × 224 pixels that the model sees of a picture file, in rows of RGB.
    pub fn pixels(&self, image: &[u8]) -> Result<Vec<u8>, Error> {
        picture::square(image, SIDE, &Interrupt::never())
    }

    /// The model's raw scores of such pixels, one for each label, in the labels' order.
    pub fn logits(&self, pixels: &[u8], interrupt: &Interrupt<'_>) -> Result<Vec<f32>, Error> {
        if pixels.len() == SIDE * SIDE * 3 {
            return self.model.run(pixels, interrupt);
        }
        let message = format!("{} bytes are not {SIDE} × {SIDE} pixels of three", pixels.len());
        Err(Error::input("image", message))
    }
}

impl fmt::Debug for ImageClassifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageClassifier").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The names of the classes: a table of numbers to names.
fn labels(assets: &Assets) -> Result<Vec<String>, Error> {
    let path = assets.file_ending(".json")?;
    let fails = |why: &dyn fmt::Display| Error::assets(format!("{}: {why}", path.display()));
    let text = fs::read(&path).map_err(|error| fails(&error))?;
    let names: BTreeMap<usize, String> = serde_json::from_slice(&text).map_err(|error| fails(&error))?;
    let whole = names.keys().copied().eq(0..names.len());
    if whole { Ok(names.into_values().collect()) } else { Err(fails(&"a class has no name")) }
}
