//! Which instruction set the kernels run with.

use crate::choice::{Choice, UnknownKernels};

/// An instruction set that this CPU has. Nothing but detection makes one, so a kernel runs what it says without asking again.
///
/// ```compile_fail
/// let isa = fdk_kernels::Isa::Avx512;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(Set);

/// Which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
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
                (true, true) if is_x86_feature_detected!("avx512bf16") => Some(Self(Set::Avx512Bf16)),
                (true, true) => Some(Self(Set::Avx512)),
                (true, false) => Some(Self(Set::Avx2)),
                (false, _) => None,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// What `FDK_KERNELS` asks for, within what this CPU has: `candle`, `avx2`, `avx512` or `avx512_bf16`; the best unless it
    /// says. `None` is candle.
    pub fn chosen() -> Result<Option<Self>, UnknownKernels> {
        let choice = Choice::read()?;
        Ok(Self::detect().and_then(|best| best.within(choice)))
    }

    /// As much of this one as is asked for.
    fn within(self, choice: Choice) -> Option<Self> {
        match (choice, self.0) {
            (Choice::Candle, _) => None,
            #[cfg(target_arch = "x86_64")]
            (Choice::Avx2, _) => Some(Self(Set::Avx2)),
            #[cfg(target_arch = "x86_64")]
            (Choice::Avx512Bf16, Set::Avx512Bf16) => Some(self),
            #[cfg(target_arch = "x86_64")]
            (choice, Set::Avx512Bf16) if choice == Choice::Avx512 || !is_bf16_quick() => {
                Some(Self(Set::Avx512))
            }
            _ => Some(self),
        }
    }

    /// All that this CPU can run, the best last.
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let all = [Set::Avx2, Set::Avx512, Set::Avx512Bf16];
        #[cfg(not(target_arch = "x86_64"))]
        let all: [Set; 0] = [];
        let best = Self::detect().and_then(|best| all.iter().position(|set| *set == best.0));
        all[..best.map_or(0, |best| best + 1)].iter().map(|set| Self(*set)).collect()
    }

    /// The same, and plain Rust.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        [&[Self(Set::Portable), Self(Set::PortableWide)][..], &Self::available()].concat()
    }

    /// Which one it is, to choose a kernel's copy by.
    pub(crate) fn set(self) -> Set {
        self.0
    }

    /// Its name, for the start report.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(test)]
            Set::Portable | Set::PortableWide => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512Bf16 => "avx512_bf16",
        }
    }
}

/// Whether the CPU multiplies more numbers of bfloat16 in a cycle than of f32. Intel's cores have another unit for them, AMX:
/// `vdpbf16ps` does 32 products in the time of 64 of f32 (Emerald Rapids; a Zen 4 does 32 in the time of 16).
#[cfg(target_arch = "x86_64")]
fn is_bf16_quick() -> bool {
    let maker = std::arch::x86_64::__cpuid(0);
    [maker.ebx, maker.edx, maker.ecx].map(u32::to_le_bytes).as_flattened() != b"GenuineIntel"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_never_more_than_the_cpu_has() {
        let available = Isa::available();
        assert_eq!(available.last().copied(), Isa::detect());
        for isa in &available {
            assert_eq!(isa.within(Choice::Candle), None);
            for choice in [Choice::Best, Choice::Avx2, Choice::Avx512, Choice::Avx512Bf16] {
                let chosen = isa.within(choice).unwrap();
                assert!(available.contains(&chosen), "{choice:?} of {isa:?} is {chosen:?}");
            }
            #[cfg(target_arch = "x86_64")]
            assert_eq!(isa.within(Choice::Avx2).map(Isa::name), Some("avx2"));
        }
    }
}
