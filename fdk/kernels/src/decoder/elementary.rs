//! Functions of one number, in a form that compiles to vector instructions.

/// `e` to a power: the polynomial of the Cephes library's `expf`, within two units in the last place. Powers are taken to be
/// between −87 and 88, where the result is a normal number; NaN stays NaN.
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "as they are published")]
pub(super) fn exp(power: f32) -> f32 {
    // 1.5 · 2²³: added to a small number, it leaves the nearest whole one in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // Not `clamp` or `max`, which would make a number of NaN.
    let power = if power < -87.0 { -87.0 } else { power };
    let power = if power > 88.0 { 88.0 } else { power };
    let rounded = power * std::f32::consts::LOG2_E + ROUND;
    let twos = rounded - ROUND;
    let rest = power - twos * 0.693_359_375 - twos * -2.121_944_40e-4;
    let mut sum = 1.987_569_15e-4;
    for coefficient in
        [1.398_199_950_7e-3, 8.333_451_907_3e-3, 4.166_579_589_4e-2, 1.666_666_545_9e-1, 5.000_000_120_1e-1]
    {
        sum = sum * rest + coefficient;
    }
    let fraction = sum * rest * rest + rest + 1.0;
    // The whole number's low bits go where a float has its exponent; those above fall off.
    let scale = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    fraction * scale
}

/// The activation of the Llama family's inner layer, `x / (1 + e⁻ˣ)`.
#[inline(always)]
pub(super) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_the_exponential() {
        for step in -87_000_i32..=88_000 {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let x = step as f32 / 1000.0;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / exact - 1.0).abs() < 2.5e-7, "{x}: {ours} is not {exact}");
        }
        assert!(exp(f32::NEG_INFINITY) < 2e-38 && exp(-1e9) < 2e-38);
        assert!(exp(f32::INFINITY) > 1e38 && exp(f32::INFINITY).is_finite());
        assert!(exp(f32::NAN).is_nan());
        assert!((exp(0.0) - 1.0).abs() < f32::EPSILON);
    }

    #[test]
    fn silu_is_its_definition() {
        for step in -4000_i16..=4000 {
            let x = f32::from(step) / 100.0;
            let exact = f64::from(x) / (1.0 + f64::from(-x).exp());
            assert!((f64::from(silu(x)) - exact).abs() <= 4e-7 * exact.abs() + 1e-12, "{x}");
        }
        assert!(silu(f32::NAN).is_nan());
    }
}
