//! What the CPU can do, for the start report, and what it is asked to.

#[cfg(feature = "core")]
use crate::error::Error;

/// The vector extensions that decide how fast inference is, those that are there.
pub fn features() -> Vec<&'static str> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let each = [
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("fma", std::arch::is_x86_feature_detected!("fma")),
            ("f16c", std::arch::is_x86_feature_detected!("f16c")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
            ("avx512vnni", std::arch::is_x86_feature_detected!("avx512vnni")),
            ("avx512bf16", std::arch::is_x86_feature_detected!("avx512bf16")),
        ];
        found.extend(each.iter().filter(|(_, there)| *there).map(|(name, _)| *name));
    }
    #[cfg(target_arch = "aarch64")]
    {
        let each = [
            ("neon", std::arch::is_aarch64_feature_detected!("neon")),
            ("dotprod", std::arch::is_aarch64_feature_detected!("dotprod")),
            ("fp16", std::arch::is_aarch64_feature_detected!("fp16")),
        ];
        found.extend(each.iter().filter(|(_, there)| *there).map(|(name, _)| *name));
    }
    found
}

/// Refuses an `FDK_KERNELS` that names no kernels: others would run than those that were asked for. Whoever opens a model is
/// refused as well; a function asks at its start, before it has a socket.
#[cfg(feature = "core")]
pub fn check_kernels() -> Result<(), Error> {
    fdk_kernels::Isa::chosen()?;
    Ok(())
}
