//! `A · Wᵀ + bias` with weights packed once: in strips of sixteen outputs, as f32 or as the f16 they were stored in.

#[cfg(target_arch = "x86_64")]
mod brief;
mod tile;
mod vector;

use super::elementwise;
use super::lined::{Lined, Table};
use crate::Isa;
#[cfg(target_arch = "x86_64")]
use crate::isa::Set;
use crate::numbers::Numbers;
use crate::tile::STRIP;
use crate::tile::strips;
use std::cell::RefCell;
use std::ops::Range;
use tile::Tile;

/// Rows of the lowest tile: blocks that are as large as a cache allows are of a multiple of these.
const TALL: usize = 6;
/// About the bytes of A, and a quarter of those of the outputs, that one worker takes up at a time: what a second-level cache
/// has room for.
const BLOCK_BYTES: usize = 128 * 1024;

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
pub struct Linear {
    inputs: usize,
    outputs: usize,
    weights: Weights,
    /// Of as many outputs as the strips have.
    bias: Table<f32>,
}

/// Packed weights of a mapped file, in strips.
#[derive(Debug)]
pub enum Mapped {
    /// As f32.
    F32(Numbers<f32>),
    /// As the bits of f16; multiplied as bfloat16 where the CPU can.
    F16(Numbers<u16>),
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
    Exact,
    /// Where the CPU can, rounded to bfloat16 as the inputs are.
    Brief,
}

/// What is done to the outputs while they are in registers, or GELU in the cache.
#[derive(Clone, Copy)]
pub enum Then<'a> {
    /// Nothing.
    Keep,
    /// They are cut to 0 … 6.
    Relu6,
    /// `x * Φ(x)`.
    Gelu,
    /// These are added, laid out as the outputs are.
    Add(&'a [f32]),
}

impl Linear {
    /// Packs weights of `outputs` rows of `inputs` numbers each. The bias may be empty.
    pub fn new(weights: &[f32], outputs: usize, inputs: usize, bias: &[f32]) -> Self {
        assert_eq!(weights.len(), outputs * inputs, "the shapes do not fit");
        Self {
            bias: padded(bias, outputs),
            ..Self::of(outputs, inputs, |output, input| weights[output * inputs + input])
        }
    }

    /// Packs what is given output by output and input by input, without a bias.
    pub fn of(outputs: usize, inputs: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let weights = strips(
            outputs,
            inputs,
            |output, input| if output < outputs { weight(output, input) } else { 0.0 },
        );
        let weights = Weights::F32(Table::Own(Lined::of(&weights)));
        Self { inputs, outputs, weights, bias: padded(&[], outputs) }
    }

    /// As [`Linear::new`], kept in half precision: half the memory to read through, and widened in a register.
    pub fn half(weights: &[half::f16], outputs: usize, inputs: usize, bias: &[f32]) -> Self {
        assert_eq!(weights.len(), outputs * inputs, "the shapes do not fit");
        let weight = |output: usize, input: usize| {
            if output < outputs { weights[output * inputs + input].to_bits() } else { 0 }
        };
        let weights = Table::Own(Lined::of(&strips(outputs, inputs, weight)));
        Self { inputs, outputs, weights: Weights::F16(weights, Products::Exact), bias: padded(bias, outputs) }
    }

    /// A layer that was packed before, in place: the strips of its weights, and as many numbers of bias as they have outputs.
    /// `None` when either is of another size.
    pub fn mapped(weights: Mapped, bias: Numbers<f32>, outputs: usize, inputs: usize) -> Option<Self> {
        let filled = outputs.next_multiple_of(STRIP);
        let (count, weights) = match weights {
            Mapped::F32(weights) => (weights.get().len(), Weights::F32(Table::Mapped(weights))),
            Mapped::F16(weights) => {
                (weights.get().len(), Weights::F16(Table::Mapped(weights), Products::Brief))
            }
        };
        let fits = Some(count) == filled.checked_mul(inputs) && bias.get().len() == filled;
        fits.then_some(Self { inputs, outputs, weights, bias: Table::Mapped(bias) })
    }

    /// Adds the weights of one output to a list, as they were before they were packed.
    pub fn row(&self, output: usize, row: &mut Vec<f32>) {
        let first = output / STRIP * self.inputs * STRIP + output % STRIP;
        let places = (0..self.inputs).map(|input| first + input * STRIP);
        match &self.weights {
            Weights::F32(weights) => row.extend(places.map(|at| weights[at])),
            Weights::F16(weights, _) => {
                row.extend(places.map(|at| half::f16::from_bits(weights[at]).to_f32()));
            }
        }
    }

    /// How many numbers a row of the result has.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Writes `rows × outputs` numbers into `out`, of which `then` is done to each. Work is shared by the threads of the
    /// process: by rows where there are many, by outputs where there are few.
    pub fn run(&self, a: &[f32], rows: usize, then: Then<'_>, out: &mut [f32]) {
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
    pub fn run_here(&self, a: &[f32], rows: usize, then: Then<'_>, out: &mut [f32]) {
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
            #[cfg(target_arch = "x86_64")]
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
                            tile.run_half(isa, &weights[range], bias, &mut room.wide, out);
                        }
                    }
                }
            }
        });
        if matches!(then, Then::Gelu) {
            elementwise::gelu(out);
        }
    }

    /// Rounds the inputs where that is how they are multiplied.
    #[cfg(target_arch = "x86_64")]
    fn rounded(&self, isa: Option<Isa>, a: &[f32], room: &mut Room) -> bool {
        let brief = matches!(self.weights, Weights::F16(_, Products::Brief))
            && isa.map(Isa::set) == Some(Set::Avx512Bf16)
            && self.inputs.is_multiple_of(2);
        if brief {
            // SAFETY: the CPU has what `isa` says.
            unsafe { brief::round(a, room.brief.room(a.len())) };
        }
        brief
    }
}

impl Then<'_> {
    /// The same for what lies `places` further on.
    pub fn from(self, places: usize) -> Self {
        match self {
            Then::Add(other) => Then::Add(&other[places..]),
            other => other,
        }
    }

    /// Does it to one number, which lies there.
    fn apply(self, place: usize, number: f32) -> f32 {
        match self {
            Then::Relu6 => number.clamp(0.0, 6.0),
            Then::Add(other) => number + other[place],
            _ => number,
        }
    }
}

fn padded(bias: &[f32], outputs: usize) -> Table<f32> {
    let mut padded = bias.to_vec();
    padded.resize(outputs.next_multiple_of(STRIP), 0.0);
    Table::Own(Lined::of(&padded))
}

#[cfg(test)]
mod tests;
