//! The product of a few rows of activations with a group of interleaved weight rows: the innermost loop.

use super::format::{BLOCK, Format, ROWS};
use super::isa::Isa;
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// How far ahead of the product weights are asked for. A single row of activations reads each weight once, so memory sets
/// its pace. Measured on a Zen 5: 8 to 16 KiB are best, 1 KiB is as bad as none.
const AHEAD: usize = 8192;

/// Rows of activations as pointers; see [`super::activations::Activations`].
#[derive(Clone, Copy)]
pub(super) struct Operand {
    pub(super) quants: *const i8,
    pub(super) scales: *const f32,
    pub(super) sums: *const i32,
    pub(super) offsets: *const f32,
    /// The blocks of a row.
    pub(super) blocks: usize,
}

impl Operand {
    /// The rows from `row` on.
    ///
    /// # Safety
    /// There is such a row.
    #[inline(always)]
    pub(super) unsafe fn at_row(self, row: usize) -> Self {
        // SAFETY: within the four arrays, as the caller promises.
        unsafe {
            Self {
                quants: self.quants.add(row * self.blocks * BLOCK),
                scales: self.scales.add(row * self.blocks),
                sums: self.sums.add(row * self.blocks),
                offsets: self.offsets.add(row * self.blocks),
                blocks: self.blocks,
            }
        }
    }
}

/// What differs from format to format, known when the loop is compiled.
pub(super) trait Packed {
    const FORMAT: Format;
    /// The bytes of an interleaved block.
    const BYTES: usize = Self::FORMAT.block_bytes() * ROWS;
    /// Where its quants begin.
    const QUANTS: usize = Self::FORMAT.scales() * ROWS * 2;

    /// What times the sum of the activations is missing from [`Packed::dot`].
    fn bias<I: Isa>() -> i32;

    /// The sums of products of one block with `M` rows of activations, `stride` apart.
    ///
    /// # Safety
    /// `weights` has the block's quants for the lanes, `activations` has `M` rows of 32, and the CPU has `I`.
    unsafe fn dot<I: Isa, const M: usize>(
        weights: *const u8,
        activations: *const i8,
        stride: usize,
    ) -> [I::Int; M];
}

pub(super) struct Q4_0;
pub(super) struct Q4_1;
pub(super) struct Q8_0;

impl Packed for Q4_0 {
    const FORMAT: Format = Format::Q4_0;

    fn bias<I: Isa>() -> i32 {
        -8
    }

    #[inline(always)]
    unsafe fn dot<I: Isa, const M: usize>(
        weights: *const u8,
        activations: *const i8,
        stride: usize,
    ) -> [I::Int; M] {
        // SAFETY: as the caller promises.
        unsafe { dot_nibbles::<I, M>(weights, activations, stride) }
    }
}

impl Packed for Q4_1 {
    const FORMAT: Format = Format::Q4_1;

    fn bias<I: Isa>() -> i32 {
        0
    }

    #[inline(always)]
    unsafe fn dot<I: Isa, const M: usize>(
        weights: *const u8,
        activations: *const i8,
        stride: usize,
    ) -> [I::Int; M] {
        // SAFETY: as the caller promises.
        unsafe { dot_nibbles::<I, M>(weights, activations, stride) }
    }
}

impl Packed for Q8_0 {
    const FORMAT: Format = Format::Q8_0;

    fn bias<I: Isa>() -> i32 {
        I::SIGNED_BIAS
    }

    #[inline(always)]
    unsafe fn dot<I: Isa, const M: usize>(
        weights: *const u8,
        activations: *const i8,
        stride: usize,
    ) -> [I::Int; M] {
        // SAFETY: the eight vectors of quants are 4 · ROWS bytes apart; a row of activations has 32.
        unsafe {
            let mut sums = [I::zero_int(); M];
            for four in 0..BLOCK / 4 {
                let weights = I::load_bytes(weights.add(four * 4 * ROWS));
                for (row, sum) in sums.iter_mut().enumerate() {
                    *sum = I::dot_signed(*sum, weights, I::four(activations.add(row * stride + 4 * four)));
                }
            }
            sums
        }
    }
}

#[inline(always)]
unsafe fn dot_nibbles<I: Isa, const M: usize>(
    weights: *const u8,
    activations: *const i8,
    stride: usize,
) -> [I::Int; M] {
    // SAFETY: the four vectors of quants are 4 · ROWS bytes apart; a row of activations has 32. Each accumulator takes
    // eight products.
    unsafe {
        let mut sums = [I::zero_int(); M];
        for eight in 0..BLOCK / 8 {
            let (low, high) = I::nibbles(I::load_bytes(weights.add(eight * 4 * ROWS)));
            for (row, sum) in sums.iter_mut().enumerate() {
                let activations = activations.add(row * stride + 8 * eight);
                *sum = I::dot_nibbles(*sum, low, I::four(activations));
                *sum = I::dot_nibbles(*sum, high, I::four(activations.add(4)));
            }
        }
        sums.map(|sum| I::widen(sum))
    }
}

/// The products of `M` rows of activations with the lanes from `first` on of a group, `H` vectors of them.
///
/// # Safety
/// `weights` has `rows.blocks` interleaved blocks, `rows` has `M` rows, `first + H · LANES` is at most [`ROWS`], and the
/// CPU has `I`.
#[inline(always)]
pub(super) unsafe fn tile<I: Isa, P: Packed, const M: usize, const H: usize>(
    weights: *const u8,
    first: usize,
    rows: Operand,
) -> [[I::Float; H]; M] {
    // SAFETY: blocks are BYTES apart; scales, minima and quants are where the format has them. A prefetch may be of any
    // address.
    unsafe {
        let mut totals = [[I::splat(0.0); H]; M];
        for column in 0..rows.blocks {
            let block = weights.add(column * P::BYTES);
            if M == 1 {
                for line in (0..P::BYTES).step_by(64) {
                    _mm_prefetch::<_MM_HINT_T0>(block.wrapping_add(AHEAD + line).cast());
                }
            }
            for half in 0..H {
                let lane = first + half * I::LANES;
                let scales = I::load_halves(block.add(2 * lane).cast());
                let sums = P::dot::<I, M>(
                    block.add(P::QUANTS + 4 * lane),
                    rows.quants.add(column * BLOCK),
                    rows.blocks * BLOCK,
                );
                for (row, (total, sum)) in totals.iter_mut().zip(sums).enumerate() {
                    let at = row * rows.blocks + column;
                    let sum = I::to_float(sum, P::bias::<I>() * *rows.sums.add(at));
                    let scales = I::mul(scales, I::splat(*rows.scales.add(at)));
                    total[half] = I::mul_add(sum, scales, total[half]);
                    if P::FORMAT.scales() == 2 {
                        let minima = I::load_halves(block.add(2 * (ROWS + lane)).cast());
                        total[half] = I::mul_add(minima, I::splat(*rows.offsets.add(at)), total[half]);
                    }
                }
            }
        }
        totals
    }
}
