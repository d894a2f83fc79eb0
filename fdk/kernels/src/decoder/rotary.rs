//! Rotary positions (Su et al., 2021), and keys and values on their way into the cache.

use super::cache::{Cache, PANEL};
use super::rows::each;
use crate::quantised::{Isa, Level, Rows, Work};
use crate::team::Team;

/// The cosines and sines of some positions.
#[derive(Debug)]
pub(super) struct Angles {
    frequencies: Vec<f32>,
    /// For each position the cosines, then the sines.
    table: Vec<f32>,
}

impl Angles {
    /// Room for as many positions; how far each turns each pair of a head's numbers.
    pub(super) fn new(frequencies: &[f32], positions: usize) -> Self {
        Self { frequencies: frequencies.to_vec(), table: vec![0.0; positions * 2 * frequencies.len()] }
    }

    /// Makes the table that of the positions from `first` on.
    #[expect(clippy::cast_precision_loss, reason = "a position")]
    pub(super) fn set(&mut self, first: usize, count: usize) {
        let pairs = self.frequencies.len();
        for (at, row) in self.table.chunks_exact_mut(2 * pairs).take(count).enumerate() {
            let (cosines, sines) = row.split_at_mut(pairs);
            for ((cosine, sine), frequency) in cosines.iter_mut().zip(sines).zip(&self.frequencies) {
                (*sine, *cosine) = ((first + at) as f32 * frequency).sin_cos();
            }
        }
    }
}

/// Turns the queries and keys of the first `count` rows of `rows` (queries, keys, values side by side; `stride` apart), and
/// writes keys and values to a layer of the cache, which has place for them.
pub(super) fn remember(
    level: Level,
    team: &mut Team,
    (rows, stride): (&mut [f32], usize),
    count: usize,
    angles: &Angles,
    (cache, layer): (&mut Cache, usize),
) {
    let (heads, width, first) = (cache.heads, cache.width, cache.len());
    let (keys, values) = cache.layer_mut(layer);
    let rows = Rows::new(rows, stride);
    let (keys, values) = (Rows::new(keys, heads * width * PANEL), Rows::new(values, heads * width));
    each(team, count, |from, to| {
        for row in from..to {
            // SAFETY: a row is one thread's.
            let numbers = unsafe { rows.row(row) };
            let position = first + row;
            let angles = &angles.table[row * width..][..width];
            level.run(Remember { numbers, heads, width, position, angles, keys: &keys, values: &values });
        }
    });
}

struct Remember<'a> {
    numbers: &'a mut [f32],
    heads: usize,
    width: usize,
    position: usize,
    angles: &'a [f32],
    keys: &'a Rows<'a, u16>,
    values: &'a Rows<'a, u16>,
}

impl Work for Remember<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let width = self.width;
        let (cosines, sines) = self.angles.split_at(width / 2);
        let (turned, values) = self.numbers.split_at_mut(self.numbers.len() - self.heads * width);
        for head in turned.chunks_exact_mut(width) {
            for ((pair, cosine), sine) in head.as_chunks_mut::<2>().0.iter_mut().zip(cosines).zip(sines) {
                let [a, b] = *pair;
                *pair = [a * cosine - b * sine, a * sine + b * cosine];
            }
        }
        let keys = &turned[turned.len() - self.heads * width..];
        let (panel, lane) = (self.position / PANEL, self.position % PANEL);
        // SAFETY: all heads are whole vectors wide, which the decoder's shape is checked for. A position is one thread's,
        // though its keys lie between those of others.
        unsafe {
            let to = self.values.row(self.position);
            let mut halves = [0; PANEL];
            for at in (0..keys.len()).step_by(I::LANES) {
                I::store_halves(
                    to[at..at + I::LANES].as_mut_ptr(),
                    I::load(values[at..at + I::LANES].as_ptr()),
                );
                I::store_halves(halves.as_mut_ptr(), I::load(keys[at..at + I::LANES].as_ptr()));
                for (within, half) in halves[..I::LANES].iter().enumerate() {
                    let place = (at + within) * PANEL + lane;
                    self.keys.part(panel, place..place + 1)[0] = *half;
                }
            }
        }
    }
}
