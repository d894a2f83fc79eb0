//! Every kernel against plain loops in f64, on every instruction set that this CPU has.
#![expect(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "sizes are small, and infinities are equal to themselves"
)]

use super::Isa;
use super::attention::{Head, Room, attend, sizes};
use super::functions::Activation;
use super::gemm::{DEPTH, Finish, PANEL, Product, Weights, multiply};
use super::rows::{Norm, embed, normalize};
use super::tile::STRIP;
use proptest::prelude::*;

/// Numbers that look random and are the same each time.
pub(crate) fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        #[expect(clippy::cast_precision_loss, reason = "it is random")]
        let unit = (state >> 40) as f32 / 8_388_608.0;
        unit - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn gelu(x: f64) -> f64 {
    // By Abramowitz and Stegun's 7.1.26 the error function is good to 1.5e-7, which is what the test asks.
    let (z, sign) = ((x / 2f64.sqrt()).abs(), x.signum());
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    0.5 * x * (1.0 + sign * (1.0 - poly * (-z * z).exp()))
}

fn activation(of: Activation, x: f64) -> f64 {
    match of {
        Activation::Gelu => gelu(x),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x.powi(3))).tanh())
        }
        Activation::Relu if x.is_nan() => x,
        Activation::Relu => x.max(0.0),
    }
}

/// Whether two numbers are the same but for rounding; what is no number must be none on both sides.
pub(super) fn close(found: f32, expected: f64, scale: f64) -> bool {
    if expected.is_nan() || found.is_nan() {
        return expected.is_nan() && found.is_nan();
    }
    let found = f64::from(found);
    found == expected || (found - expected).abs() <= 2e-6 * scale.max(expected.abs())
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kept {
    F32,
    F16,
}

/// One product on every instruction set, from memory that is not aligned.
fn check_product(
    rows: usize,
    depth: usize,
    panels: usize,
    kept: Kept,
    finish: u8,
    seed: u64,
    odd: Option<(usize, f32)>,
) {
    let outputs = panels * PANEL;
    let (stride, output_stride) = (depth + 3, outputs + 5);
    let mut input = random(seed, rows * stride + 1);
    if let Some((at, number)) = odd {
        let at = at % (rows * stride);
        input[at + 1] = number;
    }
    let input = &input[1..];
    let weights = random(seed + 1, outputs * depth);
    let halves: Vec<u16> = weights.iter().map(|number| half::f16::from_f32(*number).to_bits()).collect();
    let (bias, residual) = (random(seed + 3, outputs), random(seed + 4, rows * output_stride));
    let weight = |output: usize, at: usize| {
        let place = output / STRIP * STRIP * depth + at * STRIP + output % STRIP;
        match kept {
            Kept::F32 => f64::from(weights[place]),
            Kept::F16 => half::f16::from_bits(halves[place]).to_f64(),
        }
    };
    let activations = [Activation::Gelu, Activation::GeluTanh, Activation::Relu];
    for isa in Isa::all() {
        let mut output = vec![f32::NAN; rows * output_stride];
        let mut wide = vec![0.0; depth * PANEL];
        let product = Product {
            input: input.as_ptr(),
            input_stride: stride,
            rows,
            depth,
            weights: match kept {
                Kept::F32 => Weights::F32(&weights),
                Kept::F16 => Weights::F16(&halves),
            },
            bias: &bias,
            finish: match finish {
                0 => Finish::Bias,
                1 => Finish::Residual(residual.as_ptr(), output_stride),
                other => Finish::Activate(activations[usize::from(other - 2)]),
            },
            output: output.as_mut_ptr(),
            output_stride,
        };
        // SAFETY: the vectors above are as long as the product says, and this CPU has the instruction set.
        unsafe { multiply(isa, &product, 0..panels, wide.as_mut_ptr()) };
        for row in 0..rows {
            for column in 0..output_stride {
                let found = output[row * output_stride + column];
                if column >= outputs {
                    assert!(found.is_nan(), "{isa:?} wrote beyond its columns");
                    continue;
                }
                let terms = (0..depth).map(|at| f64::from(input[row * stride + at]) * weight(column, at));
                let sum: f64 = terms.clone().sum::<f64>() + f64::from(bias[column]);
                let size: f64 = terms.map(f64::abs).filter(|term| term.is_finite()).sum::<f64>() + 1.0;
                let expected = match finish {
                    0 => sum,
                    1 => sum + f64::from(residual[row * output_stride + column]),
                    other => activation(activations[usize::from(other - 2)], sum),
                };
                assert!(
                    close(found, expected, size),
                    "{isa:?} {kept:?} {finish} {rows}×{depth}×{outputs} at {row},{column}: {found} is not {expected}"
                );
            }
        }
    }
}

#[test]
fn products_of_every_height_are_the_plain_loops() {
    for rows in 1..=26 {
        for kept in [Kept::F32, Kept::F16] {
            check_product(rows, DEPTH, 1, kept, 0, rows as u64, None);
        }
    }
    check_product(70, 7 * DEPTH, 3, Kept::F16, 1, 9, None);
}

/// More depths than the nearest cache holds go through in pieces, the last of them shorter.
#[test]
fn deep_products_are_the_plain_loops() {
    for depth in [25, 49, 96] {
        for rows in [1, 13, 40] {
            for kept in [Kept::F32, Kept::F16] {
                check_product(rows, depth * DEPTH, 2, kept, 2, depth as u64, None);
            }
        }
    }
}

#[test]
fn what_is_no_number_stays_none() {
    for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE / 8.0, f32::MAX, -0.0] {
        for kept in [Kept::F32, Kept::F16] {
            for finish in [0, 1, 4] {
                check_product(13, 2 * DEPTH, 1, kept, finish, 5, Some((77, number)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn products_are_the_plain_loops(
        rows in 1_usize..40, depths in 1_usize..9, panels in 1_usize..4, kept in 0_u8..2, finish in 0_u8..5, seed in any::<u64>(),
    ) {
        let kept = [Kept::F32, Kept::F16][usize::from(kept)];
        check_product(rows, depths * DEPTH, panels, kept, finish, seed % 1_000_000, None);
    }

    #[test]
    fn attention_is_the_plain_loops(tokens in 1_usize..140, size in 1_usize..5, spread in 0.1_f32..30.0, seed in any::<u64>()) {
        check_attention(tokens, 16 * size, spread, seed % 1_000_000, None);
    }
}

fn check_attention(tokens: usize, size: usize, spread: f32, seed: u64, odd: Option<(usize, f32)>) {
    let stride = 4 * size + 7;
    let mut rows = random(seed, tokens * stride + 1);
    for row in 0..tokens {
        rows[1 + row * stride..][..size].iter_mut().for_each(|number| *number *= spread);
    }
    if let Some((at, number)) = odd {
        rows[1 + at] = number;
    }
    let original = rows[1..].to_vec();
    let at =
        |row: usize, part: usize, number: usize| f64::from(original[row * stride + part * size + number]);
    let scale = 1.0 / (size as f32).sqrt();
    for isa in Isa::all() {
        let mut rows = rows.clone();
        let rows = &mut rows[1..];
        let [keys, values, scores] = sizes(tokens, size).map(|count| vec![f32::NAN; count]);
        let (mut keys, mut values, mut scores) = (keys, values, scores);
        let start = rows.as_mut_ptr();
        let head = Head {
            queries: start,
            keys: start.wrapping_add(size),
            values: start.wrapping_add(2 * size),
            stride,
            tokens,
            size,
            scale,
            output: start.wrapping_add(3 * size),
            room: Room { keys: keys.as_mut_ptr(), values: values.as_mut_ptr(), scores: scores.as_mut_ptr() },
        };
        // SAFETY: the rows hold four parts of the size, and the room is of its sizes.
        unsafe { attend(isa, &head) };
        for row in 0..tokens {
            let scores: Vec<f64> = (0..tokens)
                .map(|other| (0..size).map(|number| at(row, 0, number) * at(other, 1, number)).sum())
                .map(|score: f64| score * f64::from(scale))
                .collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
            let sum: f64 = powers.iter().sum();
            for number in 0..size {
                let expected: f64 = (0..tokens).map(|other| powers[other] / sum * at(other, 2, number)).sum();
                let found = rows[row * stride + 3 * size + number];
                // A score's own rounding grows with its size, and the power with it.
                let rounding = 1.0 + 4.0 * f64::from(spread) * (size as f64).sqrt();
                assert!(
                    close(found, expected, rounding),
                    "{isa:?} {tokens}×{size} at {row},{number}: {found} is not {expected}"
                );
            }
        }
    }
}

#[test]
fn attention_at_its_edges() {
    for tokens in [1, 2, 4, 5, 6, 7, 10, 11, 12, 13, 22, 23, 31, 32, 33, 64, 65] {
        for size in [16, 32, 48, 64] {
            check_attention(tokens, size, 1.0, tokens as u64, None);
        }
    }
    check_attention(40, 32, 1.0, 3, Some((5, f32::NAN)));
}

#[test]
fn rows_are_normalised() {
    for width in [1, 7, 8, 15, 16, 17, 33, 100, 384] {
        let filled = usize::next_multiple_of(width, PANEL);
        let fill = |mut numbers: Vec<f32>| {
            numbers.resize(filled, 0.0);
            numbers
        };
        let (gain, bias) = (fill(random(1, width)), fill(random(2, width)));
        let norm = Norm { gain: &gain, bias: &bias, width, epsilon: 1e-5 };
        let (word, position, kind) = (fill(random(3, width)), fill(random(4, width)), fill(random(5, width)));
        let halves: Vec<u16> = word.iter().map(|number| half::f16::from_f32(*number).to_bits()).collect();
        for isa in Isa::all() {
            for (words, exact) in [(Weights::F32(&word), true), (Weights::F16(&halves), false)] {
                let mut row = vec![f32::NAN; filled];
                // SAFETY: the row is as long as the gain.
                unsafe { embed(isa, &norm, &words, 0, &position, &kind, row.as_mut_ptr()) };
                let word = |at: usize| {
                    if exact { f64::from(word[at]) } else { half::f16::from_bits(halves[at]).to_f64() }
                };
                let sums: Vec<f64> =
                    (0..width).map(|at| word(at) + f64::from(position[at]) + f64::from(kind[at])).collect();
                let mean = sums.iter().sum::<f64>() / width as f64;
                let variance = sums.iter().map(|sum| (sum - mean).powi(2)).sum::<f64>() / width as f64;
                for at in 0..filled {
                    let expected = sums.get(at).map_or(0.0, |sum| {
                        (sum - mean) / (variance + 1e-5).sqrt() * f64::from(gain[at]) + f64::from(bias[at])
                    });
                    // Of one number, or of nearly equal ones, what is left is rounding, made large.
                    let scale = 2.0 / variance.max(1e-5).sqrt();
                    assert!(
                        close(row[at], expected, scale),
                        "{isa:?} {width} at {at}: {} is not {expected}",
                        row[at]
                    );
                }
            }
            let mut odd = vec![1.0; filled];
            odd[0] = f32::NAN;
            // SAFETY: as above.
            unsafe { normalize(isa, &norm, odd.as_mut_ptr()) };
            assert!(odd[..width].iter().all(|number| number.is_nan()), "{isa:?} {width}");
        }
    }
}
