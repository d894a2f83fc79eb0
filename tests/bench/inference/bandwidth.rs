//! How fast memory is read by as many threads as the argument says: the sum of 256 MiB for each. Prints GB/s, the best of 10.

use std::time::Instant;

fn sum(numbers: &[u64]) -> u64 {
    let mut sums = [0_u64; 32];
    for numbers in numbers.as_chunks::<32>().0 {
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum = sum.wrapping_add(*number);
        }
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}

fn main() {
    let threads: usize = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1);
    let memory: Vec<Vec<u64>> = (0..threads).map(|_| (0..32 << 20).collect()).collect();
    let round = || {
        let began = Instant::now();
        std::thread::scope(|scope| {
            for numbers in &memory {
                scope.spawn(|| std::hint::black_box(sum(numbers)));
            }
        });
        began.elapsed().as_secs_f64()
    };
    let least = (0..10).map(|_| round()).fold(f64::INFINITY, f64::min);
    println!("{}", (threads * (256 << 20)) as f64 / least / 1e9);
}
