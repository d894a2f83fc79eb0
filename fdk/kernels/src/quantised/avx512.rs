//! AVX-512 with VNNI: servers since 2019 (Intel) and 2022 (AMD).
#![allow(clippy::wildcard_imports, reason = "instructions, by names of their own")]

use super::isa::Isa;
use std::arch::x86_64::*;

/// Sixteen lanes; four products of bytes are summed in 32 bits by one instruction.
pub(super) struct Avx512;

impl Isa for Avx512 {
    type Int = __m512i;
    type Float = __m512;
    const LANES: usize = 16;
    const SIGNED_BIAS: i32 = -128;

    #[inline(always)]
    unsafe fn zero_int() -> __m512i {
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn nibbles(bytes: __m512i) -> (__m512i, __m512i) {
        unsafe {
            let mask = _mm512_set1_epi8(15);
            (_mm512_and_si512(bytes, mask), _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), mask))
        }
    }

    #[inline(always)]
    unsafe fn four(from: *const i8) -> __m512i {
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn dot_nibbles(sum: __m512i, weights: __m512i, four: __m512i) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sum, weights, four) }
    }

    #[inline(always)]
    unsafe fn widen(sum: __m512i) -> __m512i {
        sum
    }

    /// The instruction takes unsigned weights: 128 is added to each, and taken off again by the bias.
    #[inline(always)]
    unsafe fn dot_signed(sum: __m512i, weights: __m512i, four: __m512i) -> __m512i {
        unsafe {
            let unsigned = _mm512_xor_si512(weights, _mm512_set1_epi8(i8::MIN));
            _mm512_dpbusd_epi32(sum, unsigned, four)
        }
    }

    #[inline(always)]
    unsafe fn to_float(sum: __m512i, bias: i32) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(_mm512_add_epi32(sum, _mm512_set1_epi32(bias))) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: __m512) {
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn load_halves(from: *const u16) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn store_halves(to: *mut u16, value: __m512) {
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value)) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
}
