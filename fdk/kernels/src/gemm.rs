//! Matrix products with weights that were packed beforehand: `output = f(input × weightsᵀ + bias)`.
//!
//! Weights lie in panels of [`PANEL`] outputs, each of two strips, a strip depth by depth, so that a product reads them once,
//! from end to end, at the speed of the memory. A tile is two vectors wide: of one strip where a vector has eight numbers, of
//! both where it has sixteen, unless rows are few: then it is one strip and twice as high. So many depths of it as fit into the
//! nearest cache are used for all rows, before the next are; the sums of a tile stay in registers meanwhile. What comes after
//! them (bias, activation, residual) is done while they are in that cache.

use super::functions::{Activation, activate};
use super::lanes::{Lanes, prefetch};
use super::tile::{AHEAD, Number, Packed, STRIP, tile};
use super::{Isa, kernel};
use std::ops::Range;

/// Outputs of one panel.
pub const PANEL: usize = 32;
/// Depths are filled with zeros to a multiple of this.
pub const DEPTH: usize = 16;
/// The bytes of weights that are used for all rows before the next are: three quarters of a nearest cache of 32 KiB.
const NEAR: usize = 24 << 10;
/// With more tiles than this, a panel is widened once for all of them.
const WIDEN: usize = 2;

/// The numbers of packed weights.
#[derive(Debug, Clone, Copy)]
pub enum Weights<'w> {
    /// Single precision.
    F32(&'w [f32]),
    /// IEEE half precision, by its bits.
    F16(&'w [u16]),
}

/// What is done with the sums of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Finish {
    Bias,
    Activate(Activation),
    /// Adds what a row of the same number and stride has in the same columns.
    Residual(*const f32, usize),
}

/// One product, row by row in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product<'w> {
    pub(crate) input: *const f32,
    pub(crate) input_stride: usize,
    pub(crate) rows: usize,
    /// A multiple of [`DEPTH`].
    pub(crate) depth: usize,
    pub(crate) weights: Weights<'w>,
    /// One for each output, the outputs filled to a multiple of [`PANEL`].
    pub(crate) bias: &'w [f32],
    pub(crate) finish: Finish,
    pub(crate) output: *mut f32,
    pub(crate) output_stride: usize,
}

#[cfg(target_arch = "x86_64")]
impl Product<'_> {
    /// Its input, and how far rows are apart.
    pub(crate) fn source(&self) -> (*const f32, usize) {
        (self.input, self.input_stride)
    }

    /// Its output, and how far rows are apart.
    pub(crate) fn target(&self) -> (*mut f32, usize) {
        (self.output, self.output_stride)
    }
}

// SAFETY: a product only describes memory; who runs it vouches that nobody else writes what it reads or touches what it
// writes.
unsafe impl Sync for Product<'_> {}

kernel! {
    /// Computes the outputs of some panels. `wide` is room for one panel as f32.
    ///
    /// # Safety
    /// The pointers must be good for `rows` rows of `depth` numbers in, and of the panels' columns out; the weights and the
    /// bias for the panels; `wide` for `depth × PANEL` numbers. Nobody else may touch those columns meanwhile.
    pub(crate) fn multiply(product: &Product<'_>, panels: Range<usize>, wide: *mut f32) = multiply_with;

    /// Does to the sums of some panels, which are there, what comes after them. The weights are not looked at.
    ///
    /// # Safety
    /// As for [`multiply`], but for the input.
    pub(crate) fn finish_panels(product: &Product<'_>, panels: Range<usize>) = finish_with;
}

#[inline(always)]
unsafe fn finish_with<L: Lanes>(product: &Product<'_>, panels: Range<usize>) {
    for panel in panels {
        // SAFETY: the caller's.
        unsafe { finish::<L>(product, panel * PANEL..(panel + 1) * PANEL, 0..product.rows) }
    }
}

#[inline(always)]
unsafe fn multiply_with<L: Lanes>(product: &Product<'_>, panels: Range<usize>, wide: *mut f32) {
    let size = product.depth * PANEL;
    for panel in panels {
        let numbers = panel * size..(panel + 1) * size;
        // SAFETY: the caller's, for this panel; slicing checks that the weights have it.
        unsafe {
            match product.weights {
                Weights::F32(weights) => rows_of::<L, f32>(product, panel, weights[numbers].as_ptr()),
                Weights::F16(weights) => narrow::<L, u16>(product, panel, &weights[numbers], wide),
            }
        }
    }
}

/// A panel of numbers narrower than f32: widened as they are used, or beforehand.
#[inline(always)]
unsafe fn narrow<L: Lanes, N: Number>(product: &Product<'_>, panel: usize, weights: &[N], wide: *mut f32) {
    // SAFETY: the caller's; `wide` has room for a panel, and a panel is a multiple of a vector.
    unsafe {
        if product.rows <= WIDEN * L::ROWS {
            return rows_of::<L, N>(product, panel, weights.as_ptr());
        }
        for at in (0..weights.len()).step_by(L::WIDTH) {
            if at % 64 == 0 {
                prefetch(weights.as_ptr().wrapping_add(at).wrapping_byte_add(AHEAD));
            }
            L::store(wide.add(at), N::load::<L>(weights.as_ptr().add(at)));
        }
        rows_of::<L, f32>(product, panel, wide);
    }
}

/// All rows against one panel: one strip after the other where the rows are few, so that one stream comes from memory.
#[inline(always)]
unsafe fn rows_of<L: Lanes, N: Number>(product: &Product<'_>, panel: usize, weights: *const N) {
    // SAFETY: the caller's.
    unsafe {
        if L::WIDTH == STRIP && product.rows <= WIDEN * L::ROWS {
            columns_of::<L, N, 1>(product, panel, weights);
        } else {
            columns_of::<L, N, 2>(product, panel, weights);
        }
    }
}

/// All rows against so many vectors of a panel's columns, and so many depths of them as the nearest cache holds, at a time.
#[inline(always)]
unsafe fn columns_of<L: Lanes, N: Number, const VECTORS: usize>(
    product: &Product<'_>,
    panel: usize,
    weights: *const N,
) {
    let most = NEAR / (VECTORS * L::WIDTH * size_of::<N>());
    let pieces = product.depth.div_ceil(most);
    let deep = product.depth.div_ceil(pieces).next_multiple_of(DEPTH);
    for column in (0..PANEL).step_by(VECTORS * L::WIDTH) {
        for from in (0..product.depth).step_by(deep) {
            let depths = from..(from + deep).min(product.depth);
            // SAFETY: the caller's, for these columns and depths.
            unsafe {
                let weights = weights.add(column * product.depth);
                piece::<L, N, VECTORS>(product, panel * PANEL + column, depths, weights);
            }
        }
    }
}

/// All rows against some depths of a few vectors of columns, in tiles of like height. `weights` are those of depth 0.
#[inline(always)]
unsafe fn piece<L: Lanes, N: Number, const VECTORS: usize>(
    product: &Product<'_>,
    column: usize,
    depths: Range<usize>,
    weights: *const N,
) {
    let last = depths.end == product.depth;
    let most = L::ROWS * 2 / VECTORS;
    let blocks = product.rows.div_ceil(most);
    let mut row = 0;
    for block in 0..blocks {
        let count = (product.rows - row).div_ceil(blocks - block);
        macro_rules! tile {
            ($($rows:literal)*) => {
                match count {
                    $($rows if $rows <= L::ROWS * 2 / VECTORS => {
                        block_of::<L, N, $rows, VECTORS>(product, column, depths.clone(), weights, row, block == 0);
                    })*
                    _ => unreachable!("a block has no more rows than registers"),
                }
            };
        }
        // SAFETY: the caller's, for these rows.
        unsafe {
            tile!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22);
            if last {
                finish::<L>(product, column..column + VECTORS * L::WIDTH, row..row + count);
            }
        }
        row += count;
    }
}

#[inline(always)]
unsafe fn block_of<L: Lanes, N: Number, const ROWS: usize, const VECTORS: usize>(
    product: &Product<'_>,
    column: usize,
    depths: Range<usize>,
    weights: *const N,
    row: usize,
    first: bool,
) {
    // SAFETY: the caller's, for these rows, columns and depths. The sums so far are where the depths before have left them.
    unsafe {
        let input = product.input.add(row * product.input_stride + depths.start);
        let weights = weights.add(depths.start * STRIP);
        let at = Packed { weights, apart: STRIP, between: between::<L>(product.depth) };
        let (stride, depth) = (product.input_stride, depths.len());
        let to = product.output.add(row * product.output_stride + column);
        let mut sums = [[L::zero(); VECTORS]; ROWS];
        if depths.start > 0 {
            for (number, sums) in sums.iter_mut().enumerate() {
                for (index, sum) in sums.iter_mut().enumerate() {
                    *sum = L::load(to.add(number * product.output_stride + index * L::WIDTH));
                }
            }
        }
        // The first rows bring weights from memory; the others find them in a cache.
        let sums = if first {
            tile::<L, N, ROWS, VECTORS, true>(sums, input, stride, at, depth)
        } else {
            tile::<L, N, ROWS, VECTORS, false>(sums, input, stride, at, depth)
        };
        for (number, sums) in sums.iter().enumerate() {
            for (index, sum) in sums.iter().enumerate() {
                L::store(to.add(number * product.output_stride + index * L::WIDTH), *sum);
            }
        }
    }
}

/// How far the second vector of a tile is from the first: in the same strip, or in the next one.
fn between<L: Lanes>(depth: usize) -> usize {
    if L::WIDTH < STRIP { L::WIDTH } else { depth * STRIP }
}

/// What comes after the sums of a block, while they are in the nearest cache. By itself, so that it is not unrolled with
/// every height of a tile.
#[inline(always)]
unsafe fn finish<L: Lanes>(product: &Product<'_>, columns: Range<usize>, rows: Range<usize>) {
    // SAFETY: the caller's; slicing checks that the bias has the columns.
    unsafe {
        let (column, count) = (columns.start, columns.len());
        let bias = product.bias[columns].as_ptr();
        for row in rows {
            for at in (0..count).step_by(L::WIDTH) {
                let to = product.output.add(row * product.output_stride + column + at);
                let sum = L::add(L::load(to), L::load(bias.add(at)));
                let finished = match product.finish {
                    Finish::Bias => sum,
                    Finish::Activate(activation) => activate::<L>(activation, sum),
                    Finish::Residual(from, stride) => {
                        L::add(sum, L::load(from.add(row * stride + column + at)))
                    }
                };
                L::store(to, finished);
            }
        }
    }
}
