//! A quantised matrix, ready for the kernels.

use super::format::Format;
#[cfg(target_arch = "x86_64")]
use super::format::{BLOCK, ROWS};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Whoever keeps bytes alive: a mapped file, or memory.
pub type Owner = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Rows of interleaved blocks, inside bytes that others may share.
#[derive(Clone)]
pub struct Matrix {
    format: Format,
    rows: usize,
    columns: usize,
    owner: Owner,
    packed: Range<usize>,
}

impl Matrix {
    /// Interleaves a matrix of a GGUF file into memory. `None` if the bytes are not of such a matrix.
    pub fn interleave(format: Format, rows: usize, columns: usize, file: &[u8]) -> Option<Self> {
        if format.file_bytes(rows, columns) != Some(file.len()) {
            return None;
        }
        let mut packed = vec![0; format.packed_bytes(rows, columns)?];
        format.interleave(file, rows, columns, &mut packed);
        let whole = 0..packed.len();
        Self::view(format, rows, columns, Arc::new(packed), whole)
    }

    /// A matrix that is interleaved already. `None` if the bytes are not of such a matrix.
    pub fn view(
        format: Format,
        rows: usize,
        columns: usize,
        owner: Owner,
        packed: Range<usize>,
    ) -> Option<Self> {
        let bytes = (*owner).as_ref().get(packed.clone())?.len();
        let fits = format.packed_bytes(rows, columns) == Some(bytes) && rows > 0 && columns > 0;
        fits.then_some(Self { format, rows, columns, owner, packed })
    }

    /// What its numbers are.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The numbers a product has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The numbers a row of activations has.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The rows in groups of sixteen.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn groups(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    /// The interleaved blocks.
    pub fn bytes(&self) -> &[u8] {
        &(*self.owner).as_ref()[self.packed.clone()]
    }

    /// The blocks of sixteen rows.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn group(&self, group: usize) -> &[u8] {
        let bytes = self.columns / BLOCK * self.format.block_bytes() * ROWS;
        &self.bytes()[group * bytes..][..bytes]
    }

    /// One row as the numbers it stands for: a token's embedding.
    ///
    /// # Panics
    /// If there is no such row, or `out` is not as long as one.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.rows && out.len() == self.columns);
        self.format.row(self.bytes(), row, out);
    }
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} × {}", self.format, self.rows, self.columns)
    }
}
