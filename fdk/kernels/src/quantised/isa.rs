//! What the kernels ask of a vector unit.

/// One vector unit. The functions are its instructions; each may be called only where the CPU has them, inside a function
/// that is compiled for them.
pub(crate) trait Isa {
    /// Whole numbers, in bytes or in lanes of 32 bits.
    type Int: Copy;
    /// Lanes of `f32`.
    type Float: Copy;
    /// The lanes of a vector: 8 or 16.
    const LANES: usize;
    /// What times the sum of the activations corrects [`Isa::dot_signed`].
    const SIGNED_BIAS: i32;

    unsafe fn zero_int() -> Self::Int;
    /// `4 · LANES` bytes.
    unsafe fn load_bytes(from: *const u8) -> Self::Int;
    /// The lower and the upper four bits of each byte.
    unsafe fn nibbles(bytes: Self::Int) -> (Self::Int, Self::Int);
    /// Four activations, the same in every lane.
    unsafe fn four(from: *const i8) -> Self::Int;
    /// Adds the products of unsigned 4-bit weights and activations. At most eight may be added into one accumulator.
    unsafe fn dot_nibbles(sum: Self::Int, weights: Self::Int, four: Self::Int) -> Self::Int;
    /// The lanes of an accumulator of [`Isa::dot_nibbles`], in 32 bits.
    unsafe fn widen(sum: Self::Int) -> Self::Int;
    /// Adds the products of signed 8-bit weights and activations, short of [`Isa::SIGNED_BIAS`] times the activations' sum.
    unsafe fn dot_signed(sum: Self::Int, weights: Self::Int, four: Self::Int) -> Self::Int;
    /// `sum + bias` as floats.
    unsafe fn to_float(sum: Self::Int, bias: i32) -> Self::Float;

    unsafe fn splat(value: f32) -> Self::Float;
    unsafe fn load(from: *const f32) -> Self::Float;
    unsafe fn store(to: *mut f32, value: Self::Float);
    /// `LANES` numbers of 16 bits, as floats.
    unsafe fn load_halves(from: *const u16) -> Self::Float;
    /// Rounds to 16 bits, to even.
    unsafe fn store_halves(to: *mut u16, value: Self::Float);
    unsafe fn add(a: Self::Float, b: Self::Float) -> Self::Float;
    unsafe fn mul(a: Self::Float, b: Self::Float) -> Self::Float;
    /// `a · b + c`, rounded once.
    unsafe fn mul_add(a: Self::Float, b: Self::Float, c: Self::Float) -> Self::Float;
}
