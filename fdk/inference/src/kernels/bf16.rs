//! Products with weights of half precision on CPUs that multiply bfloat16 (`vdpbf16ps`: a Zen 4, a Sapphire Rapids, or later),
//! twice as many numbers in a cycle as of f32. Both sides are rounded to its 8 bits of precision, sums are kept in f32, and a
//! sum is the same however many rows are computed beside its own.

use super::gemm::{AHEAD, PANEL, Product, STRIP, Weights};
use super::lanes::prefetch;
use std::arch::x86_64::{
    __m256bh, __m512, __m512bh, __m512i, _mm256_loadu_si256, _mm512_cvtne2ps_pbh, _mm512_cvtneps_pbh,
    _mm512_cvtph_ps, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_permutexvar_epi16,
    _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps, _mm512_storeu_si512,
};
use std::mem::transmute;
use std::ops::Range;

/// Registers of a tile's sums, beside two of weights and what rounds them: as many rows of one strip, half as many of two.
const SUMS: usize = 22;
/// Depths whose weights are used for all rows before the next are: 24 KiB of them, rounded.
const NEAR: usize = 384;
/// Takes sixteen numbers of one depth and sixteen of the next to sixteen pairs.
const PAIRED: [u16; 32] = [
    0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14,
    30, 15, 31,
];

/// Rows of bfloat16, by their bits, and how far they are apart.
pub(super) type Rounded<P> = (P, usize);

/// Rounds some rows of a product's input.
///
/// # Safety
/// The CPU must have the features. The input must have the rows, and `to` room for them, which nobody else may touch.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn round(product: &Product<'_>, rows: Range<usize>, to: Rounded<*mut u16>) {
    for row in rows {
        for at in (0..product.depth).step_by(16) {
            // SAFETY: the caller's; a depth is a multiple of sixteen.
            unsafe {
                let numbers = _mm512_loadu_ps(product.input.add(row * product.input_stride + at));
                let rounded = _mm512_cvtneps_pbh(numbers);
                to.0.add(row * to.1 + at)
                    .cast::<[u16; 16]>()
                    .write_unaligned(transmute::<__m256bh, [u16; 16]>(rounded));
            }
        }
    }
}

/// The tile of so many rows.
macro_rules! tiles {
    ($($rows:literal)*; $count:expr, $strips:literal, $arguments:tt) => {
        match $count {
            $($rows => tile::<_, $rows, $strips> $arguments,)*
            _ => unreachable!("a block has no more rows than registers"),
        }
    };
}

/// Computes the sums of one panel, without what comes after them. `near` is room for a panel's weights.
///
/// # Safety
/// The CPU must have the features. `input` must be good for the product's rows, the output for the panel's columns of them,
/// `near` for `depth × PANEL` numbers of 16 bits. Nobody else may touch those columns and `near` meanwhile.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
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
                tiles!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22;
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
            for pair in 0..depths.len() / 2 {
                for strip in 0..2 {
                    halves.ahead(pair, strip);
                    let to = near.add((pair * 2 + strip) * 2 * STRIP);
                    _mm512_storeu_si512(to.cast(), transmute::<__m512bh, __m512i>(halves.pairs(pair, strip)));
                }
            }
            let mut row = 0;
            for block in 0..blocks {
                let count = (product.rows - row).div_ceil(blocks - block);
                tiles!(1 2 3 4 5 6 7 8 9 10 11;
                    count, 2, (product, input, panel * PANEL, &depths, row, Near(near)));
                row += count;
            }
        }
    }
}

/// Where a tile finds its weights, in pairs of depths for sixteen outputs each.
trait Pairs: Copy {
    unsafe fn pairs(self, pair: usize, strip: usize) -> __m512bh;
    /// Asks for what is far ahead, if it is in memory.
    unsafe fn ahead(self, pair: usize, strip: usize);
}

/// As they are kept, the second strip so far from the first: rounded each time.
#[derive(Clone, Copy)]
struct Halves(*const u16, usize);

impl Halves {
    #[inline(always)]
    fn at(self, pair: usize, strip: usize) -> *const u16 {
        self.0.wrapping_add(strip * self.1 + pair * 2 * STRIP)
    }
}

impl Pairs for Halves {
    #[inline(always)]
    unsafe fn pairs(self, pair: usize, strip: usize) -> __m512bh {
        let at = self.at(pair, strip);
        // SAFETY: the caller's: both depths are there.
        unsafe {
            let low = _mm512_cvtph_ps(_mm256_loadu_si256(at.cast()));
            let high = _mm512_cvtph_ps(_mm256_loadu_si256(at.add(STRIP).cast()));
            let order = _mm512_loadu_si512(PAIRED.as_ptr().cast());
            let rounded = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            transmute::<__m512i, __m512bh>(_mm512_permutexvar_epi16(order, rounded))
        }
    }

    #[inline(always)]
    unsafe fn ahead(self, pair: usize, strip: usize) {
        prefetch(self.at(pair, strip).wrapping_byte_add(AHEAD));
    }
}

/// Rounded beforehand, strips in turns.
#[derive(Clone, Copy)]
struct Near(*const u16);

impl Pairs for Near {
    #[inline(always)]
    unsafe fn pairs(self, pair: usize, strip: usize) -> __m512bh {
        // SAFETY: the caller's.
        unsafe {
            transmute::<__m512i, __m512bh>(_mm512_loadu_si512(
                self.0.add((pair * 2 + strip) * 2 * STRIP).cast(),
            ))
        }
    }

    #[inline(always)]
    unsafe fn ahead(self, _: usize, _: usize) {}
}

/// So many rows, from one on, against some depths of so many strips; sums so far are where the depths before have left them.
#[inline(always)]
unsafe fn tile<P: Pairs, const ROWS: usize, const STRIPS: usize>(
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
        for pair in 0..depths.len() / 2 {
            let mut of = [transmute::<__m512, __m512bh>(_mm512_setzero_ps()); STRIPS];
            for (strip, of) in of.iter_mut().enumerate() {
                weights.ahead(pair, strip);
                *of = weights.pairs(pair, strip);
            }
            for (number, sums) in sums.iter_mut().enumerate() {
                let both = input.add(number * stride + 2 * pair).cast::<i32>().read_unaligned();
                let both = transmute::<__m512i, __m512bh>(_mm512_set1_epi32(both));
                for (sum, of) in sums.iter_mut().zip(of) {
                    *sum = _mm512_dpbf16_ps(*sum, both, of);
                }
            }
        }
        for (number, sums) in sums.iter().enumerate() {
            for (strip, sum) in sums.iter().enumerate() {
                _mm512_storeu_ps(to.add(number * product.output_stride + strip * STRIP), *sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Isa;
    use super::super::gemm::{Finish, PANEL, Product, STRIP, Weights};
    use super::super::tests::{close, random};
    use super::{multiply, round};

    /// The sums of rounded numbers, in f64.
    #[test]
    fn products_are_the_plain_loops() {
        if Isa::detect() != Some(Isa::Avx512Bf16) {
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
