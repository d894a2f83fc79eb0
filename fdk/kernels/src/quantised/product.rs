//! The product of activations with quantised matrices, over all threads.

use super::activations::{Activations, RowsMut};
use super::format::{Format, ROWS};
use super::isa::Isa;
use super::level::{Level, Work};
use super::matrix::Matrix;
use super::rows::Rows;
use super::tile::{Operand, Packed, Q4_0, Q4_1, Q8_0, tile};
use crate::team::Team;
use std::ops::Range;

/// What becomes of what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Into {
    /// The product takes its place.
    Place,
    /// The product is added to it: a residual connection.
    Sum,
}

/// Multiplies the first `count` rows of activations with matrices of as many columns, and puts the products side by side
/// into rows of `out`, `stride` apart. Every matrix takes whole groups of sixteen columns there.
///
/// # Panics
/// If shapes do not fit.
pub(crate) fn multiply(
    level: Level,
    team: &mut Team,
    activations: &Activations,
    count: usize,
    matrices: &[&Matrix],
    out: (&mut [f32], usize, Into),
) {
    let (out, stride, into) = out;
    let groups: usize = matrices.iter().map(|matrix| matrix.groups()).sum();
    assert!(count <= activations.rows() && groups * ROWS <= stride && count * stride <= out.len());
    assert!(matrices.iter().all(|matrix| matrix.columns() == activations.columns()));
    let out = Rows::new(out, stride);
    let rows = Shared(activations.operand());
    // Enough chunks that a thread that is held up keeps the others waiting for a part of one only.
    let chunk = (groups / (4 * team.size())).max(1);
    team.run(groups.div_ceil(chunk), |index, _| {
        let groups = index * chunk..groups.min((index + 1) * chunk);
        level.run(Span { matrices, rows: rows.get(), count, out: &out, into, groups });
    });
}

/// Multiplies the first `count` rows of activations with some groups of sixteen rows of a matrix, on this thread alone. Rows of
/// `out` are `stride` apart, and have the matrix's rows side by side.
///
/// # Safety
/// `out` must be good for `count` rows, and nobody else may use the groups' columns of them meanwhile.
///
/// # Panics
/// If shapes do not fit.
pub(crate) unsafe fn multiply_groups(
    level: Level,
    activations: &Activations,
    count: usize,
    matrix: &Matrix,
    groups: Range<usize>,
    (out, stride): (*mut f32, usize),
) {
    assert!(count <= activations.rows() && groups.end <= matrix.groups() && groups.end * ROWS <= stride);
    assert!(matrix.columns() == activations.columns());
    // SAFETY: as the caller promises; only the groups' columns are written.
    let out = unsafe { Rows::at(out, count, stride) };
    let rows = activations.operand();
    level.run(Span { matrices: &[matrix], rows, count, out: &out, into: Into::Place, groups });
}

/// Quantises rows of numbers, `stride` apart, into the same rows of activations, on this thread alone.
///
/// # Safety
/// `from` must be good for the rows, and no other thread may be at the same rows of `to`.
pub(crate) unsafe fn quantise_rows(
    level: Level,
    from: (*const f32, usize),
    rows: Range<usize>,
    to: &RowsMut<'_>,
) {
    struct Fill<'a>((*const f32, usize), Range<usize>, &'a RowsMut<'a>);
    impl Work for Fill<'_> {
        type Out = ();

        #[inline(always)]
        unsafe fn run<I: Isa>(self) {
            let Self((from, stride), rows, to) = self;
            for row in rows {
                // SAFETY: as the caller of `quantise_rows` promises.
                unsafe {
                    let mut to = to.row(row);
                    to.fill(std::slice::from_raw_parts(from.add(row * stride), to.columns()));
                }
            }
        }
    }
    level.run(Fill(from, rows, to));
}

/// Pointers that threads only read through.
struct Shared(Operand);

// SAFETY: it points into activations that are borrowed, unchanged, for as long as the threads run.
unsafe impl Sync for Shared {}

impl Shared {
    fn get(&self) -> Operand {
        self.0
    }
}

/// One thread's groups.
struct Span<'a> {
    matrices: &'a [&'a Matrix],
    rows: Operand,
    count: usize,
    out: &'a Rows<'a, f32>,
    into: Into,
    /// Counted through all matrices.
    groups: Range<usize>,
}

impl Work for Span<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let mut first = 0;
        for matrix in self.matrices {
            let last = first + matrix.groups();
            for group in self.groups.start.max(first)..self.groups.end.min(last) {
                let weights = matrix.group(group - first);
                // SAFETY: the CPU has `I`, and a group has the blocks of a row of activations, whose columns are the
                // matrix's.
                unsafe {
                    match matrix.format() {
                        Format::Q4_0 => self.group::<I, Q4_0>(group, weights),
                        Format::Q4_1 => self.group::<I, Q4_1>(group, weights),
                        Format::Q8_0 => self.group::<I, Q8_0>(group, weights),
                    }
                }
            }
            first = last;
        }
    }
}

impl Span<'_> {
    /// All rows of activations with one group: as many at once as there are registers for.
    ///
    /// # Safety
    /// The CPU has `I`, and `weights` is a group of `P` with as many blocks as a row of activations.
    #[inline(always)]
    unsafe fn group<I: Isa, P: Packed>(&self, group: usize, weights: &[u8]) {
        debug_assert_eq!(weights.len(), self.rows.blocks * P::BYTES);
        let mut row = 0;
        // SAFETY: `row + M` is at most `count`, which the activations have.
        unsafe {
            if I::LANES == ROWS {
                while row + 8 <= self.count {
                    self.tile::<I, P, 8, 1>(group, weights, 0, row);
                    row += 8;
                }
                if row + 4 <= self.count {
                    self.tile::<I, P, 4, 1>(group, weights, 0, row);
                    row += 4;
                }
                if row + 2 <= self.count {
                    self.tile::<I, P, 2, 1>(group, weights, 0, row);
                    row += 2;
                }
                if row < self.count {
                    self.tile::<I, P, 1, 1>(group, weights, 0, row);
                }
            } else {
                while row + 4 <= self.count {
                    self.tile::<I, P, 4, 1>(group, weights, 0, row);
                    self.tile::<I, P, 4, 1>(group, weights, I::LANES, row);
                    row += 4;
                }
                while row < self.count {
                    self.tile::<I, P, 1, 2>(group, weights, 0, row);
                    row += 1;
                }
            }
        }
    }

    /// # Safety
    /// As for [`Span::group`]; there are `M` rows from `row` on.
    #[inline(always)]
    unsafe fn tile<I: Isa, P: Packed, const M: usize, const H: usize>(
        &self,
        group: usize,
        weights: &[u8],
        first: usize,
        row: usize,
    ) {
        // SAFETY: as the caller promises; a group's columns are one thread's, and a part is as long as is stored.
        unsafe {
            let totals = tile::<I, P, M, H>(weights.as_ptr(), first, self.rows.at_row(row));
            for (at, totals) in totals.into_iter().enumerate() {
                let start = group * ROWS + first;
                let out = self.out.part(row + at, start..start + H * I::LANES).as_mut_ptr();
                for (half, total) in totals.into_iter().enumerate() {
                    let out = out.add(half * I::LANES);
                    let total = match self.into {
                        Into::Place => total,
                        Into::Sum => I::add(I::load(out), total),
                    };
                    I::store(out, total);
                }
            }
        }
    }
}
