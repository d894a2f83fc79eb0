//! What `FDK_KERNELS` asks for.

use std::ffi::OsStr;
use std::fmt;

/// Which kernels a process is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The best that the CPU has.
    Best,
    /// None: candle's graph, of texts.
    Candle,
    Avx2,
    Avx512,
    Avx512Bf16,
}

/// `FDK_KERNELS` names no kernels; the message has the value and the words that do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKernels(String);

impl Choice {
    /// Reads the variable of this process.
    pub(crate) fn read() -> Result<Self, UnknownKernels> {
        Self::parse(std::env::var_os("FDK_KERNELS").as_deref())
    }

    fn parse(value: Option<&OsStr>) -> Result<Self, UnknownKernels> {
        let text = value.map(OsStr::to_string_lossy).unwrap_or_default();
        match text.trim() {
            "" => Ok(Self::Best),
            "candle" => Ok(Self::Candle),
            "avx2" => Ok(Self::Avx2),
            "avx512" => Ok(Self::Avx512),
            "avx512_bf16" => Ok(Self::Avx512Bf16),
            other => Err(UnknownKernels(other.into())),
        }
    }
}

impl fmt::Display for UnknownKernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value) = self;
        write!(
            f,
            "FDK_KERNELS is '{value}': use candle, avx2, avx512 or avx512_bf16, or leave it unset for the best that the CPU has"
        )
    }
}

impl std::error::Error for UnknownKernels {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_names_no_kernels_is_refused() {
        let parse = |text: &str| Choice::parse(Some(OsStr::new(text)));
        assert_eq!(Choice::parse(None), Ok(Choice::Best));
        assert_eq!((parse(""), parse(" avx2 ")), (Ok(Choice::Best), Ok(Choice::Avx2)));
        assert_eq!(parse("avx512_bf16"), Ok(Choice::Avx512Bf16));
        for word in ["avx-512", "AVX2", "avx512bf16", "none"] {
            assert_eq!(
                parse(word).unwrap_err().to_string(),
                format!(
                    "FDK_KERNELS is '{word}': use candle, avx2, avx512 or avx512_bf16, or leave it unset for the best that the CPU has"
                )
            );
        }
    }
}
