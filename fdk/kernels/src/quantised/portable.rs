//! The vector unit in plain Rust: what the others are tested against.

use super::isa::Isa;
use half::f16;

/// Eight lanes in arrays.
pub(super) struct Portable;

fn bytes(lane: i32) -> [u8; 4] {
    lane.to_le_bytes()
}

fn zip(a: [f32; 8], b: [f32; 8], f: impl Fn(f32, f32) -> f32) -> [f32; 8] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

impl Isa for Portable {
    type Int = [i32; 8];
    type Float = [f32; 8];
    const LANES: usize = 8;
    const SIGNED_BIAS: i32 = 0;

    unsafe fn zero_int() -> [i32; 8] {
        [0; 8]
    }

    unsafe fn load_bytes(from: *const u8) -> [i32; 8] {
        unsafe { from.cast::<[i32; 8]>().read_unaligned() }
    }

    unsafe fn nibbles(lanes: [i32; 8]) -> ([i32; 8], [i32; 8]) {
        let low = |lane: i32| i32::from_le_bytes(bytes(lane).map(|byte| byte & 15));
        let high = |lane: i32| i32::from_le_bytes(bytes(lane).map(|byte| byte >> 4));
        (lanes.map(low), lanes.map(high))
    }

    unsafe fn four(from: *const i8) -> [i32; 8] {
        [unsafe { from.cast::<i32>().read_unaligned() }; 8]
    }

    unsafe fn dot_nibbles(sum: [i32; 8], weights: [i32; 8], four: [i32; 8]) -> [i32; 8] {
        unsafe { Self::dot_signed(sum, weights, four) }
    }

    unsafe fn widen(sum: [i32; 8]) -> [i32; 8] {
        sum
    }

    unsafe fn dot_signed(sum: [i32; 8], weights: [i32; 8], four: [i32; 8]) -> [i32; 8] {
        std::array::from_fn(|lane| {
            let pairs = bytes(weights[lane]).into_iter().zip(bytes(four[lane]));
            sum[lane]
                + pairs.map(|(a, b)| i32::from(a.cast_signed()) * i32::from(b.cast_signed())).sum::<i32>()
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "as the instructions do")]
    unsafe fn to_float(sum: [i32; 8], bias: i32) -> [f32; 8] {
        sum.map(|lane| (lane + bias) as f32)
    }

    unsafe fn splat(value: f32) -> [f32; 8] {
        [value; 8]
    }

    unsafe fn load(from: *const f32) -> [f32; 8] {
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }

    unsafe fn store(to: *mut f32, value: [f32; 8]) {
        unsafe { to.cast::<[f32; 8]>().write_unaligned(value) }
    }

    unsafe fn load_halves(from: *const u16) -> [f32; 8] {
        unsafe { from.cast::<[u16; 8]>().read_unaligned() }.map(|bits| f16::from_bits(bits).to_f32())
    }

    unsafe fn store_halves(to: *mut u16, value: [f32; 8]) {
        let halves = value.map(|value| f16::from_f32(value).to_bits());
        unsafe { to.cast::<[u16; 8]>().write_unaligned(halves) }
    }

    unsafe fn add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        zip(a, b, |a, b| a + b)
    }

    unsafe fn mul(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        zip(a, b, |a, b| a * b)
    }

    unsafe fn mul_add(a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| a[lane].mul_add(b[lane], c[lane]))
    }
}
