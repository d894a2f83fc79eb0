//! AVX2 with the VNNI instructions in their short encoding: desktop CPUs since 2021, servers since 2023.
#![allow(clippy::wildcard_imports, reason = "instructions, by names of their own")]

use super::avx2::Avx2;
use super::isa::Isa;
use std::arch::x86_64::*;

/// Eight lanes; four products of bytes are summed in 32 bits by one instruction.
pub(super) struct AvxVnni;

impl Isa for AvxVnni {
    type Int = __m256i;
    type Float = __m256;
    const LANES: usize = 8;
    const SIGNED_BIAS: i32 = -128;

    #[inline(always)]
    unsafe fn zero_int() -> __m256i {
        unsafe { Avx2::zero_int() }
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> __m256i {
        unsafe { Avx2::load_bytes(from) }
    }

    #[inline(always)]
    unsafe fn nibbles(bytes: __m256i) -> (__m256i, __m256i) {
        unsafe { Avx2::nibbles(bytes) }
    }

    #[inline(always)]
    unsafe fn four(from: *const i8) -> __m256i {
        unsafe { Avx2::four(from) }
    }

    #[inline(always)]
    unsafe fn dot_nibbles(sum: __m256i, weights: __m256i, four: __m256i) -> __m256i {
        unsafe { _mm256_dpbusd_avx_epi32(sum, weights, four) }
    }

    #[inline(always)]
    unsafe fn widen(sum: __m256i) -> __m256i {
        sum
    }

    /// The instruction takes unsigned weights: 128 is added to each, and taken off again by the bias.
    #[inline(always)]
    unsafe fn dot_signed(sum: __m256i, weights: __m256i, four: __m256i) -> __m256i {
        unsafe {
            let unsigned = _mm256_xor_si256(weights, _mm256_set1_epi8(i8::MIN));
            _mm256_dpbusd_avx_epi32(sum, unsigned, four)
        }
    }

    #[inline(always)]
    unsafe fn to_float(sum: __m256i, bias: i32) -> __m256 {
        unsafe { Avx2::to_float(sum, bias) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m256 {
        unsafe { Avx2::splat(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        unsafe { Avx2::load(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: __m256) {
        unsafe { Avx2::store(to, value) }
    }

    #[inline(always)]
    unsafe fn load_halves(from: *const u16) -> __m256 {
        unsafe { Avx2::load_halves(from) }
    }

    #[inline(always)]
    unsafe fn store_halves(to: *mut u16, value: __m256) {
        unsafe { Avx2::store_halves(to, value) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { Avx2::add(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        unsafe { Avx2::mul(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { Avx2::mul_add(a, b, c) }
    }
}
