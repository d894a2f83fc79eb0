//! The hot loops of inference: what runs for every number of a model, written for the CPU's vector extensions and chosen once,
//! at start. All that is `unsafe` in inference but the mapping of files is in this crate.
//!
//! It links no candle and opens no file. candle's graph of the same architecture is what `fdk-inference` tests it against, and
//! what runs where it cannot.
//!
//! Kernels are written once over vectors (`lanes`) and compiled for each instruction set. Texts have a set of their own; images
//! and audio share plain products and convolutions ([`dense`]). Both are run by a team of threads ([`team`]).

#![expect(unsafe_code, reason = "vector instructions on raw rows, and a fork-join without allocation")]
#![expect(clippy::inline_always, reason = "rows must be inlined into functions that have the instructions")]

mod attention;
#[cfg(target_arch = "x86_64")]
mod bf16;
mod choice;
#[cfg(target_arch = "x86_64")]
pub mod decoder;
pub mod dense;
mod desk;
pub mod encoder;
pub mod functions;
pub mod gemm;
mod isa;
mod lanes;
pub mod numbers;
#[cfg(target_arch = "x86_64")]
mod pairs;
pub mod portions;
pub mod quantised;
pub mod rows;
pub mod team;
pub mod tile;
mod wake;

#[cfg(test)]
mod tests;

pub use choice::UnknownKernels;
pub use isa::Isa;

/// Makes a kernel of a function that is generic over the instruction set: one copy for each, and the choice.
macro_rules! kernel {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) = $generic:ident;)*) => {
        $($(#[$doc])*
        $vis unsafe fn $name(isa: Isa, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn avx2($($argument: $type),*) {
                // SAFETY: the kernel's own.
                unsafe { $generic::<$crate::lanes::Avx2>($($argument),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            unsafe fn avx512($($argument: $type),*) {
                // SAFETY: the kernel's own.
                unsafe { $generic::<$crate::lanes::Avx512>($($argument),*) }
            }
            // SAFETY: the kernel's own; the CPU has what an `Isa` says.
            unsafe {
                match isa.set() {
                    #[cfg(test)]
                    $crate::isa::Set::Portable => $generic::<$crate::lanes::Portable<8>>($($argument),*),
                    #[cfg(test)]
                    $crate::isa::Set::PortableWide => $generic::<$crate::lanes::Portable<16>>($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    $crate::isa::Set::Avx2 => avx2($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    $crate::isa::Set::Avx512 | $crate::isa::Set::Avx512Bf16 => avx512($($argument),*),
                }
            }
        })*
    };
}
use kernel;
