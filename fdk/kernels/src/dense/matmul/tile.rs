//! What is computed at a time: one or two strips against all rows of a block.

use super::Then;
#[cfg(target_arch = "x86_64")]
use super::brief;
use super::vector;
use crate::Isa;
use crate::dense::lined::Lined;
use crate::tile::STRIP;

/// From so many rows on it pays to widen f16 weights once instead of in the innermost loop.
const WIDEN_FROM: usize = 12;

/// One or two strips against all rows of a block.
pub(super) struct Tile<'a> {
    pub(super) a: &'a [f32],
    pub(super) inputs: usize,
    pub(super) rows: usize,
    /// Where in `out` a row's part begins, and how long it is.
    pub(super) column: usize,
    pub(super) width: usize,
    /// From one row of `out` to the next.
    pub(super) stride: usize,
    /// What is done to the sums, of rows that lie as those of `out` do.
    pub(super) then: Then<'a>,
}

impl Tile<'_> {
    /// Two strips.
    pub(super) const WIDEST: usize = 2 * STRIP;

    pub(super) fn strips(&self) -> usize {
        self.width.div_ceil(STRIP)
    }

    pub(super) fn run(&self, isa: Option<Isa>, weights: &[f32], bias: &[f32], out: &mut [f32]) {
        vector::strips(isa, self, weights, bias, out);
    }

    pub(super) fn run_half(
        &self,
        isa: Option<Isa>,
        weights: &[u16],
        bias: &[f32],
        wide: &mut Lined,
        out: &mut [f32],
    ) {
        if self.rows < WIDEN_FROM {
            return vector::strips_half(isa, self, weights, bias, out);
        }
        let wide = wide.room(weights.len());
        vector::widen(isa, weights, wide);
        vector::strips(isa, self, wide, bias, out);
    }

    #[cfg(target_arch = "x86_64")]
    pub(super) fn run_brief(
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
