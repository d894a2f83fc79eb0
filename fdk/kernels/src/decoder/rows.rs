//! What happens to each row of activations between two products, on its way into 8 bits.

use super::elementary::silu;
use crate::quantised::{Activations, BLOCK, Isa, Level, RowsMut, Work};
use crate::team::Team;

/// Fewer rows than this are not worth another thread's attention.
const FEW: usize = 8;
/// The rows that a thread takes at a time.
const CHUNK: usize = 4;

/// What a row is before it is quantised.
#[derive(Clone, Copy)]
pub(super) enum Before<'a> {
    /// What it is.
    Nothing,
    /// RMS normalisation (Zhang and Sennrich, 2019): weights, and what is added to the mean square.
    Norm(&'a [f32], f32),
    /// The first half of the row gates the second: `silu(gate) · up`.
    Gate,
}

/// Quantises the first `count` rows of `from`, which are `stride` apart, into the first of `to`.
pub(super) fn quantise(
    level: Level,
    team: &mut Team,
    before: Before<'_>,
    (from, stride): (&[f32], usize),
    count: usize,
    to: &mut Activations,
) {
    let columns = to.columns();
    assert!(count <= to.rows());
    let rows = to.rows_mut();
    let span = |first: usize, last: usize| {
        level.run(Span { before, from, stride, columns, first, last, to: &rows });
    };
    each(team, count, span);
}

/// Calls `span(first, last)` for all of the rows, on several threads if they are many.
pub(super) fn each(team: &mut Team, count: usize, span: impl Fn(usize, usize) + Sync) {
    if count < FEW {
        span(0, count);
    } else {
        team.run(count.div_ceil(CHUNK), |chunk, _| span(chunk * CHUNK, count.min((chunk + 1) * CHUNK)));
    }
}

struct Span<'a> {
    before: Before<'a>,
    from: &'a [f32],
    stride: usize,
    columns: usize,
    first: usize,
    last: usize,
    to: &'a RowsMut<'a>,
}

impl Work for Span<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        for row in self.first..self.last {
            let from = &self.from[row * self.stride..][..self.stride];
            // SAFETY: a row is in one span only.
            let mut to = unsafe { self.to.row(row) };
            match self.before {
                Before::Nothing => to.fill(&from[..self.columns]),
                Before::Norm(weights, epsilon) => {
                    let from = &from[..self.columns];
                    let factor = 1.0 / (mean_square(from) + epsilon).sqrt();
                    let blocks = from.as_chunks::<BLOCK>().0.iter().zip(weights.as_chunks::<BLOCK>().0);
                    for (at, (values, weights)) in blocks.enumerate() {
                        to.block(at, &std::array::from_fn(|k| values[k] * factor * weights[k]));
                    }
                }
                Before::Gate => {
                    let (gates, ups) = from[..2 * self.columns].split_at(self.columns);
                    let blocks = gates.as_chunks::<BLOCK>().0.iter().zip(ups.as_chunks::<BLOCK>().0);
                    for (at, (gates, ups)) in blocks.enumerate() {
                        to.block(at, &std::array::from_fn(|k| silu(gates[k]) * ups[k]));
                    }
                }
            }
        }
    }
}

/// In 32 partial sums, which a vector unit adds up side by side.
#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "a row's length")]
fn mean_square(values: &[f32]) -> f32 {
    let mut sums = [0.0_f32; BLOCK];
    for values in values.as_chunks::<BLOCK>().0 {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value * value;
        }
    }
    sums.iter().sum::<f32>() / values.len() as f32
}
