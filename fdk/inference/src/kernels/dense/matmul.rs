//! `A · Wᵀ + bias` with weights packed once, when the model is opened: sixteen outputs at a time lie side by side, as f32 or
//! as the f16 they were stored in.

#[cfg(feature = "speech")]
use super::elementwise;
use super::lined::Lined;
use std::ops::Range;

/// Outputs in a panel: two vectors of eight.
const WIDE: usize = 16;
/// Rows that are computed at once: with two vectors each they fill twelve of the sixteen registers.
const TALL: usize = 6;
/// About the bytes of A, and a quarter of those of the outputs, that one worker takes up at a time: what a second-level cache
/// has room for.
const BLOCK_BYTES: usize = 128 * 1024;
/// From so many rows on it pays to widen an f16 panel once instead of in the innermost loop.
const WIDEN_FROM: usize = 12;

/// Weights of so many bytes stay in the nearest cache beside a few rows, which are then finished before the next few.
const NEAR_BYTES: usize = 16 * 1024;
/// How many rows those few are.
const FEW: usize = 4 * TALL;

/// Multiplications below which a second thread costs more than it brings: it takes some microseconds to wake.
const SMALL: usize = 1 << 18;

/// The weights of a linear layer, packed.
pub(crate) struct Linear {
    inputs: usize,
    outputs: usize,
    /// `[outputs / 16][inputs][16]`, the last panel filled up with zeros.
    panels: Panels,
    bias: Vec<f32>,
}

enum Panels {
    F32(Lined),
    #[cfg_attr(not(feature = "speech"), expect(dead_code, reason = "pictures have weights of f32"))]
    F16(Vec<half::f16>),
}

/// What is done to the outputs while they are in registers, or GELU in the cache.
#[derive(Clone, Copy)]
pub(crate) enum Then<'a> {
    /// Nothing.
    Keep,
    /// They are cut to 0 … 6.
    #[cfg(feature = "vision")]
    Relu6,
    /// `x * Φ(x)`.
    #[cfg(feature = "speech")]
    Gelu,
    /// These are added, laid out as the outputs are.
    Add(&'a [f32]),
}

impl Linear {
    /// Packs weights of `outputs` rows of `inputs` numbers each. The bias may be empty.
    pub(crate) fn new(weights: &[f32], outputs: usize, inputs: usize, bias: &[f32]) -> Self {
        assert_eq!(weights.len(), outputs * inputs, "the shapes do not fit");
        let panels = pack(outputs, inputs, 0.0, |output, input| weights[output * inputs + input]);
        let panels = Panels::F32(Lined::of(&panels));
        Self { inputs, outputs, panels, bias: padded(bias, outputs) }
    }

    /// Packs what is given output by output and input by input, without a bias.
    #[cfg(feature = "speech")]
    pub(crate) fn of(outputs: usize, inputs: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let panels = Panels::F32(Lined::of(&pack(outputs, inputs, 0.0, weight)));
        Self { inputs, outputs, panels, bias: padded(&[], outputs) }
    }

    /// Adds the weights of one output to a list, as they were before they were packed.
    #[cfg(feature = "speech")]
    pub(crate) fn row(&self, output: usize, row: &mut Vec<f32>) {
        let first = output / WIDE * self.inputs * WIDE + output % WIDE;
        let places = (0..self.inputs).map(|input| first + input * WIDE);
        match &self.panels {
            Panels::F32(panels) => row.extend(places.map(|at| panels[at])),
            Panels::F16(panels) => row.extend(places.map(|at| panels[at].to_f32())),
        }
    }

    /// As [`Linear::new`], kept in half precision: half the memory to read through, and widened in a register.
    #[cfg(feature = "speech")]
    pub(crate) fn half(weights: &[half::f16], outputs: usize, inputs: usize, bias: &[f32]) -> Self {
        assert_eq!(weights.len(), outputs * inputs, "the shapes do not fit");
        let weight = |output, input| weights[output * inputs + input];
        let panels = Panels::F16(pack(outputs, inputs, half::f16::ZERO, weight));
        Self { inputs, outputs, panels, bias: padded(bias, outputs) }
    }

    /// How many numbers a row of the result has.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Writes `rows × outputs` numbers into `out`, of which `then` is done to each. Work is shared by the threads of the
    /// process: by rows where there are many, by outputs where there are few.
    pub(crate) fn run(&self, a: &[f32], rows: usize, then: Then<'_>, out: &mut [f32]) {
        assert!(a.len() >= rows * self.inputs && out.len() == rows * self.outputs, "the shapes do not fit");
        if rows * self.inputs * self.outputs < SMALL {
            return self.run_here(a, rows, then, out);
        }
        let threads = *super::THREADS;
        if rows == 1 {
            let share = self.outputs.div_ceil(threads).next_multiple_of(WIDE);
            super::share(out, share, |index, out| {
                self.columns(a, 1, index * share..index * share + out.len(), then.from(index * share), out);
            });
            return;
        }
        let even = rows.div_ceil(threads);
        let block = (BLOCK_BYTES / 4 / self.inputs.max(self.outputs / 4))
            .clamp(TALL, even.max(TALL))
            .next_multiple_of(TALL);
        super::share(out, block * self.outputs, |index, out| {
            let rows = out.len() / self.outputs;
            let then = then.from(index * block * self.outputs);
            self.columns(&a[index * block * self.inputs..], rows, 0..self.outputs, then, out);
        });
    }

    /// As [`Linear::run`], on this thread alone.
    pub(crate) fn run_here(&self, a: &[f32], rows: usize, then: Then<'_>, out: &mut [f32]) {
        self.columns(a, rows, 0..self.outputs, then, out);
    }

    /// Some outputs of every row, one row after the other in `out`; where one row has only a part of its outputs here, `then`
    /// begins at that part.
    fn columns(&self, a: &[f32], rows: usize, some: Range<usize>, then: Then<'_>, out: &mut [f32]) {
        let (size, count) = (self.inputs * WIDE, some.len());
        let at_once = if size * count.div_ceil(WIDE) * 4 <= NEAR_BYTES { FEW } else { rows };
        let mut wide = Lined::default();
        for row in (0..rows).step_by(at_once.max(1)) {
            let out = &mut out[row * count..];
            for column in (0..count).step_by(WIDE) {
                let panel = (some.start + column) / WIDE;
                let tile = Tile {
                    a: &a[row * self.inputs..],
                    inputs: self.inputs,
                    rows: at_once.min(rows - row),
                    column,
                    stride: count,
                    width: WIDE.min(count - column),
                    then: then.from(row * count),
                };
                let bias = &self.bias[panel * WIDE..][..WIDE];
                let range = panel * size..(panel + 1) * size;
                match &self.panels {
                    Panels::F32(panels) => tile.run(&panels[range], bias, out),
                    Panels::F16(panels) if tile.rows < WIDEN_FROM => tile.run_half(&panels[range], bias, out),
                    Panels::F16(panels) => {
                        widen(&panels[range], wide.room(size));
                        tile.run(&wide, bias, out);
                    }
                }
            }
        }
        #[cfg(feature = "speech")]
        if matches!(then, Then::Gelu) {
            elementwise::gelu(out);
        }
    }
}

impl Then<'_> {
    /// The same for what lies `places` further on.
    pub(crate) fn from(self, places: usize) -> Self {
        match self {
            Then::Add(other) => Then::Add(&other[places..]),
            other => other,
        }
    }

    /// Does it to one number, which lies there.
    fn apply(self, place: usize, number: f32) -> f32 {
        match self {
            #[cfg(feature = "vision")]
            Then::Relu6 => number.clamp(0.0, 6.0),
            Then::Add(other) => number + other[place],
            _ => number,
        }
    }
}

fn padded(bias: &[f32], outputs: usize) -> Vec<f32> {
    let mut padded = bias.to_vec();
    padded.resize(outputs.next_multiple_of(WIDE), 0.0);
    padded
}

fn pack<T: Copy>(outputs: usize, inputs: usize, zero: T, weight: impl Fn(usize, usize) -> T) -> Vec<T> {
    let mut packed = Vec::with_capacity(outputs.next_multiple_of(WIDE) * inputs);
    for first in (0..outputs).step_by(WIDE) {
        for input in 0..inputs {
            let each = (first..first + WIDE)
                .map(|output| if output < outputs { weight(output, input) } else { zero });
            packed.extend(each);
        }
    }
    packed
}

super::dispatch! {
    /// f16 to f32.
    fn widen(from: &[half::f16], to: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if super::avx2() {
            // SAFETY: the CPU has f16c; both slices are walked in whole eights of the same number.
            #[expect(unsafe_code, reason = "vectors")]
            unsafe {
                return vector::widen(from, to);
            }
        }
        for (from, to) in from.iter().zip(to) {
            *to = from.to_f32();
        }
    }
}

/// One panel against all rows of a block.
struct Tile<'a> {
    a: &'a [f32],
    inputs: usize,
    rows: usize,
    /// Where in `out` a row's part begins, and how long it is.
    column: usize,
    width: usize,
    /// From one row of `out` to the next.
    stride: usize,
    /// What is done to the sums, of rows that lie as those of `out` do.
    then: Then<'a>,
}

impl Tile<'_> {
    fn run(&self, panel: &[f32], bias: &[f32], out: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if super::avx2() {
            // SAFETY: the CPU has AVX2 and FMA.
            #[expect(unsafe_code, reason = "vectors")]
            unsafe {
                return vector::tile(self, panel, bias, out);
            }
        }
        self.plain(|at| panel[at], bias, out);
    }

    fn run_half(&self, panel: &[half::f16], bias: &[f32], out: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if super::avx2() {
            // SAFETY: the CPU has AVX2, FMA and F16C.
            #[expect(unsafe_code, reason = "vectors")]
            unsafe {
                return vector::tile_half(self, panel, bias, out);
            }
        }
        self.plain(|at| panel[at].to_f32(), bias, out);
    }

    /// Writes the sums of a row, of which a panel may have too many.
    fn put(&self, row: usize, sums: &[f32; WIDE], out: &mut [f32]) {
        let start = row * self.stride + self.column;
        for (lane, (to, sum)) in out[start..start + self.width].iter_mut().zip(sums).enumerate() {
            *to = self.then.apply(start + lane, *sum);
        }
    }

    fn plain(&self, weight: impl Fn(usize) -> f32, bias: &[f32], out: &mut [f32]) {
        for row in 0..self.rows {
            let mut sums = [0.0_f32; WIDE];
            sums.copy_from_slice(bias);
            for (input, a) in self.a[row * self.inputs..][..self.inputs].iter().enumerate() {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    *sum += a * weight(input * WIDE + lane);
                }
            }
            self.put(row, &sums, out);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vectors; each function says what it relies on")]
mod vector;

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    /// Numbers without a pattern, from -1 to 1.
    #[expect(clippy::cast_possible_truncation, reason = "f32 is what is wanted")]
    fn noise(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0
        };
        (0..count).map(|_| next() as f32).collect()
    }

    #[test]
    fn products_are_those_of_candle() {
        for (rows, inputs, outputs) in
            [(1, 3, 1), (1, 384, 1000), (2, 17, 24), (7, 96, 40), (61, 24, 40), (49, 320, 130), (100, 1, 16)]
        {
            let (a, weights, bias) = (noise(rows * inputs, 1), noise(outputs * inputs, 2), noise(outputs, 3));
            let halves: Vec<half::f16> = weights.iter().map(|x| half::f16::from_f32(*x)).collect();
            let wide: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
            let device = Device::Cpu;
            let product = |weights: &[f32]| {
                let weights = Tensor::from_slice(weights, (outputs, inputs), &device).unwrap();
                let a = Tensor::from_slice(&a, (rows, inputs), &device).unwrap();
                let bias = Tensor::from_slice(&bias, outputs, &device).unwrap();
                let product = a.matmul(&weights.t().unwrap()).unwrap().broadcast_add(&bias).unwrap();
                product.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            let check = |linear: &Linear, theirs: &[f32]| {
                let other = noise(rows * outputs, 4);
                let mut ours = vec![0.0; rows * outputs];
                linear.run(&a, rows, Then::Keep, &mut ours);
                let mut sum = vec![0.0; rows * outputs];
                linear.run(&a, rows, Then::Add(&other), &mut sum);
                #[cfg(feature = "vision")]
                {
                    let mut cut = vec![0.0; rows * outputs];
                    linear.run(&a, rows, Then::Relu6, &mut cut);
                    for (cut, theirs) in cut.iter().zip(theirs) {
                        assert!((cut - theirs.clamp(0.0, 6.0)).abs() < 2e-4, "{rows}x{inputs}x{outputs}");
                    }
                }
                for index in 0..theirs.len() {
                    let (ours, theirs, other) = (ours[index], theirs[index], other[index]);
                    assert!((ours - theirs).abs() < 2e-4, "{rows}x{inputs}x{outputs}: {ours} {theirs}");
                    assert!((sum[index] - theirs - other).abs() < 2e-4, "{rows}x{inputs}x{outputs}");
                }
                // The path for other CPUs.
                let then = Then::Keep;
                let tile = Tile { a: &a, inputs, rows, column: 0, stride: WIDE, width: WIDE, then };
                let mut plain = vec![0.0; rows * WIDE];
                match &linear.panels {
                    Panels::F32(panels) => tile.plain(|at| panels[at], &linear.bias[..WIDE], &mut plain),
                    Panels::F16(panels) => {
                        tile.plain(|at| panels[at].to_f32(), &linear.bias[..WIDE], &mut plain);
                    }
                }
                for row in 0..rows {
                    assert!((plain[row * WIDE] - theirs[row * outputs]).abs() < 2e-4);
                }
            };
            check(&Linear::new(&weights, outputs, inputs, &bias), &product(&weights));
            #[cfg(feature = "speech")]
            check(&Linear::half(&halves, outputs, inputs, &bias), &product(&wide));
            #[cfg(not(feature = "speech"))]
            let _ = wide;
        }
    }
}
