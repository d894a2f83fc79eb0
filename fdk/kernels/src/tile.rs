//! The innermost loop of products: some rows by some vectors of columns, whose sums stay in registers.
//!
//! Weights lie in strips of [`STRIP`] outputs, a strip depth by depth.

use super::lanes::{Lanes, prefetch};

/// Outputs of one strip: a cache line of f32.
pub const STRIP: usize = 16;
/// How far ahead of the weights in use memory is asked for more, in bytes.
pub(super) const AHEAD: usize = 2048;

/// Puts weights into strips, as many as these outputs fill.
pub fn strips<T>(outputs: usize, depth: usize, weight: impl Fn(usize, usize) -> T) -> Vec<T> {
    let mut packed = Vec::with_capacity(outputs.next_multiple_of(STRIP) * depth);
    for first in (0..outputs).step_by(STRIP) {
        for depth in 0..depth {
            packed.extend((first..first + STRIP).map(|output| weight(output, depth)));
        }
    }
    packed
}

/// Where the weights of a tile are.
#[derive(Clone, Copy)]
pub(super) struct Packed<N> {
    pub(super) weights: *const N,
    /// From one depth to the next.
    pub(super) apart: usize,
    /// From one vector to the next.
    pub(super) between: usize,
}

/// Adds the products of `ROWS` rows by `VECTORS` vectors of columns, over a depth, to their sums so far.
///
/// # Safety
/// The pointers must be good for it: rows `stride` apart, weights as [`Packed`] says.
#[inline(always)]
pub(super) unsafe fn tile<
    L: Lanes,
    N: Number,
    const ROWS: usize,
    const VECTORS: usize,
    const AHEAD_OF: bool,
>(
    mut sums: [[L::V; VECTORS]; ROWS],
    input: *const f32,
    stride: usize,
    packed: Packed<N>,
    depth: usize,
) -> [[L::V; VECTORS]; ROWS] {
    // SAFETY: the caller's.
    unsafe {
        // One depth at a time: of several, the compiler loads all inputs first and runs out of registers for them.
        for at in 0..depth {
            let weights = packed.weights.add(at * packed.apart);
            if AHEAD_OF {
                prefetch(weights.wrapping_byte_add(AHEAD));
                if VECTORS > 1 && L::WIDTH >= STRIP {
                    prefetch(weights.wrapping_add(packed.between).wrapping_byte_add(AHEAD));
                }
            }
            add::<L, N, ROWS, VECTORS>(&mut sums, input.add(at), stride, weights, packed.between);
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
    between: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut loaded = [L::zero(); VECTORS];
        for (index, vector) in loaded.iter_mut().enumerate() {
            *vector = N::load::<L>(weights.add(index * between));
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
