//! AVX2 with FMA and F16C: any x86 server CPU since 2013.
#![allow(clippy::wildcard_imports, reason = "instructions, by names of their own")]

use super::isa::Isa;
use std::arch::x86_64::*;

/// Eight lanes; products of bytes are summed in 16 bits.
pub(super) struct Avx2;

impl Isa for Avx2 {
    type Int = __m256i;
    type Float = __m256;
    const LANES: usize = 8;
    const SIGNED_BIAS: i32 = 0;

    #[inline(always)]
    unsafe fn zero_int() -> __m256i {
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> __m256i {
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn nibbles(bytes: __m256i) -> (__m256i, __m256i) {
        unsafe {
            let mask = _mm256_set1_epi8(15);
            (_mm256_and_si256(bytes, mask), _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask))
        }
    }

    #[inline(always)]
    unsafe fn four(from: *const i8) -> __m256i {
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    /// A step adds at most 2 · 15 · 127 = 3,810 in magnitude to a lane, so eight stay below 2¹⁵.
    #[inline(always)]
    unsafe fn dot_nibbles(sum: __m256i, weights: __m256i, four: __m256i) -> __m256i {
        unsafe { _mm256_add_epi16(sum, _mm256_maddubs_epi16(weights, four)) }
    }

    #[inline(always)]
    unsafe fn widen(sum: __m256i) -> __m256i {
        unsafe { _mm256_madd_epi16(sum, _mm256_set1_epi16(1)) }
    }

    /// The weight's sign goes to the activation, so that the weight is unsigned: at most 2 · 128 · 127 = 32,512 < 2¹⁵.
    #[inline(always)]
    unsafe fn dot_signed(sum: __m256i, weights: __m256i, four: __m256i) -> __m256i {
        unsafe {
            let products = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(four, weights));
            _mm256_add_epi32(sum, _mm256_madd_epi16(products, _mm256_set1_epi16(1)))
        }
    }

    #[inline(always)]
    unsafe fn to_float(sum: __m256i, bias: i32) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(_mm256_add_epi32(sum, _mm256_set1_epi32(bias))) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m256 {
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: __m256) {
        unsafe { _mm256_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn load_halves(from: *const u16) -> __m256 {
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn store_halves(to: *mut u16, value: __m256) {
        unsafe { _mm_storeu_si128(to.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value)) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
}
