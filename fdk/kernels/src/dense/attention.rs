//! Attention: how much of each value a query takes, by its likeness to each key.

use super::deal;
use super::elementwise::{exp, mul_add};
use super::matmul::{Linear, Then};

/// Queries that are answered at once: their scores over 1,500 keys fill a third of a second-level cache.
const BLOCK: usize = 30;

/// Keys and values that many queries are put to, packed for each head.
pub struct Memory {
    heads: Vec<(Linear, Linear)>,
    width: usize,
}

impl Memory {
    /// Packs `rows` of `stride` numbers, in which the keys of all heads begin at `keys` and the values at `values`.
    pub fn new(
        numbers: &[f32],
        rows: usize,
        stride: usize,
        (keys, values): (usize, usize),
        (heads, width): (usize, usize),
    ) -> Self {
        let mut packed: Vec<Option<(Linear, Linear)>> = Vec::new();
        packed.resize_with(heads, || None);
        deal(packed.iter_mut(), |head, packed| {
            let (keys, values) = (keys + head * width, values + head * width);
            *packed = Some((
                Linear::of(rows, width, |row, at| numbers[row * stride + keys + at]),
                Linear::of(width, rows, |at, row| numbers[row * stride + values + at]),
            ));
        });
        Self { heads: packed.into_iter().flatten().collect(), width }
    }

    /// Answers `rows` queries, each at the beginning of `stride` numbers, head by head.
    pub fn attend(&self, queries: &[f32], rows: usize, stride: usize) -> Vec<f32> {
        let (heads, width) = (self.heads.len(), self.width);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let scale = (width as f32).sqrt().recip();
        let blocks = rows.div_ceil(BLOCK);
        // Head by head, so that each worker has a part of its own.
        let mut answers = vec![0.0; heads * rows * width];
        let mut parts: Vec<(usize, &mut [f32])> = Vec::with_capacity(heads * blocks);
        for (head, answers) in answers.chunks_exact_mut(rows * width).enumerate() {
            parts.extend(answers.chunks_mut(BLOCK * width).map(|part| (head, part)));
        }
        deal(parts.into_iter(), |index, (head, part)| {
            let (first, count) = (index % blocks * BLOCK, part.len() / width);
            let (keys, values) = &self.heads[head];
            let mut block = Vec::with_capacity(count * width);
            for row in first..first + count {
                block.extend(queries[row * stride + head * width..][..width].iter().map(|x| x * scale));
            }
            let mut scores = vec![0.0; count * keys.outputs()];
            keys.run_here(&block, count, Then::Keep, &mut scores);
            softmax(&mut scores, keys.outputs());
            values.run_here(&scores, count, Then::Keep, part);
        });
        let mut rowwise = vec![0.0; answers.len()];
        for (head, answers) in answers.chunks_exact(rows * width).enumerate() {
            for (row, answer) in answers.chunks_exact(width).enumerate() {
                rowwise[(row * heads + head) * width..][..width].copy_from_slice(answer);
            }
        }
        rowwise
    }
}

super::dispatch! {
    /// Makes each row of so many numbers probabilities.
    pub fn softmax(numbers: &mut [f32], row: usize) {
        for row in numbers.chunks_exact_mut(row) {
            let mut most = [f32::NEG_INFINITY; 8];
            let (eights, rest) = row.as_chunks::<8>();
            for eight in eights {
                for (most, x) in most.iter_mut().zip(eight) {
                    *most = most.max(*x);
                }
            }
            let most = most.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sums = [0.0_f32; 8];
            let (eights, rest) = row.as_chunks_mut::<8>();
            for eight in eights {
                for (sum, x) in sums.iter_mut().zip(eight) {
                    *x = exp(*x - most);
                    *sum += *x;
                }
            }
            let mut sum: f32 = sums.iter().sum();
            for x in rest {
                *x = exp(*x - most);
                sum += *x;
            }
            let share = sum.recip();
            for x in row {
                *x *= share;
            }
        }
    }
}

super::dispatch! {
    /// One query over the keys and values so far, each a row as wide as the query; `scores` is room to work in.
    pub fn attend_one(
        query: &[f32],
        keys: &[f32],
        values: &[f32],
        width: usize,
        scores: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        let stride = query.len();
        #[expect(clippy::cast_precision_loss, reason = "a width")]
        let scale = (width as f32).sqrt().recip();
        for (head, out) in out.chunks_exact_mut(width).enumerate() {
            let query = &query[head * width..][..width];
            scores.clear();
            for key in keys.chunks_exact(stride) {
                let mut sums = [0.0_f32; 8];
                let pairs = key[head * width..][..width].as_chunks::<8>().0.iter().zip(query.as_chunks::<8>().0);
                for (key, query) in pairs {
                    for lane in 0..8 {
                        sums[lane] = mul_add::<FMA>(key[lane], query[lane], sums[lane]);
                    }
                }
                scores.push(sums.iter().sum::<f32>() * scale);
            }
            let count = scores.len();
            softmax(scores, count);
            out.fill(0.0);
            for (score, value) in scores.iter().zip(values.chunks_exact(stride)) {
                for (out, value) in out.iter_mut().zip(&value[head * width..][..width]) {
                    *out = mul_add::<FMA>(*score, *value, *out);
                }
            }
        }
    }
}
