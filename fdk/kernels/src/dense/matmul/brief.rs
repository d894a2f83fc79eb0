//! Tiles of products of bfloat16, for weights of half precision on CPUs that have them.

use super::tile::Tile;
use super::vector::{MOST, finish};
use crate::lanes::Avx512;
use crate::pairs::{self, Halves, Near, Pairs, SUMS};
use crate::tile::STRIP;
use std::arch::x86_64::{__m512, _mm512_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps};

/// Rounds rows of an even number of inputs.
///
/// # Safety
/// The CPU must have the features.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn round(from: &[f32], to: &mut [u16]) {
    assert_eq!(from.len(), to.len(), "the shapes do not fit");
    // SAFETY: both are as long; rows without a gap are one.
    unsafe { pairs::round(from.as_ptr(), from.len(), to.as_mut_ptr()) }
}

/// All rows against the strips of a tile, whose inputs are `input`, not its own: one strip after the other where the rows are
/// few, so that their weights are rounded in registers; else both, rounded beforehand into `near`.
///
/// # Safety
/// The CPU must have the features.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
pub(super) unsafe fn strips(
    tile: &Tile<'_>,
    input: &[u16],
    weights: &[u16],
    bias: &[f32],
    near: &mut [u16],
    out: &mut [f32],
) {
    let (strips, size) = (tile.strips(), tile.inputs * STRIP);
    assert!(weights.len() == strips * size && bias.len() == strips * STRIP, "a strip has sixteen outputs");
    assert!(tile.inputs.is_multiple_of(2) && near.len() >= weights.len(), "inputs come in pairs");
    assert!(input.len() >= tile.rows * tile.inputs, "the shapes do not fit");
    let (weights, bias) = (weights.as_ptr(), bias.as_ptr());
    // SAFETY: the caller's; all has been counted.
    unsafe {
        if tile.rows <= SUMS {
            for strip in 0..strips {
                let halves = Halves(weights.add(strip * size), size);
                rows_of::<_, 1>(tile, input, strip, halves, bias.add(strip * STRIP), out);
            }
            return;
        }
        Halves(weights, size).bring(tile.inputs / 2, strips, near.as_mut_ptr());
        let near = Near(near.as_ptr());
        if strips == 2 {
            rows_of::<_, 2>(tile, input, 0, near, bias, out);
        } else {
            rows_of::<_, 1>(tile, input, 0, near, bias, out);
        }
    }
}

/// All rows against so many strips, in blocks of like height.
#[inline(always)]
unsafe fn rows_of<P: Pairs, const STRIPS: usize>(
    tile: &Tile<'_>,
    input: &[u16],
    strip: usize,
    weights: P,
    bias: *const f32,
    out: &mut [f32],
) {
    let blocks = tile.rows.div_ceil(SUMS / STRIPS);
    let mut sums = [0.0; MOST * STRIP];
    let mut row = 0;
    for block in 0..blocks {
        let count = (tile.rows - row).div_ceil(blocks - block);
        let input = &input[row * tile.inputs..(row + count) * tile.inputs];
        macro_rules! block {
            ($($rows:literal)*) => {
                match count {
                    $($rows if $rows <= SUMS / STRIPS => {
                        block_of::<P, $rows, STRIPS>(input, tile.inputs, weights, bias, &mut sums);
                    })*
                    _ => unreachable!("a block has no more rows than registers"),
                }
            };
        }
        // SAFETY: the caller's; the input has so many rows.
        unsafe {
            block!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22);
            finish::<Avx512, STRIPS>(tile, row..row + count, strip * STRIP, &sums, out);
        }
        row += count;
    }
}

#[inline(always)]
unsafe fn block_of<P: Pairs, const ROWS: usize, const STRIPS: usize>(
    input: &[u16],
    inputs: usize,
    weights: P,
    bias: *const f32,
    to: &mut [f32; MOST * STRIP],
) {
    assert!(ROWS * STRIPS <= MOST, "a block has no more rows than registers");
    // SAFETY: the caller's, for these rows; what is written has just been counted.
    unsafe {
        let mut sums: [[__m512; STRIPS]; ROWS] = [[_mm512_setzero_ps(); STRIPS]; ROWS];
        for sums in &mut sums {
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum = _mm512_loadu_ps(bias.add(index * STRIP));
            }
        }
        let sums = pairs::tile(sums, input.as_ptr(), inputs, inputs / 2, weights);
        for (number, sum) in sums.as_flattened().iter().enumerate() {
            _mm512_storeu_ps(to.as_mut_ptr().add(number * STRIP), *sum);
        }
    }
}
