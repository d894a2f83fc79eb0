//! Vectors in plain Rust, for the tests.

use super::Lanes;

/// Plain Rust: what the kernels compute on a CPU of any kind, for the tests.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

fn each(a: [f32; 8], b: [f32; 8], of: impl Fn(f32, f32) -> f32) -> [f32; 8] {
    std::array::from_fn(|index| of(a[index], b[index]))
}

impl Lanes for Portable {
    const WIDTH: usize = 8;
    const ROWS: usize = 4;
    type V = [f32; 8];

    unsafe fn zero() -> [f32; 8] {
        [0.0; 8]
    }
    unsafe fn splat(value: f32) -> [f32; 8] {
        [value; 8]
    }
    unsafe fn load(from: *const f32) -> [f32; 8] {
        // SAFETY: the trait's: the pointer is good for eight numbers.
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }
    unsafe fn load_f16(from: *const u16) -> [f32; 8] {
        // SAFETY: as above.
        let bits = unsafe { from.cast::<[u16; 8]>().read_unaligned() };
        bits.map(|bits| half::f16::from_bits(bits).to_f32())
    }
    unsafe fn store(to: *mut f32, v: [f32; 8]) {
        // SAFETY: as above.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(v) }
    }
    unsafe fn add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        each(a, b, |a, b| a + b)
    }
    unsafe fn sub(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        each(a, b, |a, b| a - b)
    }
    unsafe fn mul(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        each(a, b, |a, b| a * b)
    }
    unsafe fn div(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        each(a, b, |a, b| a / b)
    }
    unsafe fn max(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        each(a, b, |a, b| if a > b { a } else { b })
    }
    unsafe fn min(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        each(a, b, |a, b| if a < b { a } else { b })
    }
    unsafe fn fma(a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|index| a[index] * b[index] + c[index])
    }
    unsafe fn fnma(a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|index| c[index] - a[index] * b[index])
    }
    unsafe fn round(a: [f32; 8]) -> [f32; 8] {
        a.map(f32::round_ties_even)
    }
    unsafe fn scale(a: [f32; 8], n: [f32; 8]) -> [f32; 8] {
        each(a, n, |a, n| a * n.exp2())
    }
    unsafe fn sum(v: [f32; 8]) -> f32 {
        v.iter().sum()
    }
    unsafe fn most(v: [f32; 8]) -> f32 {
        v.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}
