//! Tiles of plain products in AVX2. Each function says what it relies on.

use super::{TALL, Then, Tile, WIDE};
use std::arch::x86_64::{
    __m256, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_add_ps, _mm256_cvtph_ps, _mm256_fmadd_ps,
    _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps,
};
#[cfg(feature = "vision")]
use std::arch::x86_64::{_mm256_max_ps, _mm256_min_ps, _mm256_setzero_ps};

/// How far ahead of the sums the weights are asked for, in numbers.
const AHEAD: usize = 512;

/// Where eight weights come from.
trait Weight: Copy {
    /// # Safety
    /// Eight numbers must lie at `at`, and the CPU must have AVX2 and F16C.
    unsafe fn load(at: *const Self) -> __m256;
}

impl Weight for f32 {
    #[inline(always)]
    unsafe fn load(at: *const Self) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_ps(at) }
    }
}

impl Weight for half::f16 {
    #[inline(always)]
    unsafe fn load(at: *const Self) -> __m256 {
        // SAFETY: the caller's promise; an f16 is two bytes.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(at.cast())) }
    }
}

/// # Safety
/// The CPU must have F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn widen(from: &[half::f16], to: &mut [f32]) {
    for (from, to) in from.as_chunks::<8>().0.iter().zip(to.as_chunks_mut::<8>().0) {
        // SAFETY: both are eight numbers long.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), half::f16::load(from.as_ptr())) };
    }
}

/// # Safety
/// The CPU must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn tile(tile: &Tile<'_>, panel: &[f32], bias: &[f32], out: &mut [f32]) {
    rows(tile, panel, bias, out);
}

/// # Safety
/// The CPU must have AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn tile_half(tile: &Tile<'_>, panel: &[half::f16], bias: &[f32], out: &mut [f32]) {
    rows(tile, panel, bias, out);
}

#[inline(always)]
fn rows<W: Weight>(tile: &Tile<'_>, panel: &[W], bias: &[f32], out: &mut [f32]) {
    // Of like height: a single row at the end would take as long as four.
    let blocks = tile.rows.div_ceil(TALL);
    let mut row = 0;
    for block in 0..blocks {
        let count = (tile.rows - row).div_ceil(blocks - block);
        match count {
            6 => sums::<W, 6>(tile, row, panel, bias, out),
            5 => sums::<W, 5>(tile, row, panel, bias, out),
            4 => sums::<W, 4>(tile, row, panel, bias, out),
            3 => sums::<W, 3>(tile, row, panel, bias, out),
            2 => sums::<W, 2>(tile, row, panel, bias, out),
            _ => sums::<W, 1>(tile, row, panel, bias, out),
        }
        row += count;
    }
}

#[inline(always)]
fn sums<W: Weight, const ROWS: usize>(
    tile: &Tile<'_>,
    row: usize,
    panel: &[W],
    bias: &[f32],
    out: &mut [f32],
) {
    let inputs = tile.inputs;
    let a: [&[f32]; ROWS] = std::array::from_fn(|i| &tile.a[(row + i) * inputs..][..inputs]);
    assert!(panel.len() == inputs * WIDE && bias.len() == WIDE, "a panel has sixteen outputs");
    // SAFETY: the callers are compiled for AVX2, FMA and F16C. Loads stay in the panel, which is `inputs * 16` long, in
    // the bias, which is 16 long, and in the rows of A, which are `inputs` long; a prefetch reads nothing. What else
    // is read or written are arrays of sixteen.
    unsafe {
        let low = _mm256_loadu_ps(bias.as_ptr());
        let high = _mm256_loadu_ps(bias.as_ptr().add(8));
        let mut sums: [[__m256; 2]; ROWS] = [[low, high]; ROWS];
        let mut weights = panel.as_ptr();
        for input in 0..inputs {
            _mm_prefetch::<_MM_HINT_T0>(weights.wrapping_add(AHEAD).cast());
            let (low, high) = (W::load(weights), W::load(weights.add(8)));
            for i in 0..ROWS {
                let value = _mm256_set1_ps(*a[i].as_ptr().add(input));
                sums[i][0] = _mm256_fmadd_ps(value, low, sums[i][0]);
                sums[i][1] = _mm256_fmadd_ps(value, high, sums[i][1]);
            }
            weights = weights.add(WIDE);
        }
        for (i, [low, high]) in sums.iter().enumerate() {
            let start = (row + i) * tile.stride + tile.column;
            if tile.width < WIDE {
                let mut sums = [0.0; WIDE];
                _mm256_storeu_ps(sums.as_mut_ptr(), *low);
                _mm256_storeu_ps(sums.as_mut_ptr().add(8), *high);
                tile.put(row + i, &sums, out);
                continue;
            }
            let (low, high) = match tile.then {
                #[cfg(feature = "vision")]
                Then::Relu6 => (cut(*low), cut(*high)),
                Then::Add(other) => {
                    let other = &other[start..start + WIDE];
                    let (first, second) = (other.as_ptr(), other[8..].as_ptr());
                    (
                        _mm256_add_ps(*low, _mm256_loadu_ps(first)),
                        _mm256_add_ps(*high, _mm256_loadu_ps(second)),
                    )
                }
                _ => (*low, *high),
            };
            let out = &mut out[start..start + WIDE];
            _mm256_storeu_ps(out.as_mut_ptr(), low);
            _mm256_storeu_ps(out.as_mut_ptr().add(8), high);
        }
    }
}

/// Cuts to 0 … 6; a NaN stays one.
#[cfg(feature = "vision")]
#[inline(always)]
unsafe fn cut(sums: __m256) -> __m256 {
    // SAFETY: the callers are compiled for AVX2.
    unsafe { _mm256_min_ps(_mm256_set1_ps(6.0), _mm256_max_ps(_mm256_setzero_ps(), sums)) }
}
