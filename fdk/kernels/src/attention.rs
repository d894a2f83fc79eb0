//! Scaled dot-product attention of one head over one text: `softmax(Q Kᵀ · scale) V`, a block of rows at a time, so that the scores
//! of a text never leave the nearest cache.

use super::functions::exp;
use super::gemm::PANEL;
use super::lanes::Lanes;
use super::tile::{Packed, tile};
use super::{Isa, kernel};

/// Where one head of one text is, and room to work in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub queries: *const f32,
    pub keys: *const f32,
    pub values: *const f32,
    /// Between two rows of each of the three, and of the output.
    pub stride: usize,
    /// Rows.
    pub tokens: usize,
    /// The head's numbers in a row, a multiple of 16.
    pub size: usize,
    /// What scores are multiplied by, more than zero.
    pub scale: f32,
    pub output: *mut f32,
    pub room: Room,
}

/// Room for the keys in panels, the values in rows, and the scores of a block: [`sizes`] says how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub keys: *mut f32,
    pub values: *mut f32,
    pub scores: *mut f32,
}

/// The most rows of a block, of any instruction set.
const BLOCK: usize = 11;

/// How many numbers the three parts of a [`Room`] must hold for texts of so many tokens.
pub(crate) fn sizes(tokens: usize, size: usize) -> [usize; 3] {
    let filled = tokens.next_multiple_of(PANEL);
    [filled * size, tokens * size, BLOCK * filled]
}

kernel! {
    /// # Safety
    /// The pointers must be good for the head, and nobody else may touch its output and its room.
    pub(crate) fn attend(head: &Head) = attend_with;
}

#[inline(always)]
unsafe fn attend_with<L: Lanes>(head: &Head) {
    // SAFETY: the caller's.
    unsafe {
        transpose::<L>(head);
        let blocks = head.tokens.div_ceil(L::ROWS);
        let mut row = 0;
        for block in 0..blocks {
            let count = (head.tokens - row).div_ceil(blocks - block);
            macro_rules! tile {
                ($($rows:literal)*) => {
                    match count {
                        $($rows if $rows <= L::ROWS => block_of::<L, $rows>(head, row),)*
                        _ => unreachable!("a block has at most ROWS rows"),
                    }
                };
            }
            tile!(1 2 3 4 5 6 7 8 9 10 11);
            row += count;
        }
    }
}

/// Keys to panels of [`PANEL`] tokens, depth by depth; values to rows without the others' between.
#[inline(always)]
unsafe fn transpose<L: Lanes>(head: &Head) {
    // SAFETY: the caller's: the room holds the tokens, filled to a panel.
    unsafe {
        for token in 0..head.tokens.next_multiple_of(PANEL) {
            let panel = head.room.keys.add(token / PANEL * PANEL * head.size + token % PANEL);
            let key = head.keys.add(token * head.stride);
            for depth in 0..head.size {
                *panel.add(depth * PANEL) = if token < head.tokens { *key.add(depth) } else { 0.0 };
            }
        }
        for token in 0..head.tokens {
            let (from, to) = (head.values.add(token * head.stride), head.room.values.add(token * head.size));
            for at in (0..head.size).step_by(L::WIDTH) {
                L::store(to.add(at), L::load(from.add(at)));
            }
        }
    }
}

#[inline(always)]
unsafe fn block_of<L: Lanes, const ROWS: usize>(head: &Head, row: usize) {
    let filled = head.tokens.next_multiple_of(PANEL);
    let scores = head.room.scores;
    // SAFETY: the caller's, for these rows; the scores have `ROWS × filled` numbers.
    unsafe {
        let queries = head.queries.add(row * head.stride);
        let mut column = 0;
        while column < filled {
            let keys = head.room.keys.add(column / PANEL * PANEL * head.size + column % PANEL);
            let keys = Packed { weights: keys, apart: PANEL, between: L::WIDTH };
            let zero = [[L::zero(); 2]; ROWS];
            let sums = tile::<L, f32, ROWS, 2, false>(zero, queries, head.stride, keys, head.size);
            for (number, sums) in sums.iter().enumerate() {
                for (index, sum) in sums.iter().enumerate() {
                    L::store(scores.add(number * filled + column + index * L::WIDTH), *sum);
                }
            }
            column += 2 * L::WIDTH;
        }
        let mut shares = [0.0; ROWS];
        for (number, share) in shares.iter_mut().enumerate() {
            *share = 1.0 / powers::<L>(scores.add(number * filled), head.tokens, filled, head.scale);
        }
        let mut column = 0;
        while column < head.size {
            let values = head.room.values.add(column);
            let output = head.output.add(row * head.stride + column);
            // What is left of a head may be narrower than two vectors.
            if column + 2 * L::WIDTH <= head.size {
                weigh::<L, ROWS, 2>(head, scores, filled, values, &shares, output);
                column += 2 * L::WIDTH;
            } else {
                weigh::<L, ROWS, 1>(head, scores, filled, values, &shares, output);
                column += L::WIDTH;
            }
        }
    }
}

/// Values by their scores.
#[inline(always)]
unsafe fn weigh<L: Lanes, const ROWS: usize, const VECTORS: usize>(
    head: &Head,
    scores: *const f32,
    filled: usize,
    values: *const f32,
    shares: &[f32; ROWS],
    output: *mut f32,
) {
    // SAFETY: the caller's.
    unsafe {
        let values = Packed { weights: values, apart: head.size, between: L::WIDTH };
        let zero = [[L::zero(); VECTORS]; ROWS];
        let sums = tile::<L, f32, ROWS, VECTORS, false>(zero, scores, filled, values, head.tokens);
        for (number, (sums, share)) in sums.iter().zip(shares).enumerate() {
            for (index, sum) in sums.iter().enumerate() {
                let to = output.add(number * head.stride + index * L::WIDTH);
                L::store(to, L::mul(*sum, L::splat(*share)));
            }
        }
    }
}

/// Turns a row of scores, scaled, into powers of e, from its largest down, and returns their sum. What fills the row becomes
/// nothing.
#[inline(always)]
unsafe fn powers<L: Lanes>(row: *mut f32, tokens: usize, filled: usize, scale: f32) -> f32 {
    // SAFETY: the caller's: the row has `filled` numbers, a multiple of a vector.
    unsafe {
        for at in tokens..filled {
            *row.add(at) = f32::NEG_INFINITY;
        }
        let mut most = L::splat(f32::NEG_INFINITY);
        for at in (0..filled).step_by(L::WIDTH) {
            // A NaN is passed over here; its power is NaN, and so is the sum.
            most = L::max(L::load(row.add(at)), most);
        }
        let (most, scale) = (L::splat(L::most(most)), L::splat(scale));
        let mut sum = L::zero();
        for at in (0..filled).step_by(L::WIDTH) {
            let power = exp::<L>(L::mul(L::sub(L::load(row.add(at)), most), scale));
            L::store(row.add(at), power);
            sum = L::add(sum, power);
        }
        L::sum(sum)
    }
}
