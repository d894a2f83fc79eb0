//! Products, convolutions and attention over plain f32 rows: AVX2 where the CPU has it, chosen when the process runs, and plain Rust elsewhere. Each is tested against
//! candle.
#![expect(
    clippy::inline_always,
    reason = "a body must be inlined to be compiled for the features of its caller"
)]

#[cfg(feature = "speech")]
pub(crate) mod attention;
#[cfg(feature = "vision")]
pub(crate) mod depthwise;
pub(crate) mod elementwise;
pub(crate) mod matmul;

/// Deals chunks of a result out to the threads of the process. One chunk is done here: to wake a thread for it, and wait, costs
/// more than most are.
pub(crate) fn share(out: &mut [f32], chunk: usize, work: impl Fn(usize, &mut [f32]) + Sync + Send) {
    use rayon::prelude::*;
    if out.len() <= chunk || rayon::current_num_threads() == 1 {
        return out.chunks_mut(chunk).enumerate().for_each(|(index, out)| work(index, out));
    }
    out.par_chunks_mut(chunk).enumerate().for_each(|(index, out)| work(index, out));
}

/// Whether the AVX2 paths may run.
#[cfg(target_arch = "x86_64")]
pub(crate) fn avx2() -> bool {
    // The library asks the CPU once and remembers.
    std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("f16c")
}

/// Defines a safe function that runs one body compiled twice: for AVX2 with FMA, and for the target as it is. In the body
/// `FMA` says which.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        $vis fn $name($($argument: $type),*) {
            #[inline(always)]
            #[allow(clippy::extra_unused_type_parameters, reason = "not every body multiplies and adds")]
            fn body<const FMA: bool>($($argument: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,f16c")]
                fn fast($($argument: $type),*) {
                    body::<true>($($argument),*);
                }
                if $crate::kernels::dense::avx2() {
                    // SAFETY: the CPU has the features, as `avx2` has just said; the body is safe code.
                    #[expect(unsafe_code, reason = "compiled for features that the build's target lacks")]
                    return unsafe { fast($($argument),*) };
                }
            }
            body::<false>($($argument),*);
        }
    };
}
pub(crate) use dispatch;
