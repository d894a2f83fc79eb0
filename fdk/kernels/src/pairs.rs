//! The innermost loop of products of bfloat16 (`vdpbf16ps`): two depths at a time of some rows by some strips, whose sums stay in
//! registers. Weights come as half precision and are rounded here.

use super::lanes::prefetch;
use super::tile::{AHEAD, STRIP};
use std::arch::x86_64::{
    __m256bh, __m512, __m512bh, __m512i, _mm256_loadu_si256, _mm256_mask_storeu_epi16, _mm512_cvtne2ps_pbh,
    _mm512_cvtneps_pbh, _mm512_cvtph_ps, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_maskz_loadu_ps,
    _mm512_permutexvar_epi16, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_si512,
};
use std::mem::transmute;

/// Registers of a tile's sums, beside two of weights and what rounds them: as many rows of one strip, half as many of two.
pub(super) const SUMS: usize = 22;
/// Takes sixteen numbers of one depth and sixteen of the next to sixteen pairs.
const PAIRED: [u16; 32] = [
    0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14,
    30, 15, 31,
];

/// Rounds a row of numbers.
///
/// # Safety
/// The CPU must have AVX-512 F, BW, VL and BF16; both pointers must be good for `count` numbers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn round(from: *const f32, count: usize, to: *mut u16) {
    for at in (0..count).step_by(16) {
        let mask = if count - at >= 16 { u16::MAX } else { (1 << (count - at)) - 1 };
        // SAFETY: the caller's; the mask keeps to the row.
        unsafe {
            let rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from.add(at)));
            let rounded = transmute::<__m256bh, std::arch::x86_64::__m256i>(rounded);
            _mm256_mask_storeu_epi16(to.add(at).cast(), mask, rounded);
        }
    }
}

/// Where a tile finds its weights, in pairs of depths for sixteen outputs each.
pub(super) trait Pairs: Copy {
    unsafe fn pairs(self, pair: usize, strip: usize, strips: usize) -> __m512bh;
    /// Asks for what is far ahead, if it is in memory.
    unsafe fn ahead(self, pair: usize, strip: usize);
}

/// As they are kept, the second strip so far from the first: rounded each time.
#[derive(Clone, Copy)]
pub(super) struct Halves(pub(super) *const u16, pub(super) usize);

impl Halves {
    /// Rounds so many pairs of depths of so many strips, as [`Near`] has them.
    ///
    /// # Safety
    /// The CPU must have the features; the weights must be there, and `near` good for `pairs × strips × 32` numbers.
    #[inline(always)]
    pub(super) unsafe fn bring(self, pairs: usize, strips: usize, near: *mut u16) {
        for pair in 0..pairs {
            for strip in 0..strips {
                // SAFETY: the caller's.
                unsafe {
                    self.ahead(pair, strip);
                    let to = near.add((pair * strips + strip) * 2 * STRIP);
                    _mm512_storeu_si512(
                        to.cast(),
                        transmute::<__m512bh, __m512i>(self.pairs(pair, strip, strips)),
                    );
                }
            }
        }
    }

    #[inline(always)]
    fn at(self, pair: usize, strip: usize) -> *const u16 {
        self.0.wrapping_add(strip * self.1 + pair * 2 * STRIP)
    }
}

impl Pairs for Halves {
    #[inline(always)]
    unsafe fn pairs(self, pair: usize, strip: usize, _: usize) -> __m512bh {
        let at = self.at(pair, strip);
        // SAFETY: the caller's: both depths are there.
        unsafe {
            let low = _mm512_cvtph_ps(_mm256_loadu_si256(at.cast()));
            let high = _mm512_cvtph_ps(_mm256_loadu_si256(at.add(STRIP).cast()));
            let order = _mm512_loadu_si512(PAIRED.as_ptr().cast());
            let rounded = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            transmute::<__m512i, __m512bh>(_mm512_permutexvar_epi16(order, rounded))
        }
    }

    #[inline(always)]
    unsafe fn ahead(self, pair: usize, strip: usize) {
        prefetch(self.at(pair, strip).wrapping_byte_add(AHEAD));
    }
}

/// Rounded beforehand, strips in turns.
#[derive(Clone, Copy)]
pub(super) struct Near(pub(super) *const u16);

impl Pairs for Near {
    #[inline(always)]
    unsafe fn pairs(self, pair: usize, strip: usize, strips: usize) -> __m512bh {
        // SAFETY: the caller's.
        unsafe {
            transmute::<__m512i, __m512bh>(_mm512_loadu_si512(
                self.0.add((pair * strips + strip) * 2 * STRIP).cast(),
            ))
        }
    }

    #[inline(always)]
    unsafe fn ahead(self, _: usize, _: usize) {}
}

/// Adds the products of `ROWS` rows by `STRIPS` strips, over so many pairs of depths, to their sums so far.
///
/// # Safety
/// The CPU must have the features. The rows, `stride` numbers apart, and the weights must have the pairs.
#[inline(always)]
pub(super) unsafe fn tile<P: Pairs, const ROWS: usize, const STRIPS: usize>(
    mut sums: [[__m512; STRIPS]; ROWS],
    input: *const u16,
    stride: usize,
    pairs: usize,
    weights: P,
) -> [[__m512; STRIPS]; ROWS] {
    // SAFETY: the caller's.
    unsafe {
        for pair in 0..pairs {
            let mut of = [transmute::<__m512, __m512bh>(_mm512_setzero_ps()); STRIPS];
            for (strip, of) in of.iter_mut().enumerate() {
                weights.ahead(pair, strip);
                *of = weights.pairs(pair, strip, STRIPS);
            }
            for (number, sums) in sums.iter_mut().enumerate() {
                let both = input.add(number * stride + 2 * pair).cast::<i32>().read_unaligned();
                let both = transmute::<__m512i, __m512bh>(_mm512_set1_epi32(both));
                for (sum, of) in sums.iter_mut().zip(of) {
                    *sum = _mm512_dpbf16_ps(*sum, both, of);
                }
            }
        }
        sums
    }
}
