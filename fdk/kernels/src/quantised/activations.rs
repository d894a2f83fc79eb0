//! Activations in 8 bits: what the integer products multiply weights with.

use super::format::BLOCK;
use super::rows::Rows;
use super::tile::Operand;

/// Rows of activations, each block of 32 with a scale of its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Activations {
    columns: usize,
    quants: Vec<i8>,
    scales: Vec<f32>,
    /// The sum of a block's quants, and that times the scale: what a weight's constant part multiplies.
    sums: Vec<i32>,
    offsets: Vec<f32>,
}

/// The quants of a block are within ±127, never −128: the kernels change signs.
const MOST: f32 = 127.0;
/// Below this a block is zero: 127 divided by it would not be a number.
const LEAST: f32 = 1.5e-36;

impl Activations {
    /// Room for `rows` of `columns`, a multiple of 32.
    pub(crate) fn new(rows: usize, columns: usize) -> Self {
        let blocks = rows * columns / BLOCK;
        Self {
            columns,
            quants: vec![0; rows * columns],
            scales: vec![0.0; blocks],
            sums: vec![0; blocks],
            offsets: vec![0.0; blocks],
        }
    }

    /// Makes the rows that wide, a multiple of 32. What was in them is lost.
    ///
    /// # Panics
    /// If there is no room for one.
    pub(crate) fn set_columns(&mut self, columns: usize) {
        assert!(columns.is_multiple_of(BLOCK) && columns <= self.quants.len(), "there is no room");
        self.columns = columns;
    }

    /// The numbers in a row.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The rows there is room for.
    pub(crate) fn rows(&self) -> usize {
        self.quants.len().checked_div(self.columns).unwrap_or_default()
    }

    /// The rows as pointers.
    pub(super) fn operand(&self) -> Operand {
        Operand {
            quants: self.quants.as_ptr(),
            scales: self.scales.as_ptr(),
            sums: self.sums.as_ptr(),
            offsets: self.offsets.as_ptr(),
            blocks: self.columns / BLOCK,
        }
    }

    /// The rows, to be written by several threads, each one at a time.
    pub(crate) fn rows_mut(&mut self) -> RowsMut<'_> {
        let blocks = self.columns / BLOCK;
        RowsMut {
            quants: Rows::new(&mut self.quants, self.columns),
            scales: Rows::new(&mut self.scales, blocks),
            sums: Rows::new(&mut self.sums, blocks),
            offsets: Rows::new(&mut self.offsets, blocks),
        }
    }
}

/// The rows of [`Activations`], to be written by several threads, each one at a time.
pub(crate) struct RowsMut<'a> {
    quants: Rows<'a, i8>,
    scales: Rows<'a, f32>,
    sums: Rows<'a, i32>,
    offsets: Rows<'a, f32>,
}

/// One row of [`Activations`].
pub(crate) struct RowMut<'a> {
    quants: &'a mut [i8],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
    offsets: &'a mut [f32],
}

impl<'a> RowsMut<'a> {
    /// # Safety
    /// No other thread is at the same row.
    #[inline(always)]
    pub(crate) unsafe fn row(&self, row: usize) -> RowMut<'a> {
        // SAFETY: as the caller promises.
        unsafe {
            RowMut {
                quants: self.quants.row(row),
                scales: self.scales.row(row),
                sums: self.sums.row(row),
                offsets: self.offsets.row(row),
            }
        }
    }
}

impl RowMut<'_> {
    /// Quantises a block: `x ≈ scale · quant`, `scale = max|x| / 127`. A block with a number that is not finite has NaN for
    /// a scale, so that it spoils what is made of it rather than pass for a number.
    #[expect(clippy::cast_precision_loss, reason = "a sum is below 2¹²")]
    #[expect(clippy::cast_possible_truncation, reason = "the lowest byte is what is wanted")]
    #[inline(always)]
    pub(crate) fn block(&mut self, at: usize, values: &[f32; BLOCK]) {
        // The bits of positive floats sort as integers do, with NaN above infinity.
        let most = values.iter().fold(0, |most, value| most.max(value.to_bits() & 0x7fff_ffff));
        let most = f32::from_bits(most);
        let factor = if most >= LEAST && most.is_finite() { MOST / most } else { 0.0 };
        let quants = &mut self.quants[at * BLOCK..][..BLOCK];
        // The lowest byte of 1.5 · 2²³ + n is n, rounded to even; of what is not finite it is some byte.
        for (quant, value) in quants.iter_mut().zip(values) {
            *quant = ((value * factor + 12_582_912.0).to_bits() as u8).cast_signed();
        }
        let sum = quants.iter().map(|quant| i32::from(*quant)).sum();
        let scale = if most.is_finite() { most / MOST } else { f32::NAN };
        self.sums[at] = sum;
        self.scales[at] = scale;
        self.offsets[at] = scale * sum as f32;
    }

    /// The numbers it has.
    #[inline(always)]
    pub(crate) fn columns(&self) -> usize {
        self.quants.len()
    }

    /// Quantises a whole row.
    #[inline(always)]
    pub(crate) fn fill(&mut self, values: &[f32]) {
        assert_eq!(values.len(), self.quants.len());
        for (at, values) in values.as_chunks::<BLOCK>().0.iter().enumerate() {
            self.block(at, values);
        }
    }
}
