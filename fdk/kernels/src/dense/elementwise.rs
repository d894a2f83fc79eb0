//! Functions of one number, over rows, in forms that the compiler makes vectors of.

use super::dispatch;

/// `a * b + c`: one instruction where the CPU has it, and never a call into a library where it has not.
#[inline(always)]
pub fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// e^x, within 2e-7 of it, for x ≤ 88; below -80 it is zero. Of what is next to zero, a share or a product would be no normal
/// number, and a multiplication with one takes an Intel CPU many times as long.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "x is clamped: the whole part is within -126 to 127"
)]
pub fn exp(x: f32) -> f32 {
    // 2^n * e^r with |r| ≤ ln(2)/2; ln(2) in two parts, so that r loses nothing (Cody and Waite, 1980).
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and taking away 1.5 * 2^23 rounds to the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    let (least, x) = (x < -80.0, x.clamp(-80.0, 88.0));
    let n = (x * LOG2_E + ROUND) - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    // Taylor's series; the next term is below 2e-8 of the sum.
    let series = 1.0 / 720.0 + r * (1.0 / 5040.0);
    let series = 1.0 / 120.0 + r * series;
    let series = 1.0 / 24.0 + r * series;
    let series = 1.0 / 6.0 + r * series;
    let series = 0.5 + r * series;
    let power = 1.0 + r * (1.0 + r * series);
    let power = power * f32::from_bits(((n as i32 + 127) as u32) << 23);
    if least { 0.0 } else { power }
}

dispatch! {
    /// `x * Φ(x)`, the exact GELU, with erf as Abramowitz and Stegun 7.1.26 has it: within 1.5e-7.
    pub fn gelu(row: &mut [f32]) {
        for x in row {
            let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
            let t = 1.0 / (1.0 + 0.327_591_1 * z);
            let series = -1.453_152_1 + t * 1.061_405_4;
            let series = 1.421_413_8 + t * series;
            let series = -0.284_496_72 + t * series;
            let series = 0.254_829_6 + t * series;
            // 1 - erf(|x|/√2)
            let rest = t * series * exp(-z * z);
            let cumulative = if *x < 0.0 { 0.5 * rest } else { 1.0 - 0.5 * rest };
            *x *= cumulative;
        }
    }
}

dispatch! {
    /// Makes zeros of what is below.
    pub fn relu(row: &mut [f32]) {
        for x in row {
            *x = x.max(0.0);
        }
    }
}

dispatch! {
    /// Adds one row to another.
    pub fn add(row: &mut [f32], other: &[f32]) {
        for (x, y) in row.iter_mut().zip(other) {
            *x += y;
        }
    }
}

dispatch! {
    /// Brings each row to the mean 0 and the variance 1, then scales and moves it.
    pub fn layer_norm(rows: &mut [f32], gamma: &[f32], beta: &[f32]) {
        // What candle and `CTranslate2` have.
        const EPSILON: f32 = 1e-5;
        #[expect(clippy::cast_precision_loss, reason = "a width")]
        let share = 1.0 / gamma.len() as f32;
        for row in rows.chunks_exact_mut(gamma.len()) {
            let (mut sums, mut squares) = ([0.0_f32; 8], [0.0_f32; 8]);
            for eight in row.as_chunks::<8>().0 {
                for (sum, x) in sums.iter_mut().zip(eight) {
                    *sum += x;
                }
            }
            let mean = sums.iter().sum::<f32>() * share;
            for eight in row.as_chunks::<8>().0 {
                for (square, x) in squares.iter_mut().zip(eight) {
                    *square += (x - mean) * (x - mean);
                }
            }
            let scale = (squares.iter().sum::<f32>() * share + EPSILON).sqrt().recip();
            for (x, (gamma, beta)) in row.iter_mut().zip(gamma.iter().zip(beta)) {
                *x = (*x - mean) * scale * gamma + beta;
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
mod tests {
    use super::*;

    #[test]
    fn exp_is_that_of_the_library() {
        let mut x = -80.0_f32;
        while x < 88.0 {
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / exact - 1.0).abs() < 3e-7, "{x}: {ours} {exact}");
            x += 0.013;
        }
        assert!([f32::NEG_INFINITY, -80.01].into_iter().all(|x| exp(x).to_bits() == 0));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn no_result_is_subnormal() {
        let mut numbers: Vec<f32> = (0..4000).map(|i| i as f32 / -100.0).collect();
        gelu(&mut numbers);
        assert!(numbers.iter().all(|x| *x == 0.0 || x.is_normal()));
        let mut scores: Vec<f32> = (0..1500).map(|i| i as f32 / -10.0).collect();
        crate::dense::attention::softmax(&mut scores, 1500);
        assert!(scores.iter().all(|x| *x == 0.0 || x.is_normal()));
    }
}
