//! Depthwise convolution over pictures whose channels lie side by side, with bias and `ReLU6` in the same pass. candle loops
//! over the channels as groups of one, which costs more than all the rest of a mobile network.

use super::lined::Table;
use super::{kernel, share};
use crate::Isa;
use crate::lanes::Lanes;
use std::ops::Range;

/// Pixels of a row that are summed at once: with a register each they leave room for the weights of a kernel's row, and 224 and its
/// halves down to 7 are multiples of it.
const PIXELS: usize = 7;
/// The bytes of the lines that a row of the result is made of, of as many channels as are convolved at a time: in the nearest
/// cache they are still there for the next row.
const NEAR_BYTES: usize = 24 * 1024;

/// The weights of a depthwise convolution, and its geometry.
pub struct Depthwise {
    channels: usize,
    kernel: usize,
    stride: usize,
    /// `[kernel × kernel][channels]`.
    weights: Table<f32>,
    bias: Table<f32>,
}

impl Depthwise {
    /// Takes weights laid out tap by tap, each with its channels side by side. A kernel has 3 or 5 taps a row, at a stride of 1 or 2.
    pub fn new(weights: Table<f32>, bias: Table<f32>, kernel: usize, stride: usize) -> Self {
        let channels = bias.len();
        assert_eq!(weights.len(), channels * kernel * kernel, "the shapes do not fit");
        assert!(matches!((kernel, stride), (3 | 5, 1 | 2)), "a kernel of {kernel} at a stride of {stride}");
        Self { channels, kernel, stride, weights, bias }
    }

    /// The side of the result for a picture of this side: as TensorFlow's `SAME` padding has it.
    pub fn side(&self, side: usize) -> usize {
        side.div_ceil(self.stride)
    }

    /// The channels of a picture.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Convolves a square picture of `side × side × channels` into `out`. Rows are shared by the threads of the process.
    pub fn run(&self, input: &[f32], side: usize, out: &mut [f32]) {
        let out_side = self.side(side);
        assert!(input.len() == side * side * self.channels, "the shapes do not fit");
        assert!(out.len() == out_side * out_side * self.channels, "the shapes do not fit");
        let threads = *super::THREADS;
        let rows = if threads == 1 { out_side } else { out_side.div_ceil(threads * 2) };
        let band = Band { numbers: input, first: 0, side };
        share(out, rows * out_side * self.channels, |index, out| self.rows_from(band, index * rows, out));
    }

    /// Which rows of a picture the given ones of the result are made of.
    pub fn needed(&self, side: usize, rows: Range<usize>) -> Range<usize> {
        let padding = self.padding(side);
        let last = (rows.end - 1) * self.stride + self.kernel;
        (rows.start * self.stride).saturating_sub(padding)..(last - padding).min(side)
    }

    /// How many rows of a picture so many of the result are made of, at most.
    pub fn seen(&self, rows: usize) -> usize {
        (rows - 1) * self.stride + self.kernel
    }

    /// The rows of the result from one on, as many as fit into `out`, on this thread alone.
    pub fn rows_from(&self, band: Band<'_>, row: usize, out: &mut [f32]) {
        self.rows_on(*super::ISA, band, row, out);
    }

    fn rows_on(&self, isa: Option<Isa>, band: Band<'_>, row: usize, out: &mut [f32]) {
        convolve(isa, self, band, row, out);
    }

    fn padding(&self, side: usize) -> usize {
        ((self.side(side) - 1) * self.stride + self.kernel).saturating_sub(side) / 2
    }

    /// The rows that one of the result sees, and their weights.
    fn lines<'b>(&'b self, band: Band<'b>, row: usize) -> (&'b [f32], &'b [f32]) {
        let padding = self.padding(band.side);
        // The taps that fall inside the picture, and the row that the first of them is on.
        let top = row * self.stride;
        let taps = padding.saturating_sub(top)..self.kernel.min(band.side + padding - top);
        let first = top + taps.start - padding - band.first;
        let line = band.side * self.channels;
        (
            &band.numbers[first * line..][..taps.len() * line],
            &self.weights[taps.start * self.kernel * self.channels..],
        )
    }
}

/// Some rows of a square picture.
#[derive(Clone, Copy)]
pub struct Band<'a> {
    /// Pixel by pixel, channels side by side.
    pub numbers: &'a [f32],
    /// Which row the numbers begin with.
    pub first: usize,
    /// The pixels of a row.
    pub side: usize,
}

kernel! {
    /// The rows of the result from one on, as many as fit into `out`.
    fn convolve(layer: &Depthwise, band: Band<'_>, row: usize, out: &mut [f32]) = convolve_with;
}

#[inline(always)]
unsafe fn convolve_with<L: Lanes>(layer: &Depthwise, band: Band<'_>, row: usize, out: &mut [f32]) {
    // SAFETY: the caller's.
    unsafe {
        match (layer.kernel, layer.stride) {
            (3, 1) => rows_of::<L, 3, 1>(layer, band, row, out),
            (3, 2) => rows_of::<L, 3, 2>(layer, band, row, out),
            (5, 1) => rows_of::<L, 5, 1>(layer, band, row, out),
            (5, 2) => rows_of::<L, 5, 2>(layer, band, row, out),
            _ => unreachable!("a layer is made of these alone"),
        }
    }
}

/// A few vectors of channels of all rows, then the next few.
#[inline(always)]
unsafe fn rows_of<L: Lanes, const KERNEL: usize, const STRIDE: usize>(
    layer: &Depthwise,
    band: Band<'_>,
    row: usize,
    out: &mut [f32],
) {
    let channels = layer.channels;
    let width = layer.side(band.side);
    let vectors = channels / L::WIDTH;
    let at_once = (NEAR_BYTES / (KERNEL * band.side * L::WIDTH * 4)).max(1);
    for first in (0..vectors).step_by(at_once) {
        let some = first..(first + at_once).min(vectors);
        for (index, out) in out.chunks_exact_mut(width * channels).enumerate() {
            let (lines, weights) = layer.lines(band, row + index);
            let mut group = Group { layer, lines, weights, side: band.side, x: 0 };
            while group.x < width {
                let out = &mut out[group.x * channels..];
                // SAFETY: the caller's.
                unsafe {
                    if group.x + PIXELS <= width {
                        pixels::<L, KERNEL, STRIDE, PIXELS>(
                            &group,
                            some.clone(),
                            &mut out[..PIXELS * channels],
                        );
                        group.x += PIXELS;
                    } else {
                        pixels::<L, KERNEL, STRIDE, 1>(&group, some.clone(), &mut out[..channels]);
                        group.x += 1;
                    }
                }
            }
        }
    }
    // Channels that fill no vector, which no network of ours has.
    if vectors * L::WIDTH < channels {
        for (index, out) in out.chunks_exact_mut(width * channels).enumerate() {
            let (lines, weights) = layer.lines(band, row + index);
            rest(&Group { layer, lines, weights, side: band.side, x: 0 }, vectors * L::WIDTH, out);
        }
    }
}

/// Neighbours of a row of the result, and what they are made of.
struct Group<'a> {
    layer: &'a Depthwise,
    /// The rows of the picture that they see.
    lines: &'a [f32],
    /// Their weights.
    weights: &'a [f32],
    side: usize,
    x: usize,
}

/// `COUNT` neighbours. Each column that they see is read once, and added to all sums that it has a part in; a column outside of
/// the picture is zero.
#[inline(always)]
unsafe fn pixels<L: Lanes, const KERNEL: usize, const STRIDE: usize, const COUNT: usize>(
    group: &Group<'_>,
    vectors: Range<usize>,
    out: &mut [f32],
) {
    let Group { layer, lines, weights, side, x } = *group;
    let channels = layer.channels;
    let taps = lines.len() / (side * channels);
    assert!(
        vectors.end * L::WIDTH <= channels
            && channels == layer.bias.len()
            && lines.len() == taps * side * channels
            && weights.len() >= taps * KERNEL * channels
            && out.len() == COUNT * channels,
        "the shapes do not fit"
    );
    // The first column may be before the picture, where nothing is read.
    let left = (x * STRIDE).wrapping_sub(layer.padding(side));
    for vector in vectors {
        let from = vector * L::WIDTH;
        // SAFETY: the caller's; the bias, the weights and the result have the vector of each channel, as was just asserted.
        // Lines are `taps` rows of columns from 0 up to the side.
        unsafe {
            let mut sums = [L::load(layer.bias.as_ptr().add(from)); COUNT];
            for line in 0..taps {
                let mut of = [L::zero(); KERNEL];
                for (tap, of) in of.iter_mut().enumerate() {
                    *of = L::load(weights.as_ptr().add((line * KERNEL + tap) * channels + from));
                }
                let mut at = lines.as_ptr().add(line * side * channels + from);
                at = at.wrapping_add(left.wrapping_mul(channels));
                macro_rules! taps {
                    ($column:literal, $values:ident; $($tap:literal)*) => {
                        $(
                            let pixel = usize::wrapping_sub($column, $tap);
                            if $tap < KERNEL && pixel % STRIDE == 0 && pixel / STRIDE < COUNT {
                                let sum = &mut sums[pixel / STRIDE % COUNT];
                                *sum = L::fma($values, of[$tap % KERNEL], *sum);
                            }
                        )*
                    };
                }
                macro_rules! columns {
                    ($($column:literal)*) => {
                        $(if $column < (COUNT - 1) * STRIDE + KERNEL {
                            if left.wrapping_add($column) < side {
                                let values = L::load(at);
                                taps!($column, values; 0 1 2 3 4);
                            }
                            at = at.wrapping_add(channels);
                        })*
                    };
                }
                columns!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
            }
            for (pixel, sum) in sums.iter().enumerate() {
                let cut = L::min(L::splat(6.0), L::max(L::zero(), *sum));
                L::store(out.as_mut_ptr().add(pixel * channels + from), cut);
            }
        }
    }
}

/// The channels of a row from one on, a number at a time.
fn rest(group: &Group<'_>, from: usize, out: &mut [f32]) {
    let Group { layer, lines, weights, side, .. } = *group;
    let Depthwise { channels, kernel, stride, .. } = *layer;
    let (taps, padding) = (lines.len() / (side * channels), layer.padding(side));
    for (x, out) in out.chunks_exact_mut(channels).enumerate() {
        for channel in from..channels {
            let mut sum = layer.bias[channel];
            for line in 0..taps {
                for tap in 0..kernel {
                    let column = (x * stride + tap).wrapping_sub(padding);
                    if column < side {
                        let value = lines[(line * side + column) * channels + channel];
                        sum += value * weights[(line * kernel + tap) * channels + channel];
                    }
                }
            }
            out[channel] = sum.clamp(0.0, 6.0);
        }
    }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
mod tests {
    use super::super::lined::Lined;
    use super::*;

    #[test]
    fn it_is_a_sum_over_taps_on_whatever_can_run_here() {
        for (side, channels, kernel, stride) in
            [(8, 40, 3, 1), (7, 33, 5, 1), (14, 32, 3, 2), (15, 70, 5, 2), (1, 4, 3, 1), (28, 48, 5, 2)]
        {
            let wave = |count: usize, step: f32| -> Vec<f32> {
                (0..count).map(|i| (i as f32 * step).sin() * 2.0).collect()
            };
            let input = wave(side * side * channels, 0.7);
            let weights = wave(channels * kernel * kernel, 1.3);
            let bias = wave(channels, 2.1);
            let own = |numbers: &[f32]| Table::Own(Lined::of(numbers));
            let layer = Depthwise::new(own(&weights), own(&bias), kernel, stride);
            let out_side = layer.side(side);
            let mut ours = vec![0.0; out_side * out_side * channels];
            layer.run(&input, side, &mut ours);
            let band = Band { numbers: &input, first: 0, side };
            let of_each = Isa::all().into_iter().map(Some).chain([None]).map(|isa| {
                let mut out = vec![f32::NAN; ours.len()];
                layer.rows_on(isa, band, 0, &mut out);
                (isa, out)
            });
            let of_each: Vec<_> = of_each.collect();

            let before = (((out_side - 1) * stride + kernel).saturating_sub(side)) / 2;
            let value = |y: usize, x: usize, channel: usize| -> f64 {
                let seen =
                    |at: usize, tap: usize| (at * stride + tap).checked_sub(before).filter(|at| *at < side);
                let mut sum = f64::from(bias[channel]);
                for (down, across) in (0..kernel * kernel).map(|tap| (tap / kernel, tap % kernel)) {
                    if let (Some(row), Some(column)) = (seen(y, down), seen(x, across)) {
                        let weight = weights[(down * kernel + across) * channels + channel];
                        sum +=
                            f64::from(weight) * f64::from(input[(row * side + column) * channels + channel]);
                    }
                }
                sum.clamp(0.0, 6.0)
            };
            let places =
                (0..out_side * out_side).flat_map(|at| (0..channels).map(move |channel| (at, channel)));
            let expected: Vec<f64> =
                places.map(|(at, channel)| value(at / out_side, at % out_side, channel)).collect();
            assert_eq!(ours.len(), expected.len());
            for (isa, ours) in of_each.iter().chain([&(*super::super::ISA, ours)]) {
                for (ours, theirs) in ours.iter().zip(&expected) {
                    let close = (f64::from(*ours) - theirs).abs() < 1e-4;
                    assert!(close, "{isa:?} {side} {channels} {kernel} {stride}: {ours} {theirs}");
                }
            }
        }
    }
}
