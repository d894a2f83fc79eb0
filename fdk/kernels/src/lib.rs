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
#[cfg(target_arch = "x86_64")]
pub mod decoder;
pub mod dense;
mod desk;
pub mod encoder;
pub mod functions;
pub mod gemm;
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

/// The instruction set that the kernels run with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust, which is for tests: candle is faster.
    #[cfg(test)]
    Portable,
    /// The same, with vectors of twice as many numbers.
    #[cfg(test)]
    PortableWide,
    /// AVX2 with FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// The same, and products of bfloat16, which weights of half precision are multiplied as.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
}

impl Isa {
    /// All that this CPU has; `None` where candle is better.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            match (avx2, avx512) {
                (true, true) if is_x86_feature_detected!("avx512bf16") => Some(Self::Avx512Bf16),
                (true, true) => Some(Self::Avx512),
                (true, false) => Some(Self::Avx2),
                (false, _) => None,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// What `FDK_KERNELS` asks for, within what this CPU has: `candle`, `avx2`, `avx512` or `avx512_bf16`; the best unless said.
    pub fn chosen() -> Option<Self> {
        let all = Self::detect()?;
        match (std::env::var("FDK_KERNELS").unwrap_or_default().trim(), all) {
            ("candle", _) => None,
            #[cfg(target_arch = "x86_64")]
            ("avx2", _) => Some(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            ("avx512_bf16", Self::Avx512Bf16) => Some(all),
            #[cfg(target_arch = "x86_64")]
            (asked, Self::Avx512Bf16) if asked == "avx512" || !Self::is_bf16_quick() => Some(Self::Avx512),
            _ => Some(all),
        }
    }

    /// Whether the CPU multiplies more numbers of bfloat16 in a cycle than of f32. Intel's cores have another unit for them, AMX:
    /// `vdpbf16ps` does 32 products in the time of 64 of f32 (Emerald Rapids; a Zen 4 does 32 in the time of 16).
    #[cfg(target_arch = "x86_64")]
    fn is_bf16_quick() -> bool {
        let maker = std::arch::x86_64::__cpuid(0);
        [maker.ebx, maker.edx, maker.ecx].map(u32::to_le_bytes).as_flattened() != b"GenuineIntel"
    }

    /// All that this CPU can run, the best last.
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let all = [Self::Avx2, Self::Avx512, Self::Avx512Bf16];
        #[cfg(not(target_arch = "x86_64"))]
        let all: [Self; 0] = [];
        let best = Self::detect().and_then(|best| all.iter().position(|isa| *isa == best));
        all[..best.map_or(0, |best| best + 1)].to_vec()
    }

    /// The same, and plain Rust.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        [&[Self::Portable, Self::PortableWide][..], &Self::available()].concat()
    }

    /// Its name, for the start report.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(test)]
            Self::Portable | Self::PortableWide => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => "avx512_bf16",
        }
    }
}

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
            // SAFETY: the kernel's own; `isa` is what the CPU has.
            unsafe {
                match isa {
                    #[cfg(test)]
                    Isa::Portable => $generic::<$crate::lanes::Portable<8>>($($argument),*),
                    #[cfg(test)]
                    Isa::PortableWide => $generic::<$crate::lanes::Portable<16>>($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => avx2($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 | Isa::Avx512Bf16 => avx512($($argument),*),
                }
            }
        })*
    };
}
use kernel;
