//! Which vector unit the kernels run on, chosen once.

use super::avx_vnni::AvxVnni;
use super::avx2::Avx2;
use super::avx512::Avx512;
use super::isa::Isa;
#[cfg(test)]
use super::portable::Portable;
use crate::choice::{Choice, UnknownKernels};
use std::arch::is_x86_feature_detected as has;

/// A vector unit that this CPU has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(Unit);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// None: what the others are tested against.
    #[cfg(test)]
    Portable,
    Avx2,
    AvxVnni,
    Avx512,
}

/// Work that is compiled once for each vector unit.
pub(crate) trait Work {
    /// What it gives.
    type Out;

    /// Does it. Implementations are `#[inline(always)]`, so that they are compiled for the unit.
    ///
    /// # Safety
    /// The CPU has `I`.
    unsafe fn run<I: Isa>(self) -> Self::Out;
}

impl Level {
    /// The best there is; `None` on a CPU for which nothing is written.
    pub fn detect() -> Option<Self> {
        let avx2 = has!("avx2") && has!("fma") && has!("f16c");
        let avx512 = has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512vnni");
        let unit = match (avx2, avx512) {
            (false, _) => return None,
            (true, true) => Unit::Avx512,
            (true, false) if has!("avxvnni") => Unit::AvxVnni,
            (true, false) => Unit::Avx2,
        };
        Some(Self(unit))
    }

    /// What `FDK_KERNELS` asks for, within what this CPU has: as [`crate::Isa::chosen`], but that bfloat16 has no part in these.
    pub fn chosen() -> Result<Option<Self>, UnknownKernels> {
        let choice = Choice::read()?;
        Ok(Self::detect().and_then(|best| match choice {
            Choice::Candle => None,
            Choice::Avx2 => Some(Self(Unit::Avx2)),
            Choice::Best | Choice::Avx512 | Choice::Avx512Bf16 => Some(best),
        }))
    }

    /// What the start report calls it.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(test)]
            Unit::Portable => "portable",
            Unit::Avx2 => "avx2",
            Unit::AvxVnni => "avx-vnni",
            Unit::Avx512 => "avx512-vnni",
        }
    }

    /// Does work on this unit.
    pub(crate) fn run<W: Work>(self, work: W) -> W::Out {
        // SAFETY: a level is made by detection, so the CPU has the unit; the portable one needs nothing.
        unsafe {
            match self.0 {
                #[cfg(test)]
                Unit::Portable => work.run::<Portable>(),
                Unit::Avx2 => avx2(work),
                Unit::AvxVnni => avx_vnni(work),
                Unit::Avx512 => avx512(work),
            }
        }
    }

    /// All that can be tested here, the portable one first.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let mut levels = vec![Self(Unit::Portable)];
        if let Some(best) = Self::detect() {
            levels.push(Self(Unit::Avx2));
            levels.extend(has!("avxvnni").then_some(Self(Unit::AvxVnni)));
            levels.extend((best.0 == Unit::Avx512).then_some(best));
        }
        levels
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn avx2<W: Work>(work: W) -> W::Out {
    // SAFETY: as the caller promises.
    unsafe { work.run::<Avx2>() }
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
unsafe fn avx_vnni<W: Work>(work: W) -> W::Out {
    // SAFETY: as the caller promises.
    unsafe { work.run::<AvxVnni>() }
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn avx512<W: Work>(work: W) -> W::Out {
    // SAFETY: as the caller promises.
    unsafe { work.run::<Avx512>() }
}
