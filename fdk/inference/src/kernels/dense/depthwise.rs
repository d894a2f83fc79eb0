//! Depthwise convolution over pictures whose channels lie side by side, with bias and `ReLU6` in the same pass. candle loops
//! over the channels as groups of one, which costs more than all the rest of a mobile network.

use super::elementwise::mul_add;
use super::lined::Lined;
use super::share;
use std::ops::Range;

/// Channels that are summed in a register at once.
const LANES: usize = 8;
/// Pixels of a row that are summed at once: with a register each they leave room for weights, and 224 and its halves down to 7
/// are multiples of it.
const PIXELS: usize = 7;
/// The most taps of a kernel's row.
const MOST_TAPS: usize = 8;

/// The weights of a depthwise convolution, and its geometry.
pub(crate) struct Depthwise {
    channels: usize,
    kernel: usize,
    stride: usize,
    /// `[kernel × kernel][channels]`.
    weights: Lined,
    bias: Vec<f32>,
}

impl Depthwise {
    /// Takes weights laid out `[channels][kernel × kernel]`, as checkpoints have them.
    pub(crate) fn new(weights: &[f32], bias: Vec<f32>, kernel: usize, stride: usize) -> Self {
        let (channels, taps) = (bias.len(), kernel * kernel);
        assert_eq!(weights.len(), channels * taps, "the shapes do not fit");
        assert!(kernel <= MOST_TAPS, "a kernel of {kernel} taps");
        let mut by_tap = vec![0.0; weights.len()];
        for (channel, taps_of) in weights.chunks_exact(taps).enumerate() {
            for (tap, weight) in taps_of.iter().enumerate() {
                by_tap[tap * channels + channel] = *weight;
            }
        }
        Self { channels, kernel, stride, weights: Lined::of(&by_tap), bias }
    }

    /// The side of the result for a picture of this side: as TensorFlow's `SAME` padding has it.
    pub(crate) fn side(&self, side: usize) -> usize {
        side.div_ceil(self.stride)
    }

    /// The channels of a picture.
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// Convolves a square picture of `side × side × channels` into `out`. Rows are shared by the threads of the process.
    pub(crate) fn run(&self, input: &[f32], side: usize, out: &mut [f32]) {
        let out_side = self.side(side);
        assert!(input.len() == side * side * self.channels, "the shapes do not fit");
        assert!(out.len() == out_side * out_side * self.channels, "the shapes do not fit");
        let threads = *super::THREADS;
        let rows = if threads == 1 { out_side } else { out_side.div_ceil(threads * 2) };
        let band = Band { numbers: input, first: 0, side };
        share(out, rows * out_side * self.channels, |index, out| self.rows_from(band, index * rows, out));
    }

    /// Which rows of a picture the given ones of the result are made of.
    pub(crate) fn needed(&self, side: usize, rows: Range<usize>) -> Range<usize> {
        let padding = self.padding(side);
        let last = (rows.end - 1) * self.stride + self.kernel;
        (rows.start * self.stride).saturating_sub(padding)..(last - padding).min(side)
    }

    /// How many rows of a picture so many of the result are made of, at most.
    pub(crate) fn seen(&self, rows: usize) -> usize {
        (rows - 1) * self.stride + self.kernel
    }

    /// The rows of the result from one on, as many as fit into `out`, on this thread alone.
    pub(crate) fn rows_from(&self, band: Band<'_>, row: usize, out: &mut [f32]) {
        let geometry = (band.side, self.padding(band.side), band.first);
        for (index, out) in out.chunks_exact_mut(self.side(band.side) * self.channels).enumerate() {
            convolve_row(self, band.numbers, geometry, row + index, out);
        }
    }

    fn padding(&self, side: usize) -> usize {
        ((self.side(side) - 1) * self.stride + self.kernel).saturating_sub(side) / 2
    }
}

/// Some rows of a square picture.
#[derive(Clone, Copy)]
pub(crate) struct Band<'a> {
    pub(crate) numbers: &'a [f32],
    /// Which row the numbers begin with.
    pub(crate) first: usize,
    pub(crate) side: usize,
}

super::dispatch! {
    /// One row of the result; the tuple is the side of the input, its padding, and the first row that is there.
    fn convolve_row(
        layer: &Depthwise,
        input: &[f32],
        geometry: (usize, usize, usize),
        y: usize,
        out: &mut [f32],
    ) {
        let (side, padding, first) = geometry;
        let (channels, stride) = (layer.channels, layer.stride);
        // The taps that fall inside the picture, and the row that the first of them is on.
        let top = y * stride;
        let taps = padding.saturating_sub(top)..layer.kernel.min(side + padding - top);
        let row = top + taps.start - padding - first;
        let lines = &input[row * side * channels..][..taps.len() * side * channels];
        let weights = &layer.weights[taps.start * layer.kernel * channels..];
        let width = out.len() / channels;
        let mut x = 0;
        while x < width {
            let inside = x * stride >= padding
                && (x + PIXELS - 1) * stride + layer.kernel <= side + padding;
            let group = Group { lines, weights, taps: taps.len(), side, x, padding };
            if x + PIXELS > width {
                pixels::<FMA, 1, true>(layer, &group, &mut out[x * channels..][..channels]);
                x += 1;
                continue;
            }
            let out = &mut out[x * channels..][..PIXELS * channels];
            if inside {
                pixels::<FMA, PIXELS, false>(layer, &group, out);
            } else {
                pixels::<FMA, PIXELS, true>(layer, &group, out);
            }
            x += PIXELS;
        }
    }
}

/// Neighbours of a row of the result, and what they are made of.
struct Group<'a> {
    /// The rows of the picture that they see.
    lines: &'a [f32],
    /// Their weights.
    weights: &'a [f32],
    /// How many they are.
    taps: usize,
    side: usize,
    x: usize,
    padding: usize,
}

/// `COUNT` neighbours: their sums do not wait for each other, and a weight is read once. At an `EDGE` some taps are outside of
/// the picture, where it is zero.
#[inline(always)]
fn pixels<const FMA: bool, const COUNT: usize, const EDGE: bool>(
    layer: &Depthwise,
    group: &Group<'_>,
    out: &mut [f32],
) {
    let Depthwise { channels, kernel, stride, .. } = *layer;
    let Group { lines, weights, taps, side, x, padding } = *group;
    let column = |pixel: usize, tap: usize| ((x + pixel) * stride + tap).wrapping_sub(padding);
    let first = (x * stride).checked_sub(padding);
    let fits = EDGE || first.is_some_and(|first| first + (COUNT - 1) * stride + kernel <= side);
    assert!(
        fits && channels == layer.bias.len() && lines.len() == taps * side * channels,
        "a row ends before its last tap"
    );
    assert!(
        weights.len() >= taps * kernel * channels && out.len() == COUNT * channels,
        "the shapes do not fit"
    );
    const { assert!(COUNT == 1 || COUNT == PIXELS) };
    assert!(kernel <= MOST_TAPS, "a kernel of more taps");
    // The first pixels of which a tap is outside, and the last ones.
    let without: [(usize, usize); MOST_TAPS] = std::array::from_fn(|tap| {
        let outside = |pixel: &usize| column(*pixel, tap) >= side;
        let before = (0..COUNT).take_while(outside).count();
        (before, (before..COUNT).rev().take_while(outside).count())
    });
    let (whole, _) = layer.bias.as_chunks::<LANES>();
    for (number, bias) in whole.iter().enumerate() {
        let from = number * LANES;
        let mut sums = [*bias; COUNT];
        for line in 0..taps {
            for tap in 0..kernel {
                // SAFETY: the weights have `taps` rows of `kernel` times the channels, as was just asserted.
                #[expect(unsafe_code, reason = "a check for each vector takes as long as the multiplication")]
                let weights = unsafe { eight(weights, (line * kernel + tap) * channels + from) };
                let row = line * side * channels + from;
                // Which pixels have this tap is known before: a test for each would take as long as the multiplication.
                macro_rules! add {
                    ($($pixel:literal)*) => {{
                        $(if $pixel < COUNT {
                            let place = row + column($pixel, tap) * channels;
                            // SAFETY: the column is in the picture, as `without` says or, at no edge, the assertion; and the
                            // lines are `taps` rows of it.
                            #[expect(unsafe_code, reason = "as above")]
                            let values = unsafe { eight(lines, place) };
                            let sums = &mut sums[$pixel % COUNT];
                            for lane in 0..LANES {
                                sums[lane] = mul_add::<FMA>(values[lane], weights[lane], sums[lane]);
                            }
                        })*
                    }};
                }
                match if EDGE { without[tap % MOST_TAPS] } else { (0, 0) } {
                    (0, 0) => add!(0 1 2 3 4 5 6),
                    (1, 0) => add!(1 2 3 4 5 6),
                    (2, 0) => add!(2 3 4 5 6),
                    (0, 1) => add!(0 1 2 3 4 5),
                    (0, 2) => add!(0 1 2 3 4),
                    (before, after) => {
                        macro_rules! some {
                            ($($pixel:literal)*) => {
                                $(if (before..COUNT - after).contains(&$pixel) { add!($pixel) })*
                            };
                        }
                        some!(0 1 2 3 4 5 6);
                    }
                }
            }
        }
        for (pixel, sums) in sums.iter().enumerate() {
            let start = pixel * channels + from;
            if let Ok(out) = <&mut [f32; LANES]>::try_from(&mut out[start..start + LANES]) {
                *out = sums.map(|sum| sum.clamp(0.0, 6.0));
            }
        }
    }
    // Channels that fill no vector, which no network of ours has.
    for channel in whole.len() * LANES..channels {
        for pixel in 0..COUNT {
            let mut sum = layer.bias[channel];
            for line in 0..taps {
                for tap in (0..kernel).filter(|tap| column(pixel, *tap) < side) {
                    let value = lines[(line * side + column(pixel, tap)) * channels + channel];
                    sum = mul_add::<FMA>(value, weights[(line * kernel + tap) * channels + channel], sum);
                }
            }
            out[pixel * channels + channel] = sum.clamp(0.0, 6.0);
        }
    }
}

/// The eight numbers from a place on.
///
/// # Safety
/// They must be there.
#[expect(unsafe_code, reason = "a check for each vector takes as long as the multiplication")]
#[inline(always)]
unsafe fn eight(numbers: &[f32], from: usize) -> [f32; LANES] {
    debug_assert!(from + LANES <= numbers.len());
    // SAFETY: the caller's promise; an array has the alignment of its numbers.
    unsafe { numbers.as_ptr().add(from).cast::<[f32; LANES]>().read() }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    #[test]
    fn it_is_candles_grouped_convolution() {
        for (side, channels, kernel, stride) in
            [(8, 40, 3, 1), (7, 33, 5, 1), (14, 32, 3, 2), (15, 70, 5, 2), (1, 4, 3, 1), (28, 48, 5, 2)]
        {
            let wave = |count: usize, step: f32| -> Vec<f32> {
                (0..count).map(|i| (i as f32 * step).sin() * 2.0).collect()
            };
            let input = wave(side * side * channels, 0.7);
            let weights = wave(channels * kernel * kernel, 1.3);
            let bias = wave(channels, 2.1);
            let layer = Depthwise::new(&weights, bias.clone(), kernel, stride);
            let out_side = layer.side(side);
            let mut ours = vec![0.0; out_side * out_side * channels];
            layer.run(&input, side, &mut ours);

            let device = Device::Cpu;
            let tensor = Tensor::from_vec(input, (1, side, side, channels), &device)
                .unwrap()
                .permute((0, 3, 1, 2))
                .unwrap();
            let total = ((out_side - 1) * stride + kernel).saturating_sub(side);
            let (before, after) = (total / 2, total - total / 2);
            let tensor =
                tensor.pad_with_zeros(2, before, after).unwrap().pad_with_zeros(3, before, after).unwrap();
            let weights = Tensor::from_vec(weights, (channels, 1, kernel, kernel), &device).unwrap();
            let out = tensor.contiguous().unwrap().conv2d(&weights, 0, stride, 1, channels).unwrap();
            let bias = Tensor::from_vec(bias, (1, channels, 1, 1), &device).unwrap();
            let out = out.broadcast_add(&bias).unwrap().clamp(0.0_f32, 6.0_f32).unwrap();
            let theirs = out.permute((0, 2, 3, 1)).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert!((ours - theirs).abs() < 1e-4, "{side} {channels} {kernel} {stride}: {ours} {theirs}");
            }
        }
    }
}
