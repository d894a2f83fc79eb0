//! The most f32 operations a second that one core does: independent fused multiply-adds on registers. Prints GFLOP/s.

use std::time::Instant;

#[cfg(target_arch = "x86_64")]
mod sums {
    use std::arch::x86_64::*;

    /// Twelve sums, each a variable of its own: an array of them would be kept in memory.
    macro_rules! in_registers {
        ($rounds:ident, $start:expr, |$sum:ident| $step:expr, $last:expr) => {
            in_registers!(@ $rounds, $start, $sum, $step, $last, a b c d e f g h i j k l)
        };
        (@ $rounds:ident, $start:expr, $sum:ident, $step:expr, $last:expr, $($name:ident)*) => {{
            $(let mut $name = $start;)*
            for _ in 0..$rounds {
                $(let $sum = $name; $name = $step;)*
            }
            let last = $last;
            0.0 $(+ last($name))*
        }};
    }

    #[target_feature(enable = "avx512f")]
    pub fn avx512(rounds: usize) -> f32 {
        let (factor, term) = (_mm512_set1_ps(0.999), _mm512_set1_ps(0.0001));
        in_registers!(rounds, _mm512_set1_ps(1.0), |sum| _mm512_fmadd_ps(sum, factor, term), _mm512_reduce_add_ps)
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn avx2(rounds: usize) -> f32 {
        let (factor, term) = (_mm256_set1_ps(0.999), _mm256_set1_ps(0.0001));
        in_registers!(rounds, _mm256_set1_ps(1.0), |sum| _mm256_fmadd_ps(sum, factor, term), |sum| _mm256_cvtss_f32(sum))
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
            best(12.0 * 32.0, &|| unsafe { sums::avx512(rounds) })
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
