//! What is done to a row by itself: normalising it, and making it of a token's vectors.

use super::gemm::Weights;
use super::lanes::Lanes;
use super::{Isa, kernel};

/// The gain and bias of a layer normalisation, filled with zeros to the rows' width.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'w> {
    /// What a normalised number is multiplied with.
    pub gain: &'w [f32],
    /// And what is added to it.
    pub bias: &'w [f32],
    /// How many of a row's numbers count; those that fill it are zero.
    pub width: usize,
    /// Added to the variance.
    pub epsilon: f32,
}

impl Norm<'_> {
    /// Whether it is for rows of this width, filled.
    pub fn fits(&self, row: usize) -> bool {
        self.gain.len() == row && self.bias.len() == row && self.width <= row
    }
}

kernel! {
    /// Normalises a row in place: less its mean, by its deviation.
    ///
    /// # Safety
    /// The row must be as long as the gain, a multiple of 16, and nobody else's.
    pub(crate) fn normalize(norm: &Norm<'_>, row: *mut f32) = normalize_with;

    /// Writes the sum of a word's, a position's and a type's vectors, normalised.
    ///
    /// # Safety
    /// As for [`normalize`].
    pub(crate) fn embed(norm: &Norm<'_>, words: &Weights<'_>, word: usize, position: &[f32], kind: &[f32], row: *mut f32)
        = embed_with;
}

#[inline(always)]
unsafe fn normalize_with<L: Lanes>(norm: &Norm<'_>, row: *mut f32) {
    let (filled, width) = (norm.gain.len(), norm.width);
    debug_assert!(norm.bias.len() == filled && width <= filled);
    #[expect(clippy::cast_precision_loss, reason = "a row has a few thousand numbers")]
    let count = width as f32;
    let whole = width / L::WIDTH * L::WIDTH;
    // SAFETY: the caller's; `filled` is a multiple of a vector.
    unsafe {
        let mut sum = L::zero();
        for at in (0..whole).step_by(L::WIDTH) {
            sum = L::add(sum, L::load(row.add(at)));
        }
        let mut total = L::sum(sum);
        for at in whole..width {
            total += *row.add(at);
        }
        let mean = total / count;
        let mut squares = L::zero();
        for at in (0..whole).step_by(L::WIDTH) {
            let less = L::sub(L::load(row.add(at)), L::splat(mean));
            squares = L::fma(less, less, squares);
        }
        let mut total = L::sum(squares);
        for at in whole..width {
            total += (*row.add(at) - mean).powi(2);
        }
        let scale = 1.0 / (total / count + norm.epsilon).sqrt();
        for at in (0..filled).step_by(L::WIDTH) {
            let unit = L::mul(L::sub(L::load(row.add(at)), L::splat(mean)), L::splat(scale));
            let gain = L::load(norm.gain.as_ptr().add(at));
            L::store(row.add(at), L::fma(unit, gain, L::load(norm.bias.as_ptr().add(at))));
        }
    }
}

#[inline(always)]
unsafe fn embed_with<L: Lanes>(
    norm: &Norm<'_>,
    words: &Weights<'_>,
    word: usize,
    position: &[f32],
    kind: &[f32],
    row: *mut f32,
) {
    let filled = norm.gain.len();
    let numbers = word * filled..(word + 1) * filled;
    debug_assert!(position.len() == filled && kind.len() == filled);
    // SAFETY: the caller's; slicing checks that the table has the word.
    unsafe {
        for at in (0..filled).step_by(L::WIDTH) {
            let word = match words {
                Weights::F32(table) => L::load(table[numbers.clone()].as_ptr().add(at)),
                Weights::F16(table) => L::load_f16(table[numbers.clone()].as_ptr().add(at)),
            };
            let rest = L::add(L::load(position.as_ptr().add(at)), L::load(kind.as_ptr().add(at)));
            L::store(row.add(at), L::add(word, rest));
        }
        normalize_with::<L>(norm, row);
    }
}
