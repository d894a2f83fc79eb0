//! Depthwise convolution over pictures whose channels lie side by side, with bias and `ReLU6` in the same pass. candle loops
//! over the channels as groups of one, which costs more than all the rest of a mobile network.

use super::elementwise::mul_add;
use rayon::prelude::*;

/// Channels that are summed in registers at once.
const LANES: usize = 16;

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
        let padding = ((out_side - 1) * self.stride + self.kernel).saturating_sub(side) / 2;
        let rows = out_side.div_ceil(rayon::current_num_threads() * 2);
        let chunk = rows * out_side * self.channels;
        out.par_chunks_mut(chunk).enumerate().for_each(|(index, out)| {
            for (row, out) in out.chunks_exact_mut(out_side * self.channels).enumerate() {
                convolve_row(self, input, (side, padding, index * rows + row), out);
            }
        });
    }
}

super::dispatch! {
    /// One row of the result; the tuple is the side of the input, its padding, and which row.
    fn convolve_row(layer: &Depthwise, input: &[f32], geometry: (usize, usize, usize), out: &mut [f32]) {
        let (side, padding, y) = geometry;
        let (channels, kernel) = (layer.channels, layer.kernel);
        let taps = |at: usize| {
            // The taps that fall inside the picture.
            let start = at * layer.stride;
            padding.saturating_sub(start)..kernel.min(side + padding - start)
        };
        for (x, out) in out.chunks_exact_mut(channels).enumerate() {
            let mut from = 0;
            while from < channels {
                let lanes = LANES.min(channels - from);
                let mut sums = [0.0_f32; LANES];
                sums[..lanes].copy_from_slice(&layer.bias[from..from + lanes]);
                for ky in taps(y) {
                    for kx in taps(x) {
                        let pixel = (y * layer.stride + ky - padding) * side + x * layer.stride + kx - padding;
                        let values = &input[pixel * channels + from..][..lanes];
                        let weights = &layer.weights[(ky * kernel + kx) * channels + from..][..lanes];
                        if let (Ok(values), Ok(weights)) =
                            (<&[f32; LANES]>::try_from(values), <&[f32; LANES]>::try_from(weights))
                        {
                            for lane in 0..LANES {
                                sums[lane] = mul_add::<FMA>(values[lane], weights[lane], sums[lane]);
                            }
                        } else {
                            for (sum, (value, weight)) in sums.iter_mut().zip(values.iter().zip(weights)) {
                                *sum = mul_add::<FMA>(*value, *weight, *sum);
                            }
                        }
                    }
                }
                for (out, sum) in out[from..from + lanes].iter_mut().zip(sums) {
                    *out = sum.clamp(0.0, 6.0);
                }
                from += lanes;
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    #[test]
    fn it_is_candles_grouped_convolution() {
        for (side, channels, kernel, stride) in
            [(8, 40, 3, 1), (7, 33, 5, 1), (14, 32, 3, 2), (15, 70, 5, 2), (1, 4, 3, 1)]
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
