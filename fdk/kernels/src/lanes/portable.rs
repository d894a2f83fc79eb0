//! Vectors in plain Rust: for other CPUs, and for the tests.

use super::Lanes;

/// Plain Rust, of which the compiler makes what the CPU has. In the tests its vectors are also as wide as those of an instruction
/// set that the machine under test may lack.
#[derive(Clone, Copy)]
pub(crate) struct Portable<const WIDTH: usize>;

fn each<const WIDTH: usize>(a: [f32; WIDTH], b: [f32; WIDTH], of: impl Fn(f32, f32) -> f32) -> [f32; WIDTH] {
    std::array::from_fn(|index| of(a[index], b[index]))
}

impl<const WIDTH: usize> Lanes for Portable<WIDTH> {
    const WIDTH: usize = WIDTH;
    const ROWS: usize = 4;
    type V = [f32; WIDTH];

    unsafe fn zero() -> [f32; WIDTH] {
        [0.0; WIDTH]
    }
    unsafe fn splat(value: f32) -> [f32; WIDTH] {
        [value; WIDTH]
    }
    unsafe fn load(from: *const f32) -> [f32; WIDTH] {
        // SAFETY: the trait's: the pointer is good for a vector.
        unsafe { from.cast::<[f32; WIDTH]>().read_unaligned() }
    }
    unsafe fn load_f16(from: *const u16) -> [f32; WIDTH] {
        // SAFETY: as above.
        let bits = unsafe { from.cast::<[u16; WIDTH]>().read_unaligned() };
        bits.map(|bits| half::f16::from_bits(bits).to_f32())
    }
    unsafe fn store(to: *mut f32, v: [f32; WIDTH]) {
        // SAFETY: as above.
        unsafe { to.cast::<[f32; WIDTH]>().write_unaligned(v) }
    }
    unsafe fn add(a: [f32; WIDTH], b: [f32; WIDTH]) -> [f32; WIDTH] {
        each(a, b, |a, b| a + b)
    }
    unsafe fn sub(a: [f32; WIDTH], b: [f32; WIDTH]) -> [f32; WIDTH] {
        each(a, b, |a, b| a - b)
    }
    unsafe fn mul(a: [f32; WIDTH], b: [f32; WIDTH]) -> [f32; WIDTH] {
        each(a, b, |a, b| a * b)
    }
    unsafe fn div(a: [f32; WIDTH], b: [f32; WIDTH]) -> [f32; WIDTH] {
        each(a, b, |a, b| a / b)
    }
    unsafe fn max(a: [f32; WIDTH], b: [f32; WIDTH]) -> [f32; WIDTH] {
        each(a, b, |a, b| if a > b { a } else { b })
    }
    unsafe fn min(a: [f32; WIDTH], b: [f32; WIDTH]) -> [f32; WIDTH] {
        each(a, b, |a, b| if a < b { a } else { b })
    }
    unsafe fn fma(a: [f32; WIDTH], b: [f32; WIDTH], c: [f32; WIDTH]) -> [f32; WIDTH] {
        std::array::from_fn(|index| a[index] * b[index] + c[index])
    }
    unsafe fn fnma(a: [f32; WIDTH], b: [f32; WIDTH], c: [f32; WIDTH]) -> [f32; WIDTH] {
        std::array::from_fn(|index| c[index] - a[index] * b[index])
    }
    unsafe fn round(a: [f32; WIDTH]) -> [f32; WIDTH] {
        a.map(f32::round_ties_even)
    }
    unsafe fn scale(a: [f32; WIDTH], n: [f32; WIDTH]) -> [f32; WIDTH] {
        each(a, n, |a, n| a * n.exp2())
    }
    unsafe fn sum(v: [f32; WIDTH]) -> f32 {
        v.iter().sum()
    }
    unsafe fn most(v: [f32; WIDTH]) -> f32 {
        v.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}
