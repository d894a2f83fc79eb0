//! Depthwise convolution over pictures whose channels lie side by side, with bias and `ReLU6` in the same pass. candle loops
//! over the channels as groups of one, which costs more than all the rest of a mobile network.

use super::elementwise::mul_add;
use super::share;
use std::ops::Range;

/// Channels that are summed in registers at once.
const LANES: usize = 16;
/// Pixels of a row that are summed at once.
const PIXELS: usize = 4;

/// The weights of a depthwise convolution, and its geometry.
pub(crate) struct Depthwise {
    channels: usize,
    kernel: usize,
    stride: usize,
    /// `[kernel × kernel][channels]`.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Depthwise {
    /// Takes weights laid out `[channels][kernel × kernel]`, as checkpoints have them.
    pub(crate) fn new(weights: &[f32], bias: Vec<f32>, kernel: usize, stride: usize) -> Self {
        let (channels, taps) = (bias.len(), kernel * kernel);
        assert_eq!(weights.len(), channels * taps, "the shapes do not fit");
        let mut by_tap = vec![0.0; weights.len()];
        for (channel, taps_of) in weights.chunks_exact(taps).enumerate() {
            for (tap, weight) in taps_of.iter().enumerate() {
                by_tap[tap * channels + channel] = *weight;
            }
        }
        Self { channels, kernel, stride, weights: by_tap, bias }
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
        let taps = |at: usize| {
            // The taps that fall inside the picture.
            let start = at * layer.stride;
            padding.saturating_sub(start)..layer.kernel.min(side + padding - start)
        };
        let whole = |at: usize| taps(at) == (0..layer.kernel);
        let (channels, width) = (layer.channels, out.len() / layer.channels);
        let rows = taps(y);
        let mut x = 0;
        while x < width {
            let place = Place { side, padding, first, x, y };
            // Their taps are all inside when the first's and the last's are.
            let many = x + PIXELS <= width && whole(x) && whole(x + PIXELS - 1);
            let count = if many { PIXELS } else { 1 };
            let out = &mut out[x * channels..(x + count) * channels];
            if many {
                pixels::<FMA, PIXELS>(layer, input, place, (rows.clone(), 0..layer.kernel), out);
            } else {
                pixels::<FMA, 1>(layer, input, place, (rows.clone(), taps(x)), out);
            }
            x += count;
        }
    }
}

/// Where a pixel of the result is, and the picture it is made of.
#[derive(Clone, Copy)]
struct Place {
    side: usize,
    padding: usize,
    first: usize,
    x: usize,
    y: usize,
}

/// `COUNT` neighbours of a row, which have the same taps: their sums do not wait for each other, and a weight is read once.
#[inline(always)]
fn pixels<const FMA: bool, const COUNT: usize>(
    layer: &Depthwise,
    input: &[f32],
    place: Place,
    taps: (Range<usize>, Range<usize>),
    out: &mut [f32],
) {
    let Depthwise { channels, kernel, stride, .. } = *layer;
    let (rows, columns) = taps;
    let at = |ky: usize, kx: usize| {
        let row = place.y * stride + ky - place.padding - place.first;
        (row * place.side + place.x * stride + kx - place.padding) * channels
    };
    let (whole, _) = layer.bias.as_chunks::<LANES>();
    for (number, bias) in whole.iter().enumerate() {
        let from = number * LANES;
        let mut sums = [*bias; COUNT];
        for ky in rows.clone() {
            for kx in columns.clone() {
                let weights = sixteen(&layer.weights, (ky * kernel + kx) * channels + from);
                for (pixel, sums) in sums.iter_mut().enumerate() {
                    let values = sixteen(input, at(ky, kx) + pixel * stride * channels + from);
                    for lane in 0..LANES {
                        sums[lane] = mul_add::<FMA>(values[lane], weights[lane], sums[lane]);
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
            for ky in rows.clone() {
                for kx in columns.clone() {
                    let value = input[at(ky, kx) + pixel * stride * channels + channel];
                    sum = mul_add::<FMA>(value, layer.weights[(ky * kernel + kx) * channels + channel], sum);
                }
            }
            out[pixel * channels + channel] = sum.clamp(0.0, 6.0);
        }
    }
}

/// The sixteen numbers from a place on.
#[inline(always)]
fn sixteen(numbers: &[f32], from: usize) -> &[f32; LANES] {
    const NONE: &[f32; LANES] = &[0.0; LANES];
    numbers[from..from + LANES].try_into().unwrap_or(NONE)
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
