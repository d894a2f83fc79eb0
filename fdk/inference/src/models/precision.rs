//! How a prepared file keeps weights.

/// How weights are kept. Sums are f32 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// As they are.
    F32,
    /// In half the space; the vectors' cosine to those of f32 is 0.9999 or more. Raw scores of pictures differ by less than 3 % of
    /// the largest, and by less than 0.2 % where the CPU does not multiply bfloat16.
    F16,
    /// In little over a quarter of it, a scale for each 32 inputs of an output, and multiplied in whole numbers; the cosine is
    /// 0.999 or more, but 0.998 of an empty text and of one repeated letter. Words' vectors stay in half precision, and so do the
    /// weights of a model of pictures.
    Int8,
}

impl Precision {
    /// Its name: `f32`, `f16`, `int8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }

    /// The precision of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::F32, Self::F16, Self::Int8].into_iter().find(|precision| precision.name() == name)
    }
}

/// Numbers in half precision, by their bits, or which of them it has not.
pub(crate) fn halves(numbers: &[f32]) -> Result<Vec<u16>, String> {
    let half = |number: &f32| {
        let half = half::f16::from_f32(*number);
        if half.is_infinite() && number.is_finite() {
            return Err(format!(
                "it has {number}, which half precision has not: prepare it with --precision f32"
            ));
        }
        Ok(half.to_bits())
    };
    numbers.iter().map(half).collect()
}
