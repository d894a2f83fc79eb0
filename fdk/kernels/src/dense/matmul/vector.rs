//! Tiles of plain products, written once over vectors and compiled for each instruction set.

use super::super::kernel;
use super::Then;
use super::tile::Tile;
use crate::lanes::Lanes;
use crate::tile::{Number, Packed, STRIP, tile};
use std::ops::Range;

/// The most rows of one strip, or twice those of two, that are computed at once on any CPU.
pub(super) const MOST: usize = 22;

kernel! {
    /// f16 to f32.
    pub(super) fn widen(from: &[u16], to: &mut [f32]) = widen_with;

    /// All rows against the strips of a tile.
    pub(super) fn strips(tile: &Tile<'_>, weights: &[f32], bias: &[f32], out: &mut [f32]) = strips_of_f32;

    /// The same of f16.
    pub(super) fn strips_half(tile: &Tile<'_>, weights: &[u16], bias: &[f32], out: &mut [f32]) = strips_of_f16;
}

#[inline(always)]
unsafe fn widen_with<L: Lanes>(from: &[u16], to: &mut [f32]) {
    assert!(from.len() == to.len() && from.len().is_multiple_of(STRIP), "strips are whole");
    for at in (0..from.len()).step_by(L::WIDTH) {
        // SAFETY: both have a vector there, for a strip is of whole ones.
        unsafe { L::store(to.as_mut_ptr().add(at), L::load_f16(from.as_ptr().add(at))) };
    }
}

#[inline(always)]
unsafe fn strips_of_f32<L: Lanes>(tile: &Tile<'_>, weights: &[f32], bias: &[f32], out: &mut [f32]) {
    // SAFETY: the caller's.
    unsafe { strips_of::<L, f32>(tile, weights, bias, out) }
}

#[inline(always)]
unsafe fn strips_of_f16<L: Lanes>(tile: &Tile<'_>, weights: &[u16], bias: &[f32], out: &mut [f32]) {
    // SAFETY: the caller's.
    unsafe { strips_of::<L, u16>(tile, weights, bias, out) }
}

/// Two strips side by side where a vector is as wide as one, for they share the inputs; else one after the other.
#[inline(always)]
unsafe fn strips_of<L: Lanes, N: Number>(tile: &Tile<'_>, weights: &[N], bias: &[f32], out: &mut [f32]) {
    let (strips, size) = (tile.strips(), tile.inputs * STRIP);
    assert!(weights.len() == strips * size && bias.len() == strips * STRIP, "a strip has sixteen outputs");
    // SAFETY: the caller's; the weights and the bias have been counted.
    unsafe {
        if L::WIDTH == STRIP && strips == 2 {
            return rows_of::<L, N, 2>(tile, 0, size, weights.as_ptr(), bias.as_ptr(), out);
        }
        for strip in 0..strips {
            let (weights, bias) = (weights.as_ptr().add(strip * size), bias.as_ptr().add(strip * STRIP));
            if L::WIDTH == STRIP {
                rows_of::<L, N, 1>(tile, strip, 0, weights, bias, out);
            } else {
                rows_of::<L, N, 2>(tile, strip, L::WIDTH, weights, bias, out);
            }
        }
    }
}

/// All rows against so many vectors of outputs, `between` numbers apart, in blocks of like height: a single row at the end
/// would take as long as four.
#[inline(always)]
unsafe fn rows_of<L: Lanes, N: Number, const VECTORS: usize>(
    tile: &Tile<'_>,
    strip: usize,
    between: usize,
    weights: *const N,
    bias: *const f32,
    out: &mut [f32],
) {
    let most = L::ROWS * 2 / VECTORS;
    let blocks = tile.rows.div_ceil(most);
    let mut sums = [0.0; MOST * STRIP];
    let mut row = 0;
    for block in 0..blocks {
        let count = (tile.rows - row).div_ceil(blocks - block);
        let packed = Packed { weights, apart: STRIP, between };
        let input = &tile.a[row * tile.inputs..(row + count) * tile.inputs];
        macro_rules! block {
            ($($rows:literal)*) => {
                match count {
                    $($rows if $rows <= L::ROWS * 2 / VECTORS => {
                        block_of::<L, N, $rows, VECTORS>(input, tile.inputs, packed, bias, &mut sums);
                    })*
                    _ => unreachable!("a block has no more rows than registers"),
                }
            };
        }
        // SAFETY: the caller's; the input has so many rows.
        unsafe {
            block!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22);
            finish::<L, VECTORS>(tile, row..row + count, strip * STRIP, &sums, out);
        }
        row += count;
    }
}

#[inline(always)]
unsafe fn block_of<L: Lanes, N: Number, const ROWS: usize, const VECTORS: usize>(
    input: &[f32],
    inputs: usize,
    packed: Packed<N>,
    bias: *const f32,
    to: &mut [f32; MOST * STRIP],
) {
    assert!(ROWS * VECTORS * L::WIDTH <= MOST * STRIP, "a block has no more rows than registers");
    // SAFETY: the caller's, for these rows; what is written has just been counted.
    unsafe {
        let mut sums = [[L::zero(); VECTORS]; ROWS];
        for sums in &mut sums {
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum = L::load(bias.add(index * L::WIDTH));
            }
        }
        let sums = tile::<L, N, ROWS, VECTORS, true>(sums, input.as_ptr(), inputs, packed, inputs);
        for (number, sum) in sums.as_flattened().iter().enumerate() {
            L::store(to.as_mut_ptr().add(number * L::WIDTH), *sum);
        }
    }
}

/// Writes sums of some rows, each as many as the vectors have and from one column of the tile on, after what is done to them. By
/// itself, so that it is not unrolled with every height of a block.
///
/// # Safety
/// The CPU must have the vectors' instructions.
#[inline(always)]
pub(super) unsafe fn finish<L: Lanes, const VECTORS: usize>(
    tile: &Tile<'_>,
    rows: Range<usize>,
    column: usize,
    sums: &[f32; MOST * STRIP],
    out: &mut [f32],
) {
    let width = VECTORS * L::WIDTH;
    let first = rows.start * tile.stride + tile.column + column;
    let (there, last) = (width.min(tile.width - column), first + (rows.len() - 1) * tile.stride);
    assert!(rows.len() * width <= sums.len() && last + there <= out.len(), "the shapes do not fit");
    if there < width {
        for (row, sums) in sums.chunks_exact(width).take(rows.len()).enumerate() {
            let start = first + row * tile.stride;
            for (at, (to, sum)) in out[start..start + there].iter_mut().zip(sums).enumerate() {
                *to = tile.then.apply(start + at, *sum);
            }
        }
        return;
    }
    macro_rules! each {
        ($sum:ident, $place:ident => $done:expr) => {
            for row in 0..rows.len() {
                for vector in 0..VECTORS {
                    let $place = first + row * tile.stride + vector * L::WIDTH;
                    // SAFETY: the sums are as many as the rows have, and the last row's end is within `out`.
                    unsafe {
                        let $sum = L::load(sums.as_ptr().add(row * width + vector * L::WIDTH));
                        L::store(out.as_mut_ptr().add($place), $done);
                    }
                }
            }
        };
    }
    match tile.then {
        // In this order a NaN stays one.
        Then::Relu6 => each!(sum, place => L::min(L::splat(6.0), L::max(L::zero(), sum))),
        Then::Add(other) => {
            assert!(last + there <= other.len(), "the shapes do not fit");
            each!(sum, place => L::add(sum, L::load(other.as_ptr().add(place))));
        }
        _ => each!(sum, place => sum),
    }
}
