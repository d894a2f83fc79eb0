//! The most f32 operations a second that one core does: independent fused multiply-adds on registers. Prints GFLOP/s.

use std::time::Instant;

#[cfg(target_arch = "x86_64")]
mod sums {
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    pub fn avx512(rounds: usize) -> f32 {
        let mut sums = [_mm512_set1_ps(1.0); 16];
        let (factor, term) = (_mm512_set1_ps(0.999), _mm512_set1_ps(0.0001));
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, term);
            }
        }
        sums.iter().map(|sum| _mm512_reduce_add_ps(*sum)).sum()
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn avx2(rounds: usize) -> f32 {
        let mut sums = [_mm256_set1_ps(1.0); 12];
        let (factor, term) = (_mm256_set1_ps(0.999), _mm256_set1_ps(0.0001));
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, factor, term);
            }
        }
        sums.iter().map(|sum| _mm256_cvtss_f32(*sum)).sum()
    }
}

fn main() {
    #[cfg(target_arch = "x86_64")]
    {
        let rounds = 400_000_usize;
        let best = |operations: f64, work: &dyn Fn() -> f32| {
            let time = || {
                let began = Instant::now();
                std::hint::black_box(work());
                began.elapsed().as_secs_f64()
            };
            let least = (0..20).map(|_| time()).fold(f64::INFINITY, f64::min);
            rounds as f64 * operations / least / 1e9
        };
        // SAFETY: each is called only where the CPU has its features.
        let peak = if is_x86_feature_detected!("avx512f") {
            best(16.0 * 32.0, &|| unsafe { sums::avx512(rounds) })
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            best(12.0 * 16.0, &|| unsafe { sums::avx2(rounds) })
        } else {
            0.0
        };
        println!("{peak}");
    }
    #[cfg(not(target_arch = "x86_64"))]
    println!("0");
}
