//! Samples → what Whisper hears: the logarithm of the power in 80 bands of pitch, a hundred times a second.

use crate::error::Error;
use crate::sound::RATE;
use realfft::RealFftPlanner;
use std::f64::consts::TAU;

/// Bands of pitch.
pub(crate) const BANDS: usize = 80;
/// Seconds that are heard at once, and the samples and frames of them.
pub(crate) const WINDOW: usize = 30 * RATE;
pub(crate) const FRAMES: usize = WINDOW / STEP;
/// Samples of a transform, and from one to the next.
const LENGTH: usize = 400;
pub(crate) const STEP: usize = 160;
const BINS: usize = LENGTH / 2 + 1;

/// The bands, each the shares of the frequencies from its first on.
pub(crate) struct Bands(Vec<(usize, Vec<f32>)>);

impl Bands {
    /// The triangles of Slaney's scale from 0 to 8,000 Hz, each of the area 1: those of librosa's `filters.mel`, which Whisper
    /// was trained with.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "small numbers, kept as f32"
    )]
    pub(crate) fn new() -> Self {
        let top = hertz_to_mel(RATE as f64 / 2.0);
        let edge = |index: usize| mel_to_hertz(top * index as f64 / (BANDS + 1) as f64);
        let band = |index: usize| {
            let (low, middle, high) = (edge(index), edge(index + 1), edge(index + 2));
            let share = |bin: usize| {
                let hertz = bin as f64 * RATE as f64 / LENGTH as f64;
                let triangle = ((hertz - low) / (middle - low)).min((high - hertz) / (high - middle));
                (triangle.max(0.0) * 2.0 / (high - low)) as f32
            };
            let first = (0..BINS).find(|bin| share(*bin) > 0.0).unwrap_or(0);
            (first, (first..BINS).map(share).take_while(|share| *share > 0.0).collect())
        };
        Self((0..BANDS).map(band).collect())
    }

    /// The features of up to 30 seconds, with silence after them: 3,000 frames of 80 numbers.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "small numbers, kept as f32"
    )]
    pub(crate) fn of(&self, samples: &[f32]) -> Result<Vec<f32>, Error> {
        let transform = RealFftPlanner::<f32>::new().plan_fft_forward(LENGTH);
        let fade: Vec<f32> =
            (0..LENGTH).map(|at| (0.5 - 0.5 * (TAU * at as f64 / LENGTH as f64).cos()) as f32).collect();
        let (mut input, mut output, mut scratch) =
            (transform.make_input_vec(), transform.make_output_vec(), transform.make_scratch_vec());
        let mut features = vec![-10.0_f32; FRAMES * BANDS];
        let mut power = [0.0_f32; BINS];
        // A frame has its sample in the middle; before the beginning, and after the end of the window, sound is mirrored.
        let half = LENGTH / 2;
        let sample = |at: usize| {
            let at = at.abs_diff(half);
            let at = if at < WINDOW { at } else { 2 * (WINDOW - 1) - at };
            samples.get(at).copied().unwrap_or(0.0)
        };
        let heard = samples.len().min(WINDOW).div_ceil(STEP) + half.div_ceil(STEP);
        for (frame, features) in features.chunks_exact_mut(BANDS).enumerate() {
            if frame > heard && frame + 3 < FRAMES {
                continue;
            }
            for (at, input) in input.iter_mut().enumerate() {
                *input = sample(frame * STEP + at) * fade[at];
            }
            transform
                .process_with_scratch(&mut input, &mut output, &mut scratch)
                .map_err(|error| Error::model("cannot transform the sound", error.to_string()))?;
            for (power, bin) in power.iter_mut().zip(&output) {
                *power = bin.norm_sqr();
            }
            for (feature, (first, shares)) in features.iter_mut().zip(&self.0) {
                let sum: f32 = shares.iter().zip(&power[*first..]).map(|(share, power)| share * power).sum();
                *feature = sum.max(1e-10).log10();
            }
        }
        let most = features.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for feature in &mut features {
            *feature = (feature.max(most - 8.0) + 4.0) / 4.0;
        }
        Ok(features)
    }
}

/// Slaney's scale is even up to 1,000 Hz, and of even ratios above.
const BREAK: f64 = 1000.0;
const HERTZ_PER_MEL: f64 = 200.0 / 3.0;

fn step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn hertz_to_mel(hertz: f64) -> f64 {
    if hertz < BREAK { hertz / HERTZ_PER_MEL } else { BREAK / HERTZ_PER_MEL + (hertz / BREAK).ln() / step() }
}

fn mel_to_hertz(mel: f64) -> f64 {
    let bend = BREAK / HERTZ_PER_MEL;
    if mel < bend { mel * HERTZ_PER_MEL } else { BREAK * ((mel - bend) * step()).exp() }
}
