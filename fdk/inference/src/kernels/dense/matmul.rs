//! `A · Wᵀ + bias` with weights packed once: in strips of sixteen outputs, as f32 or as the f16 they were stored in.

#[cfg(target_arch = "x86_64")]
mod brief;
mod vector;

#[cfg(feature = "speech")]
use super::elementwise;
use super::lined::{Lined, Table};
#[cfg(feature = "vision")]
use crate::error::Error;
use crate::kernels::Isa;
use crate::kernels::tile::{STRIP, strips};
#[cfg(feature = "vision")]
use crate::prepared::Prepared;
use std::cell::RefCell;
use std::ops::Range;

/// Blocks of rows are of a multiple of these, the rows of a tile.
const TALL: usize = 6;
/// About the bytes of A, and a quarter of those of the outputs, that one worker takes up at a time: what a second-level cache
/// has room for.
const BLOCK_BYTES: usize = 128 * 1024;
/// From so many rows on it pays to widen f16 weights once instead of in the innermost loop.
const WIDEN_FROM: usize = 12;

/// Weights of so many bytes stay in the nearest cache beside a few rows, which are then finished before the next few.
const NEAR_BYTES: usize = 16 * 1024;
/// How many rows those few are.
const FEW: usize = 4 * TALL;

/// Multiplications below which a second thread costs more than it brings: it takes some microseconds to wake.
const SMALL: usize = 1 << 18;

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// What a thread needs for weights and rows of another type than they are kept in, kept from call to call.
#[derive(Default)]
struct Room {
    wide: Lined,
    #[cfg(target_arch = "x86_64")]
    brief: Lined<u16>,
    #[cfg(target_arch = "x86_64")]
    near: Lined<u16>,
}

/// The weights of a linear layer, packed.
pub(crate) struct Linear {
    inputs: usize,
    outputs: usize,
    weights: Weights,
    /// Of as many outputs as the strips have.
    bias: Table<f32>,
}

/// In strips, the last filled up with zeros.
enum Weights {
    F32(Table<f32>),
    /// By their bits.
    F16(Table<u16>, Products),
}

/// How weights of half precision are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Products {
    /// Widened to f32.
    #[cfg_attr(not(feature = "speech"), allow(dead_code, reason = "only Whisper's are"))]
    Exact,
    /// Where the CPU can, rounded to bfloat16 as the inputs are.
    #[cfg_attr(not(feature = "vision"), allow(dead_code, reason = "only those of pictures are"))]
    Brief,
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
    #[cfg(any(feature = "speech", test))]
    pub(crate) fn new(weights: &[f32], outputs: usize, inputs: usize, bias: &[f32]) -> Self {
        assert_eq!(weights.len(), outputs * inputs, "the shapes do not fit");
        Self {
            bias: padded(bias, outputs),
            ..Self::of(outputs, inputs, |output, input| weights[output * inputs + input])
        }
    }

    /// Packs what is given output by output and input by input, without a bias.
    #[cfg(any(feature = "speech", test))]
    pub(crate) fn of(outputs: usize, inputs: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let weights = strips(
            outputs,
            inputs,
            |output, input| if output < outputs { weight(output, input) } else { 0.0 },
        );
        let weights = Weights::F32(Table::Own(Lined::of(&weights)));
        Self { inputs, outputs, weights, bias: padded(&[], outputs) }
    }

    /// As [`Linear::new`], kept in half precision: half the memory to read through, and widened in a register.
    #[cfg(feature = "speech")]
    pub(crate) fn half(weights: &[half::f16], outputs: usize, inputs: usize, bias: &[f32]) -> Self {
        assert_eq!(weights.len(), outputs * inputs, "the shapes do not fit");
        let weight = |output: usize, input: usize| {
            if output < outputs { weights[output * inputs + input].to_bits() } else { 0 }
        };
        let weights = Table::Own(Lined::of(&strips(outputs, inputs, weight)));
        Self { inputs, outputs, weights: Weights::F16(weights, Products::Exact), bias: padded(bias, outputs) }
    }

    /// The layer of this name in a prepared file, in place.
    #[cfg(feature = "vision")]
    pub(crate) fn open(file: &Prepared, name: &str, outputs: usize, inputs: usize) -> Result<Self, Error> {
        let filled = outputs.next_multiple_of(STRIP);
        let (name, bias) = (format!("{name}.weights"), format!("{name}.bias"));
        let weights = match file.precision() {
            "f32" => Weights::F32(Table::Mapped(file.exactly(&name, filled * inputs)?)),
            _ => Weights::F16(Table::Mapped(file.exactly(&name, filled * inputs)?), Products::Brief),
        };
        Ok(Self { inputs, outputs, weights, bias: Table::Mapped(file.exactly(&bias, filled)?) })
    }

    /// Adds the weights of one output to a list, as they were before they were packed.
    #[cfg(feature = "speech")]
    pub(crate) fn row(&self, output: usize, row: &mut Vec<f32>) {
        let first = output / STRIP * self.inputs * STRIP + output % STRIP;
        let places = (0..self.inputs).map(|input| first + input * STRIP);
        match &self.weights {
            Weights::F32(weights) => row.extend(places.map(|at| weights[at])),
            Weights::F16(weights, _) => {
                row.extend(places.map(|at| half::f16::from_bits(weights[at]).to_f32()))
            }
        }
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
            let share = self.outputs.div_ceil(threads).next_multiple_of(STRIP);
            super::share(out, share, |index, out| {
                self.columns(
                    *super::ISA,
                    a,
                    1,
                    index * share..index * share + out.len(),
                    then.from(index * share),
                    out,
                );
            });
            return;
        }
        let block = (BLOCK_BYTES / 4 / self.inputs.max(self.outputs / 4)).next_multiple_of(TALL);
        let block = block.min(rows.div_ceil(threads));
        super::share(out, block * self.outputs, |index, out| {
            let rows = out.len() / self.outputs;
            let then = then.from(index * block * self.outputs);
            self.run_here(&a[index * block * self.inputs..], rows, then, out);
        });
    }

    /// As [`Linear::run`], on this thread alone.
    pub(crate) fn run_here(&self, a: &[f32], rows: usize, then: Then<'_>, out: &mut [f32]) {
        self.columns(*super::ISA, a, rows, 0..self.outputs, then, out);
    }

    /// Some outputs of every row, one row after the other in `out`; where one row has only a part of its outputs here, `then`
    /// begins at that part.
    fn columns(
        &self,
        isa: Option<Isa>,
        a: &[f32],
        rows: usize,
        some: Range<usize>,
        then: Then<'_>,
        out: &mut [f32],
    ) {
        ROOM.with_borrow_mut(|room| {
            let (size, count) = (self.inputs * STRIP, some.len());
            let brief = self.rounded(isa, &a[..rows * self.inputs], room);
            let at_once = if size * count.div_ceil(STRIP) * 4 <= NEAR_BYTES { FEW } else { rows };
            for row in (0..rows).step_by(at_once.max(1)) {
                let out = &mut out[row * count..];
                for column in (0..count).step_by(Tile::WIDEST) {
                    let tile = Tile {
                        a: &a[row * self.inputs..],
                        inputs: self.inputs,
                        rows: at_once.min(rows - row),
                        column,
                        stride: count,
                        width: Tile::WIDEST.min(count - column),
                        then: then.from(row * count),
                    };
                    let first = (some.start + column) / STRIP;
                    let strips = first..first + tile.strips();
                    let bias = &self.bias[strips.start * STRIP..strips.end * STRIP];
                    let range = strips.start * size..strips.end * size;
                    match &self.weights {
                        Weights::F32(weights) => tile.run(isa, &weights[range], bias, out),
                        #[cfg(target_arch = "x86_64")]
                        Weights::F16(weights, _) if brief => {
                            let input = &room.brief[row * self.inputs..];
                            tile.run_brief(input, &weights[range], bias, &mut room.near, out);
                        }
                        Weights::F16(weights, _) => {
                            tile.run_half(isa, &weights[range], bias, &mut room.wide, out)
                        }
                    }
                }
            }
        });
        #[cfg(feature = "speech")]
        if matches!(then, Then::Gelu) {
            elementwise::gelu(out);
        }
    }

    /// Rounds the inputs where that is how they are multiplied.
    fn rounded(&self, isa: Option<Isa>, a: &[f32], room: &mut Room) -> bool {
        #[cfg(target_arch = "x86_64")]
        if matches!(self.weights, Weights::F16(_, Products::Brief))
            && isa == Some(Isa::Avx512Bf16)
            && self.inputs.is_multiple_of(2)
        {
            // SAFETY: the CPU has what `isa` says.
            unsafe { brief::round(a, room.brief.room(a.len())) };
            return true;
        }
        let _ = (isa, a, room);
        false
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

#[cfg(any(feature = "speech", test))]
fn padded(bias: &[f32], outputs: usize) -> Table<f32> {
    let mut padded = bias.to_vec();
    padded.resize(outputs.next_multiple_of(STRIP), 0.0);
    Table::Own(Lined::of(&padded))
}

/// One or two strips against all rows of a block.
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
    /// Two strips.
    const WIDEST: usize = 2 * STRIP;

    fn strips(&self) -> usize {
        self.width.div_ceil(STRIP)
    }

    fn run(&self, isa: Option<Isa>, weights: &[f32], bias: &[f32], out: &mut [f32]) {
        // SAFETY: the CPU has what `isa` says.
        unsafe { vector::strips(isa, self, weights, bias, out) }
    }

    fn run_half(&self, isa: Option<Isa>, weights: &[u16], bias: &[f32], wide: &mut Lined, out: &mut [f32]) {
        // SAFETY: as above.
        unsafe {
            if self.rows < WIDEN_FROM {
                return vector::strips_half(isa, self, weights, bias, out);
            }
            let wide = wide.room(weights.len());
            vector::widen(isa, weights, wide);
            vector::strips(isa, self, wide, bias, out);
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn run_brief(
        &self,
        input: &[u16],
        weights: &[u16],
        bias: &[f32],
        near: &mut Lined<u16>,
        out: &mut [f32],
    ) {
        // SAFETY: inputs are rounded only where the CPU has the features.
        unsafe { brief::strips(self, input, weights, bias, near.room(weights.len()), out) }
    }
}

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

    const SHAPES: [(usize, usize, usize); 9] = [
        (1, 3, 1),
        (1, 384, 1000),
        (2, 17, 24),
        (7, 96, 40),
        (61, 24, 40),
        (49, 320, 130),
        (23, 28, 16),
        (25, 240, 48),
        (100, 1, 16),
    ];

    fn halved(weights: &[f32]) -> Vec<half::f16> {
        weights.iter().map(|x| half::f16::from_f32(*x)).collect()
    }

    /// A layer as a prepared file of half precision has it.
    #[cfg(feature = "vision")]
    fn brief(weights: &[f32], outputs: usize, inputs: usize, bias: &[f32]) -> Linear {
        let halves = halved(weights);
        let weight = |output: usize, input: usize| {
            if output < outputs { halves[output * inputs + input].to_bits() } else { 0 }
        };
        let weights = Table::Own(Lined::of(&strips(outputs, inputs, weight)));
        Linear {
            inputs,
            outputs,
            weights: Weights::F16(weights, Products::Brief),
            bias: padded(bias, outputs),
        }
    }

    /// Runs a layer with everything that can be done to its outputs, on whatever can run here.
    fn check(linear: &Linear, a: &[f32], rows: usize, expected: impl Fn(Option<Isa>) -> Vec<f32>) {
        let outputs = linear.outputs;
        let isas = Isa::all().into_iter().map(Some).chain([None]);
        for isa in isas {
            let expected = expected(isa);
            let other = noise(rows * outputs, 4);
            let run = |then: Then<'_>| {
                let mut out = vec![f32::NAN; rows * outputs];
                linear.columns(isa, a, rows, 0..outputs, then, &mut out);
                out
            };
            let added = run(Then::Add(&other));
            #[cfg(feature = "vision")]
            let cut = run(Then::Relu6);
            for (index, ours) in run(Then::Keep).into_iter().enumerate() {
                let of = || format!("{isa:?} {rows}×{}×{outputs} at {index}", linear.inputs);
                let close = |x: f32, y: f32| assert!((x - y).abs() < 2e-4, "{}: {x} {y}", of());
                close(ours, expected[index]);
                close(added[index], expected[index] + other[index]);
                #[cfg(feature = "vision")]
                close(cut[index], expected[index].clamp(0.0, 6.0));
            }
            if rows == 1 && outputs > 2 * STRIP {
                let mut out = vec![f32::NAN; outputs - 2 * STRIP];
                linear.columns(isa, a, 1, 2 * STRIP..outputs, Then::Keep, &mut out);
                let exact = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(
                    exact(&out),
                    exact(&run(Then::Keep)[2 * STRIP..]),
                    "a part is as it is in the whole"
                );
            }
        }
    }

    fn product(a: &[f32], weights: &[f32], bias: &[f32], inputs: usize) -> Vec<f32> {
        let device = Device::Cpu;
        let weights = Tensor::from_slice(weights, (bias.len(), inputs), &device).unwrap();
        let a = Tensor::from_slice(a, (a.len() / inputs, inputs), &device).unwrap();
        let bias = Tensor::from_slice(bias, bias.len(), &device).unwrap();
        let product = a.matmul(&weights.t().unwrap()).unwrap().broadcast_add(&bias).unwrap();
        product.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    }

    #[test]
    fn products_are_those_of_candle() {
        for (rows, inputs, outputs) in SHAPES {
            let (a, weights, bias) = (noise(rows * inputs, 1), noise(outputs * inputs, 2), noise(outputs, 3));
            let theirs = product(&a, &weights, &bias, inputs);
            let ours = Linear::new(&weights, outputs, inputs, &bias);
            check(&ours, &a, rows, |_| theirs.clone());
            // As the threads of the process share it.
            let mut shared = vec![f32::NAN; rows * outputs];
            ours.run(&a, rows, Then::Keep, &mut shared);
            assert!(shared.iter().zip(&theirs).all(|(x, y)| (x - y).abs() < 2e-4));
            #[cfg(feature = "speech")]
            {
                let halves = halved(&weights);
                let wide: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
                let theirs = product(&a, &wide, &bias, inputs);
                check(&Linear::half(&halves, outputs, inputs, &bias), &a, rows, |_| theirs.clone());
            }
        }
    }

    /// Where the CPU has bfloat16, and with an odd number of inputs nowhere.
    #[cfg(feature = "vision")]
    #[test]
    fn brief_products_are_those_of_rounded_numbers() {
        for (rows, inputs, outputs) in SHAPES {
            let (a, weights, bias) = (noise(rows * inputs, 1), noise(outputs * inputs, 2), noise(outputs, 3));
            let wide: Vec<f32> = halved(&weights).iter().map(|x| x.to_f32()).collect();
            let rounded = |numbers: &[f32]| -> Vec<f32> {
                numbers.iter().map(|x| half::bf16::from_f32(*x).to_f32()).collect()
            };
            check(&brief(&weights, outputs, inputs, &bias), &a, rows, |isa| match isa {
                #[cfg(target_arch = "x86_64")]
                Some(Isa::Avx512Bf16) if inputs.is_multiple_of(2) => {
                    product(&rounded(&a), &rounded(&wide), &bias, inputs)
                }
                _ => product(&a, &wide, &bias, inputs),
            });
        }
    }

    #[cfg(feature = "vision")]
    #[test]
    fn what_is_no_number_stays_so() {
        let mut a = noise(24 * 32, 1);
        (a[0], a[33], a[66]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
        let weights = noise(40 * 32, 2);
        let layers = [Linear::new(&weights, 40, 32, &noise(40, 3)), brief(&weights, 40, 32, &noise(40, 3))];
        for (isa, linear) in
            Isa::all().into_iter().flat_map(|isa| layers.iter().map(move |layer| (isa, layer)))
        {
            let mut out = vec![0.0; 24 * 40];
            linear.columns(Some(isa), &a, 24, 0..40, Then::Relu6, &mut out);
            assert!(out[..40].iter().all(|x| x.is_nan()), "{isa:?}: {:?}", &out[..40]);
            assert!(out[40..120].iter().all(|x| *x == 0.0 || *x == 6.0), "{isa:?}: {:?}", &out[40..120]);
        }
    }
}
