//! The hot loops: what runs for every number of a model, written for the CPU's vector extensions and chosen once, at start.
//!
//! candle's graph of the same architecture is what they are tested against, and what runs where they cannot.
//!
//! They are written once over vectors ([`lanes`]) and compiled for each instruction set. Texts have a set of their own; pictures
//! and sound share plain products and convolutions ([`dense`]). Both are run by a team of threads ([`team`]).

#[cfg(any(feature = "vision", feature = "speech"))]
pub(crate) mod dense;

#[cfg(feature = "text")]
pub(crate) mod attention;
#[cfg(all(feature = "text", target_arch = "x86_64"))]
mod bf16;
#[cfg(all(feature = "text", target_arch = "x86_64"))]
pub(crate) mod decoder;
#[cfg(feature = "text")]
pub(crate) mod desk;
#[cfg(feature = "text")]
pub(crate) mod encoder;
#[cfg(feature = "text")]
pub(crate) mod functions;
#[cfg(feature = "text")]
pub(crate) mod gemm;
#[cfg(any(feature = "text", feature = "vision", feature = "speech"))]
pub(crate) mod lanes;
#[cfg(all(any(feature = "text", feature = "vision"), target_arch = "x86_64"))]
mod pairs;
#[cfg(feature = "text")]
pub(crate) mod portions;
#[cfg(all(feature = "text", target_arch = "x86_64"))]
pub(crate) mod quantised;
#[cfg(feature = "text")]
pub(crate) mod rows;
#[cfg(any(feature = "text", feature = "vision", feature = "speech"))]
pub(crate) mod team;
#[cfg(any(feature = "text", feature = "vision", feature = "speech"))]
pub(crate) mod tile;
#[cfg(any(feature = "text", feature = "vision", feature = "speech"))]
mod wake;

#[cfg(all(feature = "text", test))]
pub(crate) mod tests;

#[cfg(any(feature = "text", feature = "vision", feature = "speech"))]
/// The instruction set that the kernels run with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isa {
    /// Plain Rust, which is for tests: candle is faster.
    #[cfg(test)]
    Portable,
    /// The same, with vectors of twice as many numbers.
    #[cfg(test)]
    PortableWide,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// The same, and products of bfloat16, which weights of half precision are multiplied as.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
}

#[cfg(any(feature = "text", feature = "vision", feature = "speech"))]
impl Isa {
    /// All that this CPU has; `None` where candle is better.
    pub(crate) fn detect() -> Option<Self> {
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
    pub(crate) fn chosen() -> Option<Self> {
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

    /// All that can run here.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let mut isas = vec![Self::Portable, Self::PortableWide];
        #[cfg(target_arch = "x86_64")]
        match Self::detect() {
            Some(Self::Avx512) => isas.extend([Self::Avx2, Self::Avx512]),
            Some(Self::Avx512Bf16) => isas.extend([Self::Avx2, Self::Avx512, Self::Avx512Bf16]),
            Some(best) => isas.push(best),
            None => {}
        }
        isas
    }

    /// Its name, for the start report.
    pub(crate) fn name(self) -> &'static str {
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

#[cfg(any(feature = "text", feature = "vision", feature = "speech"))]
/// Makes a kernel of a function that is generic over the instruction set: one copy for each, and the choice.
macro_rules! kernel {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) = $generic:ident;)*) => {
        $($(#[$doc])*
        $vis unsafe fn $name(isa: Isa, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn avx2($($argument: $type),*) {
                // SAFETY: the kernel's own.
                unsafe { $generic::<$crate::kernels::lanes::Avx2>($($argument),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            unsafe fn avx512($($argument: $type),*) {
                // SAFETY: the kernel's own.
                unsafe { $generic::<$crate::kernels::lanes::Avx512>($($argument),*) }
            }
            // SAFETY: the kernel's own; `isa` is what the CPU has.
            unsafe {
                match isa {
                    #[cfg(test)]
                    Isa::Portable => $generic::<$crate::kernels::lanes::Portable<8>>($($argument),*),
                    #[cfg(test)]
                    Isa::PortableWide => $generic::<$crate::kernels::lanes::Portable<16>>($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => avx2($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 | Isa::Avx512Bf16 => avx512($($argument),*),
                }
            }
        })*
    };
}
#[cfg(any(feature = "text", feature = "vision", feature = "speech"))]
use kernel;
