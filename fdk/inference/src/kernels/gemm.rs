//! Matrix products with weights that were packed beforehand: `output = f(input × weightsᵀ + bias)`.
//!
//! Weights lie in panels of [`PANEL`] outputs, depth by depth, so that a product reads them once, from end to end, at the
//! speed of the memory. A tile of the output stays in registers for the whole depth, and what comes after the sum (bias,
//! activation, residual) is done while it is in the nearest cache.

use super::functions::{Activation, activate};
use super::lanes::{Lanes, prefetch};
use super::{Isa, kernel};
use std::ops::Range;

/// Outputs of one panel.
pub(crate) const PANEL: usize = 32;
/// Depths are filled with zeros to a multiple of this.
pub(crate) const DEPTH: usize = 16;
/// How far ahead of the weights in use memory is asked for more, in bytes.
const AHEAD: usize = 2048;
/// With more tiles than this, a panel is widened once for all of them.
const WIDEN: usize = 2;

/// The numbers of packed weights.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Weights<'w> {
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
    /// `isa` must be what the CPU has. The pointers must be good for `rows` rows of `depth` numbers in, and of the panels'
    /// columns out; the weights and the bias for the panels; `wide` for `depth × PANEL` numbers. Nobody else may touch those
    /// columns meanwhile.
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
        unsafe { finish::<L>(product, panel * PANEL, 0..product.rows) }
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

/// All rows against one panel, in tiles of like height.
#[inline(always)]
unsafe fn rows_of<L: Lanes, N: Number>(product: &Product<'_>, panel: usize, weights: *const N) {
    let blocks = product.rows.div_ceil(L::ROWS);
    let mut row = 0;
    for block in 0..blocks {
        let count = (product.rows - row).div_ceil(blocks - block);
        macro_rules! tile {
            ($($rows:literal)*) => {
                match count {
                    $($rows if $rows <= L::ROWS => block_of::<L, N, $rows>(product, panel, weights, row, block == 0),)*
                    _ => unreachable!("a block has at most ROWS rows"),
                }
            };
        }
        // SAFETY: the caller's, for these rows.
        unsafe {
            tile!(1 2 3 4 5 6 7 8 9 10 11);
            finish::<L>(product, panel * PANEL, row..row + count);
        }
        row += count;
    }
}

#[inline(always)]
unsafe fn block_of<L: Lanes, N: Number, const ROWS: usize>(
    product: &Product<'_>,
    panel: usize,
    weights: *const N,
    row: usize,
    first: bool,
) {
    // SAFETY: the caller's, for these rows of this panel.
    unsafe {
        let input = product.input.add(row * product.input_stride);
        let mut column = 0;
        while column < PANEL {
            let weights = weights.add(column);
            let (stride, depth) = (product.input_stride, product.depth);
            // The first rows bring a panel from memory; the others find it in a cache.
            let sums = if first {
                tile::<L, N, ROWS, 2, true>(input, stride, weights, PANEL, depth)
            } else {
                tile::<L, N, ROWS, 2, false>(input, stride, weights, PANEL, depth)
            };
            for (number, sums) in sums.iter().enumerate() {
                let to = product.output.add((row + number) * product.output_stride + panel * PANEL + column);
                for (index, sum) in sums.iter().enumerate() {
                    L::store(to.add(index * L::WIDTH), *sum);
                }
            }
            column += 2 * L::WIDTH;
        }
    }
}

/// What comes after the sums of a block, while they are in the nearest cache. By itself, so that it is not unrolled with
/// every height of a tile.
#[inline(always)]
unsafe fn finish<L: Lanes>(product: &Product<'_>, column: usize, rows: Range<usize>) {
    // SAFETY: the caller's; slicing checks that the bias has the panel.
    unsafe {
        let bias = product.bias[column..column + PANEL].as_ptr();
        for row in rows {
            for at in (0..PANEL).step_by(L::WIDTH) {
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

/// The sums of `ROWS` rows by `VECTORS` vectors of columns, over a depth.
///
/// # Safety
/// The pointers must be good for it: rows `stride` apart, depths of weights `apart`.
#[inline(always)]
pub(super) unsafe fn tile<
    L: Lanes,
    N: Number,
    const ROWS: usize,
    const VECTORS: usize,
    const AHEAD_OF: bool,
>(
    input: *const f32,
    stride: usize,
    weights: *const N,
    apart: usize,
    depth: usize,
) -> [[L::V; VECTORS]; ROWS] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[L::zero(); VECTORS]; ROWS];
        // One depth at a time: of several, the compiler loads all inputs first and runs out of registers for them.
        for at in 0..depth {
            let weights = weights.add(at * apart);
            if AHEAD_OF {
                let line = weights.wrapping_byte_add(AHEAD);
                for byte in (0..apart * size_of::<N>()).step_by(64) {
                    prefetch(line.wrapping_byte_add(byte));
                }
            }
            add::<L, N, ROWS, VECTORS>(&mut sums, input.add(at), stride, weights);
        }
        sums
    }
}

/// One depth of a tile.
#[inline(always)]
unsafe fn add<L: Lanes, N: Number, const ROWS: usize, const VECTORS: usize>(
    sums: &mut [[L::V; VECTORS]; ROWS],
    input: *const f32,
    stride: usize,
    weights: *const N,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut loaded = [L::zero(); VECTORS];
        for (index, vector) in loaded.iter_mut().enumerate() {
            *vector = N::load::<L>(weights.add(index * L::WIDTH));
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            let input = L::splat(*input.add(row * stride));
            for (sum, weights) in sums.iter_mut().zip(loaded) {
                *sum = L::fma(input, weights, *sum);
            }
        }
    }
}

/// A number that weights are kept in.
pub(super) trait Number: Copy {
    unsafe fn load<L: Lanes>(from: *const Self) -> L::V;
}

impl Number for f32 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L::V {
        // SAFETY: the caller's.
        unsafe { L::load(from) }
    }
}

impl Number for u16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L::V {
        // SAFETY: the caller's.
        unsafe { L::load_f16(from) }
    }
}
