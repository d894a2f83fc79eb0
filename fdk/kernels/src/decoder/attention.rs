//! Attention over the cache: queries of several heads share the keys and values of one.

use super::cache::{Cache, PANEL};
use super::elementary::exp;
use crate::quantised::{Isa, Level, Rows, Work};
use crate::team::Team;

/// The most queries that are looked at together.
const QUERIES: usize = 6;

/// What a thread needs for itself: for each query a score per position, and the query.
pub(super) fn scratch(positions: usize, width: usize) -> usize {
    QUERIES * (positions.next_multiple_of(PANEL) + width)
}

/// For the first `count` rows of `queries` (`stride` apart), which are the positions behind what is in the cache, whose keys
/// and values are written though: the weighted mean of values, by the likeness of queries and keys, into rows of `out`.
/// `scratch` has as much for each thread as [`scratch`] says.
#[expect(clippy::too_many_arguments, reason = "a pass's parts")]
pub(super) fn attend(
    level: Level,
    team: &mut Team,
    (queries, stride): (&[f32], usize),
    count: usize,
    (cache, layer): (&Cache, usize),
    heads: usize,
    out: &mut [f32],
    scratch: &mut [f32],
) {
    let group = heads / cache.heads;
    let tokens = (QUERIES / group).max(1);
    let own = scratch.len() / team.size();
    assert!(own >= self::scratch(cache.len() + count, cache.width));
    assert!(heads * cache.width <= stride && count * stride <= queries.len());
    let (out, scratch) = (Rows::new(out, heads * cache.width), Rows::new(scratch, own));
    let blocks = count.div_ceil(tokens);
    let work = |chunk: usize, member: usize| {
        // The last tokens have most to look at: they go first.
        let (block, head) = (blocks - 1 - chunk / cache.heads, chunk % cache.heads);
        let last = count.min((block + 1) * tokens);
        for first in (block * tokens * group..last * group).step_by(QUERIES) {
            let rows = (first, (last * group).min(first + QUERIES));
            // SAFETY: a member is one thread at a time.
            let scratch = unsafe { scratch.row(member) };
            level.run(Attend { queries, stride, rows, group, head, cache, layer, out: &out, scratch });
        }
    };
    // A single token with little behind it is done before another thread would have begun.
    if count == 1 && cache.len() < 32 {
        (0..cache.heads).for_each(|chunk| work(chunk, 0));
    } else {
        team.run(blocks * cache.heads, work);
    }
}

/// At most [`QUERIES`] queries, numbered through tokens and, in a token, through the heads of the group.
struct Attend<'a> {
    queries: &'a [f32],
    stride: usize,
    rows: (usize, usize),
    group: usize,
    head: usize,
    cache: &'a Cache,
    layer: usize,
    out: &'a Rows<'a, f32>,
    scratch: &'a mut [f32],
}

impl Work for Attend<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(mut self) {
        let scratch = std::mem::take(&mut self.scratch);
        // SAFETY: the CPU has `I`, as the caller promises; there are as many rows as each names.
        unsafe {
            match self.rows.1 - self.rows.0 {
                1 => self.queries::<I, 1>(scratch),
                2 => self.queries::<I, 2>(scratch),
                3 => self.queries::<I, 3>(scratch),
                4 => self.queries::<I, 4>(scratch),
                5 => self.queries::<I, 5>(scratch),
                _ => self.queries::<I, 6>(scratch),
            }
        }
    }
}

impl Attend<'_> {
    /// # Safety
    /// The CPU has `I`, and there are `M` rows.
    #[inline(always)]
    #[expect(clippy::cast_precision_loss, reason = "a head's width")]
    unsafe fn queries<I: Isa, const M: usize>(&self, scratch: &mut [f32]) {
        let width = self.cache.width;
        let scale = 1.0 / (width as f32).sqrt();
        let place: [(usize, usize); M] = std::array::from_fn(|m| {
            let row = self.rows.0 + m;
            (row / self.group, (self.head * self.group + row % self.group) * width)
        });
        let limits = place.map(|(token, _)| self.cache.len() + token + 1);
        let most = limits[M - 1];
        let padded = most.next_multiple_of(PANEL);
        let (queries, scores) = scratch.split_at_mut(QUERIES * width);
        for (query, (token, column)) in queries.chunks_exact_mut(width).zip(place) {
            let from = &self.queries[token * self.stride + column..][..width];
            query.iter_mut().zip(from).for_each(|(to, from)| *to = from * scale);
        }
        let (keys, values) = self.cache.layer(self.layer);
        // How far positions, or panels of them, are apart.
        let stride = self.cache.heads * width;
        assert!(keys.len() >= padded * stride && values.len() >= most * stride && scores.len() >= M * padded);
        let keys = &keys[self.head * width * PANEL..];
        let values = &values[self.head * width..];
        // SAFETY: the cache has `most` positions, in whole panels; the scratch has M queries and M rows of as many scores.
        unsafe {
            let (queries, to) = (queries.as_ptr(), scores.as_mut_ptr());
            if I::LANES == PANEL {
                score::<I, M, 1>(queries, width, (keys.as_ptr(), stride), padded, to);
            } else {
                score::<I, M, 2>(queries, width, (keys.as_ptr(), stride), padded, to);
            }
            let mut factors = [0.0; M];
            for (m, factor) in factors.iter_mut().enumerate() {
                let scores = &mut scores[m * padded..][..padded];
                *factor = 1.0 / weigh(&mut scores[..limits[m]]);
                scores[limits[m]..].fill(0.0);
            }
            let mut column = 0;
            while column < width {
                let left = (width - column) / I::LANES;
                let from = values.as_ptr().add(column);
                // As many vectors of values as there are registers for sums.
                let vectors = match () {
                    () if left >= 4 && (M <= 3 || I::LANES == PANEL) => {
                        self.mix::<I, M, 4>(scores.as_ptr(), padded, most, from, place, column, factors);
                        4
                    }
                    () if left >= 2 => {
                        self.mix::<I, M, 2>(scores.as_ptr(), padded, most, from, place, column, factors);
                        2
                    }
                    () => {
                        self.mix::<I, M, 1>(scores.as_ptr(), padded, most, from, place, column, factors);
                        1
                    }
                };
                column += vectors * I::LANES;
            }
        }
    }

    /// The weighted means of `C` vectors of the values' columns.
    ///
    /// # Safety
    /// The CPU has `I`; there are `M` rows of `most` weights, `stride` apart, and as many values.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "inlined")]
    unsafe fn mix<I: Isa, const M: usize, const C: usize>(
        &self,
        weights: *const f32,
        stride: usize,
        most: usize,
        values: *const u16,
        place: [(usize, usize); M],
        column: usize,
        factors: [f32; M],
    ) {
        // SAFETY: as the caller promises; a query's columns of a head are one thread's.
        unsafe {
            let apart = self.cache.heads * self.cache.width;
            let mut sums = [[I::splat(0.0); C]; M];
            for position in 0..most {
                for vector in 0..C {
                    let value = I::load_halves(values.add(position * apart + vector * I::LANES));
                    for (m, sums) in sums.iter_mut().enumerate() {
                        let weight = I::splat(*weights.add(m * stride + position));
                        sums[vector] = I::mul_add(value, weight, sums[vector]);
                    }
                }
            }
            for ((sums, (token, head)), factor) in sums.into_iter().zip(place).zip(factors) {
                let start = head + column;
                let out = self.out.part(token, start..start + C * I::LANES);
                for (vector, sum) in sums.into_iter().enumerate() {
                    I::store(out.as_mut_ptr().add(vector * I::LANES), I::mul(sum, I::splat(factor)));
                }
            }
        }
    }
}

/// The scores of `M` queries with `positions` keys, in rows of as many; `V` vectors make a panel, and panels begin sixteen
/// times the keys' stride apart.
///
/// # Safety
/// The CPU has `I`; there are `M` queries, `positions` keys in whole panels, and room for the scores.
#[inline(always)]
unsafe fn score<I: Isa, const M: usize, const V: usize>(
    queries: *const f32,
    width: usize,
    (keys, stride): (*const u16, usize),
    positions: usize,
    scores: *mut f32,
) {
    let mut position = 0;
    // SAFETY: as the caller promises.
    unsafe {
        // Few queries leave registers for two panels, which hide each other's latency.
        while M <= 3 && position + 2 * PANEL <= positions {
            let keys = (keys.add(position * stride), stride);
            panels::<I, M, V, 2>(queries, width, keys, positions, scores.add(position));
            position += 2 * PANEL;
        }
        while position < positions {
            let keys = (keys.add(position * stride), stride);
            panels::<I, M, V, 1>(queries, width, keys, positions, scores.add(position));
            position += PANEL;
        }
    }
}

/// # Safety
/// As for [`score`], with `P` panels.
#[inline(always)]
unsafe fn panels<I: Isa, const M: usize, const V: usize, const P: usize>(
    queries: *const f32,
    width: usize,
    (keys, stride): (*const u16, usize),
    positions: usize,
    scores: *mut f32,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut sums = [[[I::splat(0.0); V]; P]; M];
        for at in 0..width {
            for panel in 0..P {
                for vector in 0..V {
                    let key = keys.add((panel * stride + at) * PANEL + vector * I::LANES);
                    let key = I::load_halves(key);
                    for (m, sums) in sums.iter_mut().enumerate() {
                        let query = I::splat(*queries.add(m * width + at));
                        sums[panel][vector] = I::mul_add(key, query, sums[panel][vector]);
                    }
                }
            }
        }
        for (m, sums) in sums.into_iter().enumerate() {
            for (panel, sums) in sums.into_iter().enumerate() {
                for (vector, sum) in sums.into_iter().enumerate() {
                    I::store(scores.add(m * positions + panel * PANEL + vector * I::LANES), sum);
                }
            }
        }
    }
}

/// Makes scores weights, up to a factor: the powers of `e`, over the greatest. Returns their sum.
#[inline(always)]
fn weigh(scores: &mut [f32]) -> f32 {
    let (chunks, rest) = scores.as_chunks_mut::<PANEL>();
    let mut most = [f32::NEG_INFINITY; PANEL];
    for chunk in &*chunks {
        for (most, score) in most.iter_mut().zip(chunk) {
            *most = if *score > *most { *score } else { *most };
        }
    }
    let most = most.iter().chain(&*rest).fold(f32::NEG_INFINITY, |most, score| most.max(*score));
    let mut sums = [0.0; PANEL];
    for chunk in chunks {
        for (sum, score) in sums.iter_mut().zip(chunk) {
            *score = exp(*score - most);
            *sum += *score;
        }
    }
    for (sum, score) in sums.iter_mut().zip(rest) {
        *score = exp(*score - most);
        *sum += *score;
    }
    sums.iter().sum()
}
