//! A convolution over time with a kernel of three and a frame of zeros at either end, as a product of matrices.

use crate::error::Error;
use crate::formats::{Tensors, take};
use fdk_kernels::dense::matmul::{Linear, Then};

/// The taps of the kernel.
const TAPS: usize = 3;

/// The convolution's weights, packed.
pub(crate) struct Conv1d {
    linear: Linear,
    channels: usize,
    stride: usize,
}

impl Conv1d {
    /// Takes `NAME.weight` and `NAME.bias` (or with another mark than the dot), laid out `[outputs][channels][3]`.
    pub(crate) fn load(
        tensors: &Tensors<'_>,
        name: &str,
        (channels, outputs): (usize, usize),
        stride: usize,
    ) -> Result<Self, Error> {
        let weights = take(tensors, &format!("{name}weight"), &[outputs, channels, TAPS])?;
        let bias = take(tensors, &format!("{name}bias"), &[outputs])?;
        // The frames of a patch lie one after another, so the taps go outside.
        let mut by_tap = vec![0.0; weights.len()];
        for (output, weights) in weights.chunks_exact(channels * TAPS).enumerate() {
            for channel in 0..channels {
                for tap in 0..TAPS {
                    by_tap[(output * TAPS + tap) * channels + channel] = weights[channel * TAPS + tap];
                }
            }
        }
        Ok(Self { linear: Linear::new(&by_tap, outputs, channels * TAPS, &bias), channels, stride })
    }

    /// How many frames come of so many.
    pub(crate) fn frames(&self, frames: usize) -> usize {
        frames.div_ceil(self.stride)
    }

    /// Convolves pieces of `frames × channels`, each by itself.
    pub(crate) fn run(&self, input: &[f32], frames: usize, then: Then<'_>) -> Vec<f32> {
        let piece = frames * self.channels;
        let pieces = input.len() / piece;
        let made = self.frames(frames);
        let width = self.channels * TAPS;
        let mut patches = vec![0.0; pieces * made * width];
        for (index, patch) in patches.chunks_exact_mut(width).enumerate() {
            let input = &input[index / made * piece..][..piece];
            let start = index % made * self.stride;
            for tap in 0..TAPS {
                // The frame before the first and the one after the last are zeros.
                if let Some(frame) = (start + tap).checked_sub(1).filter(|frame| *frame < frames) {
                    let values = &input[frame * self.channels..][..self.channels];
                    patch[tap * self.channels..][..self.channels].copy_from_slice(values);
                }
            }
        }
        let mut out = vec![0.0; pieces * made * self.linear.outputs()];
        self.linear.run(&patches, pieces * made, then, &mut out);
        out
    }
}
