//! A vector of f32 as the kernels are written over it, once for each instruction set.
//!
//! Every function here is inlined into a function that has the instruction set's features enabled; called from anywhere else
//! it would be an illegal instruction on a CPU without them. That is why all of them are unsafe.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

/// A vector register of f32 and what the kernels do with it.
///
/// # Safety
/// The CPU must have the implementor's features; pointers must be good for [`Lanes::WIDTH`] numbers, at any alignment.
pub(crate) trait Lanes: Copy {
    /// Numbers in a vector.
    const WIDTH: usize;
    /// Rows of a tile: as many as the registers hold beside two vectors of weights.
    const ROWS: usize;
    type V: Copy;

    unsafe fn zero() -> Self::V;
    unsafe fn splat(value: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    /// From IEEE half precision.
    unsafe fn load_f16(from: *const u16) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// `b` where either is not a number.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// `b` where either is not a number.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// `a × b + c`
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c − a × b`
    unsafe fn fnma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn round(a: Self::V) -> Self::V;
    /// `a × 2^n` for whole `n` from −126 to 127.
    unsafe fn scale(a: Self::V, n: Self::V) -> Self::V;
    /// The sum of its numbers.
    unsafe fn sum(v: Self::V) -> f32;
    /// The largest of its numbers, none of which may be NaN.
    unsafe fn most(v: Self::V) -> f32;
}

/// Asks for the cache line at an address, which need not be anybody's.
#[inline(always)]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect but on time, whatever the address; SSE is in every x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
