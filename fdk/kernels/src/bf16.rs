//! Products with weights of half precision on CPUs that multiply bfloat16 (`vdpbf16ps`) sooner than f32: a Zen 4 or later, twice as
//! many numbers in a cycle. Both sides are rounded to its 8 bits of precision, sums are kept in f32, and a
//! sum is the same however many rows are computed beside its own.

use super::gemm::{PANEL, Product, Weights};
use super::pairs::{self, Halves, Near, Pairs, SUMS, tile};
use super::tile::STRIP;
use std::arch::x86_64::{__m512, _mm512_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps};
use std::ops::Range;

/// Depths whose weights are used for all rows before the next are: 24 KiB of them, rounded.
const NEAR: usize = 384;

/// Rows of bfloat16, by their bits, and how far they are apart.
pub(super) type Rounded<P> = (P, usize);

/// Rounds some rows of a product's input.
///
/// # Safety
/// The CPU must have the features. The input must have the rows, and `to` room for them, which nobody else may touch.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn round(product: &Product<'_>, rows: Range<usize>, to: Rounded<*mut u16>) {
    for row in rows {
        // SAFETY: the caller's.
        unsafe {
            pairs::round(product.input.add(row * product.input_stride), product.depth, to.0.add(row * to.1));
        }
    }
}

/// The block of so many rows.
macro_rules! blocks {
    ($($rows:literal)*; $count:expr, $strips:literal, $arguments:tt) => {
        match $count {
            $($rows => block::<_, $rows, $strips> $arguments,)*
            _ => unreachable!("a block has no more rows than registers"),
        }
    };
}

/// Computes the sums of one panel, without what comes after them. `near` is room for a panel's weights.
///
/// # Safety
/// The CPU must have the features. `input` must be good for the product's rows, the output for the panel's columns of them,
/// `near` for `depth × PANEL` numbers of 16 bits. Nobody else may touch those columns and `near` meanwhile.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn multiply(
    product: &Product<'_>,
    input: Rounded<*const u16>,
    panel: usize,
    near: *mut u16,
) {
    let Weights::F16(weights) = product.weights else {
        unreachable!("only weights of half precision are rounded")
    };
    let size = product.depth * PANEL;
    let weights = weights[panel * size..(panel + 1) * size].as_ptr();
    if product.rows == 0 {
        return;
    }
    if product.rows <= SUMS {
        for strip in 0..2 {
            // SAFETY: the panel has two strips of this depth, and the caller vouches for the rest.
            unsafe {
                let halves = Halves(weights.add(strip * product.depth * STRIP), 0);
                let column = panel * PANEL + strip * STRIP;
                blocks!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22;
                    product.rows, 1, (product, input, column, &(0..product.depth), 0, halves));
            }
        }
        return;
    }
    let blocks = product.rows.div_ceil(SUMS / 2);
    for from in (0..product.depth).step_by(NEAR) {
        let depths = from..(from + NEAR).min(product.depth);
        // SAFETY: as above.
        unsafe {
            let halves = Halves(weights.add(from * STRIP), product.depth * STRIP);
            halves.bring(depths.len() / 2, 2, near);
            let mut row = 0;
            for block in 0..blocks {
                let count = (product.rows - row).div_ceil(blocks - block);
                blocks!(1 2 3 4 5 6 7 8 9 10 11;
                    count, 2, (product, input, panel * PANEL, &depths, row, Near(near)));
                row += count;
            }
        }
    }
}

/// So many rows, from one on, against some depths of so many strips; sums so far are where the depths before have left them.
#[inline(always)]
unsafe fn block<P: Pairs, const ROWS: usize, const STRIPS: usize>(
    product: &Product<'_>,
    (input, stride): Rounded<*const u16>,
    column: usize,
    depths: &Range<usize>,
    row: usize,
    weights: P,
) {
    // SAFETY: the caller's, for these rows, columns and depths.
    unsafe {
        let input = input.add(row * stride + depths.start);
        let to = product.output.add(row * product.output_stride + column);
        let mut sums: [[__m512; STRIPS]; ROWS] = [[_mm512_setzero_ps(); STRIPS]; ROWS];
        if depths.start > 0 {
            for (number, sums) in sums.iter_mut().enumerate() {
                for (strip, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm512_loadu_ps(to.add(number * product.output_stride + strip * STRIP));
                }
            }
        }
        let sums = tile(sums, input, stride, depths.len() / 2, weights);
        for (number, sums) in sums.iter().enumerate() {
            for (strip, sum) in sums.iter().enumerate() {
                _mm512_storeu_ps(to.add(number * product.output_stride + strip * STRIP), *sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gemm::{Finish, PANEL, Product, Weights};
    use super::super::isa::{Isa, Set};
    use super::super::tests::{close, random};
    use super::super::tile::STRIP;
    use super::{multiply, round};

    /// The sums of rounded numbers, in f64.
    #[test]
    fn products_are_the_plain_loops() {
        if Isa::detect().map(Isa::set) != Some(Set::Avx512Bf16) {
            return;
        }
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e-30, f32::MAX];
        for (rows, depth, panels) in [
            (1, 16, 1),
            (2, 48, 2),
            (10, 384, 3),
            (11, 400, 1),
            (12, 1536, 2),
            (22, 784, 1),
            (23, 32, 2),
            (70, 768, 1),
        ] {
            let (stride, output_stride, apart) = (depth + 3, panels * PANEL + 5, depth + 2);
            let mut input = random(rows as u64, rows * stride + 1);
            if rows > 11 {
                for (at, number) in odd.into_iter().enumerate() {
                    input[1 + at * stride + at] = number;
                }
            }
            let weights: Vec<u16> = random(depth as u64, panels * PANEL * depth)
                .iter()
                .map(|number| half::f16::from_f32(*number).to_bits())
                .collect();
            let bias = vec![0.0; panels * PANEL];
            let mut output = vec![f32::NAN; rows * output_stride];
            let product = Product {
                input: input[1..].as_ptr(),
                input_stride: stride,
                rows,
                depth,
                weights: Weights::F16(&weights),
                bias: &bias,
                finish: Finish::Bias,
                output: output.as_mut_ptr(),
                output_stride,
            };
            let (mut rounded, mut near) = (vec![0_u16; rows * apart], vec![0_u16; depth * PANEL]);
            // SAFETY: the vectors above are as long as the product says, and the CPU has the features.
            unsafe {
                round(&product, 0..rows, (rounded.as_mut_ptr(), apart));
                for panel in 0..panels {
                    multiply(&product, (rounded.as_ptr(), apart), panel, near.as_mut_ptr());
                }
            }
            let mut alone = vec![f32::NAN; output_stride];
            let first = Product { rows: 1, output: alone.as_mut_ptr(), ..product };
            // SAFETY: as above, for one row, and for none.
            unsafe {
                for panel in 0..panels {
                    multiply(&first, (rounded.as_ptr(), apart), panel, near.as_mut_ptr());
                    multiply(
                        &Product { rows: 0, ..first },
                        (rounded.as_ptr(), apart),
                        panel,
                        near.as_mut_ptr(),
                    );
                }
            }
            let exact = |row: &[f32]| row.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
            assert_eq!(
                exact(&alone),
                exact(&output[..output_stride]),
                "a row does not depend on those beside it"
            );
            let brief = |number: f32| half::bf16::from_f32(number).to_f64();
            for row in 0..rows {
                for column in 0..output_stride {
                    let found = output[row * output_stride + column];
                    if column >= panels * PANEL {
                        assert!(found.is_nan(), "it wrote beyond its columns");
                        continue;
                    }
                    let terms = (0..depth).map(|at| {
                        let place = column / STRIP * STRIP * depth + at * STRIP + column % STRIP;
                        let weight = brief(half::f16::from_bits(weights[place]).to_f32());
                        brief(input[1 + row * stride + at]) * weight
                    });
                    let (sum, size) =
                        terms.fold((0.0, 1.0), |(sum, size), term| (sum + term, size + f64::abs(term)));
                    assert!(
                        close(found, sum, size),
                        "{rows}×{depth} at {row},{column}: {found} is not {sum}"
                    );
                }
            }
        }
    }
}
