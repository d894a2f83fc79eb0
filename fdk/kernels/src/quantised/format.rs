//! Quantised weights, as a GGUF file has them and as the kernels read them: the same numbers in another order.
//!
//! A block is 32 weights of a row that share a scale. The kernels read sixteen rows at once, so blocks of sixteen rows are
//! interleaved: first their scales, then their minima where the format has them, then their quants, four weights of each
//! row in turn. A multiplication by four activations, the same for all rows, then meets each row's weights in the row's
//! own lane, and no sum across lanes is ever needed.

use half::f16;

/// The weights that share a scale; activations are quantised in blocks of as many.
pub const BLOCK: usize = 32;
/// The rows whose blocks are interleaved: the lanes of the widest vector there is.
pub(crate) const ROWS: usize = 16;

/// How weights are stored, by the names of the GGML library, which defined these formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `d · (q − 8)`, `q` of 4 bits.
    Q4_0,
    /// `d · q + m`, `q` of 4 bits.
    Q4_1,
    /// `d · q`, `q` of 8 bits.
    Q8_0,
}

impl Format {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q4_0 => "q4_0",
            Self::Q4_1 => "q4_1",
            Self::Q8_0 => "q8_0",
        }
    }

    /// The bytes of one row's block.
    pub const fn block_bytes(self) -> usize {
        2 * self.scales() + self.quants()
    }

    /// The numbers of 16 bits ahead of a block's quants: the scale, and the minimum.
    pub(super) const fn scales(self) -> usize {
        match self {
            Self::Q4_1 => 2,
            Self::Q4_0 | Self::Q8_0 => 1,
        }
    }

    /// The bytes of a block's quants.
    pub(super) const fn quants(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q4_1 => BLOCK / 2,
            Self::Q8_0 => BLOCK,
        }
    }

    /// The bytes of a matrix in a GGUF file; `None` if a row is not whole blocks.
    pub fn file_bytes(self, rows: usize, columns: usize) -> Option<usize> {
        (columns.is_multiple_of(BLOCK)).then_some(())?;
        rows.checked_mul(columns / BLOCK)?.checked_mul(self.block_bytes())
    }

    /// The bytes of a matrix in groups of sixteen interleaved rows, the last filled up with zeros.
    pub fn packed_bytes(self, rows: usize, columns: usize) -> Option<usize> {
        self.file_bytes(rows.checked_next_multiple_of(ROWS)?, columns)
    }

    /// Where the weight `k` of lane `row` has its quant in an interleaved block: the byte, and for 4 bits the shift.
    fn place(self, row: usize, k: usize) -> (usize, u32) {
        let quants = 2 * ROWS * self.scales();
        match self {
            Self::Q4_0 | Self::Q4_1 => {
                let (eight, within) = (k / 8, k % 8);
                let shift = if within < 4 { 0 } else { 4 };
                (quants + (eight * ROWS + row) * 4 + within % 4, shift)
            }
            Self::Q8_0 => (quants + (k / 4 * ROWS + row) * 4 + k % 4, 0),
        }
    }

    /// Interleaves a matrix of a GGUF file; no bit of a weight changes.
    ///
    /// # Panics
    /// If `file` or `packed` is not as long as [`Format::file_bytes`] and [`Format::packed_bytes`] say.
    pub fn interleave(self, file: &[u8], rows: usize, columns: usize, packed: &mut [u8]) {
        assert_eq!(Some(file.len()), self.file_bytes(rows, columns));
        assert_eq!(Some(packed.len()), self.packed_bytes(rows, columns));
        let (blocks, bytes) = (columns / BLOCK, self.block_bytes());
        packed.fill(0);
        for (at, block) in file.chunks_exact(bytes).enumerate() {
            let (row, column) = (at / blocks, at % blocks);
            let (group, lane) = (row / ROWS, row % ROWS);
            let packed = &mut packed[(group * blocks + column) * bytes * ROWS..][..bytes * ROWS];
            let (scales, quants) = block.split_at(2 * self.scales());
            for (which, scale) in scales.chunks_exact(2).enumerate() {
                packed[2 * (which * ROWS + lane)..][..2].copy_from_slice(scale);
            }
            for k in 0..BLOCK {
                let quant = match self {
                    Self::Q8_0 => quants[k],
                    Self::Q4_0 | Self::Q4_1 if k < BLOCK / 2 => quants[k] & 15,
                    Self::Q4_0 | Self::Q4_1 => quants[k - BLOCK / 2] >> 4,
                };
                let (byte, shift) = self.place(lane, k);
                packed[byte] |= quant << shift;
            }
        }
    }

    /// What [`Format::interleave`] was given.
    ///
    /// # Panics
    /// If `packed` or `file` is not as long as [`Format::packed_bytes`] and [`Format::file_bytes`] say.
    pub fn restore(self, packed: &[u8], rows: usize, columns: usize, file: &mut [u8]) {
        assert_eq!(Some(file.len()), self.file_bytes(rows, columns));
        assert_eq!(Some(packed.len()), self.packed_bytes(rows, columns));
        let (blocks, bytes) = (columns / BLOCK, self.block_bytes());
        file.fill(0);
        for (at, block) in file.chunks_exact_mut(bytes).enumerate() {
            let (packed, lane) = self.block_of(packed, blocks, at / blocks, at % blocks);
            let (scales, quants) = block.split_at_mut(2 * self.scales());
            for (which, scale) in scales.chunks_exact_mut(2).enumerate() {
                scale.copy_from_slice(&packed[2 * (which * ROWS + lane)..][..2]);
            }
            for k in 0..BLOCK {
                let (byte, shift) = self.place(lane, k);
                match self {
                    Self::Q8_0 => quants[k] = packed[byte],
                    Self::Q4_0 | Self::Q4_1 if k < BLOCK / 2 => quants[k] |= packed[byte] >> shift & 15,
                    Self::Q4_0 | Self::Q4_1 => quants[k - BLOCK / 2] |= (packed[byte] >> shift & 15) << 4,
                }
            }
        }
    }

    /// One row of an interleaved matrix as the numbers it stands for.
    ///
    /// # Panics
    /// If the matrix has no such row of `out.len()` columns.
    pub fn row(self, packed: &[u8], row: usize, out: &mut [f32]) {
        let blocks = out.len() / BLOCK;
        for (column, out) in out.chunks_exact_mut(BLOCK).enumerate() {
            let (block, lane) = self.block_of(packed, blocks, row, column);
            let (scale, minimum) = self.scale(block, lane);
            for (k, out) in out.iter_mut().enumerate() {
                *out = match self {
                    Self::Q4_1 => f32::from(self.quant(block, lane, k)) * scale + minimum,
                    Self::Q4_0 | Self::Q8_0 => f32::from(self.quant(block, lane, k)) * scale,
                };
            }
        }
    }

    /// The interleaved block that has a row's weights of a column of blocks, and the row's lane in it.
    pub(super) fn block_of(self, packed: &[u8], blocks: usize, row: usize, column: usize) -> (&[u8], usize) {
        let bytes = self.block_bytes() * ROWS;
        (&packed[(row / ROWS * blocks + column) * bytes..][..bytes], row % ROWS)
    }

    /// A lane's scale and, where the format has one, minimum.
    pub(super) fn scale(self, block: &[u8], lane: usize) -> (f32, f32) {
        let half = |at: usize| f16::from_le_bytes([block[2 * at], block[2 * at + 1]]).to_f32();
        match self {
            Self::Q4_1 => (half(lane), half(ROWS + lane)),
            Self::Q4_0 | Self::Q8_0 => (half(lane), 0.0),
        }
    }

    /// A lane's quant `k`, as the number that its scale multiplies.
    pub(super) fn quant(self, block: &[u8], lane: usize, k: usize) -> i8 {
        let (byte, shift) = self.place(lane, k);
        match self {
            Self::Q8_0 => block[byte].cast_signed(),
            Self::Q4_1 => (block[byte] >> shift & 15).cast_signed(),
            Self::Q4_0 => (block[byte] >> shift & 15).cast_signed() - 8,
        }
    }
}
