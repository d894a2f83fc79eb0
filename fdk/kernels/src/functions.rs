//! Functions of one number, a vector at a time.

use super::lanes::Lanes;

/// What comes between the two halves of a layer's second part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// By the error function, as BERT has it.
    Gelu,
    /// The GELU's approximation by the hyperbolic tangent.
    GeluTanh,
    /// Zero for what is below it.
    Relu,
}

/// `e^x`, to two units in the last place; what is below −87.3 gives the least normal number, what is above 88.7 infinity.
///
/// The polynomial is Cephes' (`expf`), after a reduction by the binary logarithm.
#[inline(always)]
#[expect(clippy::many_single_char_names, reason = "as the method is written down")]
pub(crate) unsafe fn exp<L: Lanes>(x: L::V) -> L::V {
    // SAFETY: the caller's: the features are there.
    unsafe {
        // In this order a NaN stays one.
        let x = L::min(L::splat(88.8), L::max(L::splat(-87.3), x));
        // 88.8 needs two to the 128th, which the scale has not: halved, and doubled again.
        let n = L::round(L::mul(x, L::splat(std::f32::consts::LOG2_E)));
        let r = L::fnma(n, L::splat(0.693_359_4), x);
        let r = L::fnma(n, L::splat(-2.121_944_4e-4), r);
        let mut p = L::splat(1.987_569_1e-4);
        for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
            p = L::fma(p, r, L::splat(c));
        }
        let y = L::add(L::fma(p, L::mul(r, r), r), L::splat(1.0));
        let less = L::sub(n, L::splat(1.0));
        L::mul(L::scale(y, less), L::splat(2.0))
    }
}

/// The error function by Eigen's rational approximation, to four units in the last place.
#[inline(always)]
unsafe fn erf<L: Lanes>(x: L::V) -> L::V {
    // SAFETY: the caller's.
    unsafe {
        let x = L::min(L::splat(4.0), L::max(L::splat(-4.0), x));
        let square = L::mul(x, x);
        let mut p = L::splat(-2.726_142_3e-10);
        for c in
            [2.770_681_4e-8, -2.101_024e-6, -5.692_506_4e-5, -7.349_906_3e-4, -2.954_6e-3, -1.609_603_3e-2]
        {
            p = L::fma(p, square, L::splat(c));
        }
        let mut q = L::splat(-1.456_607_2e-5);
        for c in [-2.133_740_6e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2] {
            q = L::fma(q, square, L::splat(c));
        }
        L::div(L::mul(p, x), q)
    }
}

/// An activation of a vector.
#[inline(always)]
pub(crate) unsafe fn activate<L: Lanes>(activation: Activation, x: L::V) -> L::V {
    // SAFETY: the caller's.
    unsafe {
        let half = L::mul(x, L::splat(0.5));
        match activation {
            Activation::Gelu => {
                L::fma(erf::<L>(L::mul(x, L::splat(std::f32::consts::FRAC_1_SQRT_2))), half, half)
            }
            Activation::GeluTanh => {
                // tanh u = 1 − 2 ÷ (e^2u + 1), with u = √(2/π) (x + 0.044715 x³)
                let u = L::mul(x, L::fma(L::mul(x, x), L::splat(0.044_715), L::splat(1.0)));
                let power = exp::<L>(L::mul(u, L::splat(1.595_769)));
                let tanh = L::sub(L::splat(1.0), L::div(L::splat(2.0), L::add(power, L::splat(1.0))));
                L::fma(tanh, half, half)
            }
            Activation::Relu => L::max(L::zero(), x),
        }
    }
}
