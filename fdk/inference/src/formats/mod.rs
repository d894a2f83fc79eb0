//! Readers of weights as others ship them: bytes in, named tensors out, nothing run and nothing copied.

pub mod ctranslate2;
pub mod legacy_pth;

use crate::error::Error;
use std::collections::BTreeMap;

/// A tensor where it lies in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTensor<'a> {
    /// Its sides, the outermost first; empty for a single number.
    pub shape: Vec<usize>,
    /// How many numbers it is from one to the next along each side.
    pub strides: Vec<usize>,
    /// What its numbers are.
    pub kind: Kind,
    /// The numbers, little-endian.
    pub bytes: &'a [u8],
}

/// What the numbers of a tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Four bytes.
    F32,
    /// Two bytes, IEEE half precision.
    F16,
    /// One byte.
    I8,
    /// Two bytes.
    I16,
}

/// Tensors by name.
pub type Tensors<'a> = BTreeMap<String, RawTensor<'a>>;

impl Kind {
    fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::I16 => 2,
            Self::I8 => 1,
        }
    }
}

impl<'a> RawTensor<'a> {
    /// A tensor of exactly these bytes, in rows; `None` when they are more or fewer than the shape asks for.
    pub(crate) fn dense(shape: Vec<usize>, kind: Kind, bytes: &'a [u8]) -> Option<Self> {
        let numbers = count(&shape)?;
        let mut strides = vec![1; shape.len()];
        for side in (1..shape.len()).rev() {
            strides[side - 1] = strides[side] * shape[side];
        }
        (bytes.len() == numbers.checked_mul(kind.size())?).then_some(Self { shape, strides, kind, bytes })
    }

    /// A tensor that lies in these bytes by its strides; `None` when it does not fit, or has more numbers than they do.
    fn strided(shape: Vec<usize>, strides: Vec<usize>, kind: Kind, bytes: &'a [u8]) -> Option<Self> {
        if shape.len() != strides.len() {
            return None;
        }
        let there = bytes.len() / kind.size();
        let numbers = count(&shape)?;
        let mut last = 0_usize;
        for (side, stride) in shape.iter().zip(&strides) {
            last = last.checked_add(side.saturating_sub(1).checked_mul(*stride)?)?;
        }
        (numbers <= there && (numbers == 0 || last < there)).then_some(Self { shape, strides, kind, bytes })
    }

    /// Its numbers as f32, in rows; `None` for those of an integer kind.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        match self.kind {
            Kind::F32 => Some(self.gather(|bytes: [u8; 4]| f32::from_le_bytes(bytes))),
            #[cfg(feature = "core")]
            Kind::F16 => Some(self.gather(|bytes: [u8; 2]| half::f16::from_le_bytes(bytes).to_f32())),
            _ => None,
        }
    }

    /// Its numbers as they are stored in half precision, in rows; `None` for those of another kind.
    #[cfg(feature = "speech")]
    pub(crate) fn to_f16(&self) -> Option<Vec<half::f16>> {
        (self.kind == Kind::F16).then(|| self.gather(half::f16::from_le_bytes))
    }

    fn gather<const SIZE: usize, T>(&self, number: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
        let numbers = self.bytes.as_chunks::<SIZE>().0;
        let count: usize = self.shape.iter().product();
        let mut place = vec![0; self.shape.len()];
        let mut gathered = Vec::with_capacity(count);
        let mut at = 0;
        for _ in 0..count {
            gathered.push(number(numbers[at]));
            // As a counter of many digits goes up.
            for side in (0..place.len()).rev() {
                if place[side] + 1 < self.shape[side] {
                    place[side] += 1;
                    at += self.strides[side];
                    break;
                }
                // A side of one may have any stride: it is never gone along.
                at -= self.strides[side] * place[side];
                place[side] = 0;
            }
        }
        gathered
    }
}

/// How many numbers a tensor of this shape has; `None` when its sides multiply to more than there can be, even if another
/// side is zero, so that they may be multiplied in any order.
fn count(shape: &[usize]) -> Option<usize> {
    let numbers = shape.iter().try_fold(1_usize, |numbers, side| numbers.checked_mul((*side).max(1)))?;
    Some(if shape.contains(&0) { 0 } else { numbers })
}

/// The numbers of the tensor `name`, which must have this shape.
#[cfg(any(feature = "text", feature = "vision", feature = "speech"))]
pub(crate) fn take(tensors: &Tensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
    let tensor = find(tensors, name, shape)?;
    tensor
        .to_f32()
        .ok_or_else(|| Error::assets(format!("the weights '{name}' are no floating-point numbers")))
}

/// The tensor `name`, which must have this shape.
#[cfg(any(feature = "text", feature = "vision", feature = "speech"))]
pub(crate) fn find<'t, 'a>(
    tensors: &'t Tensors<'a>,
    name: &str,
    shape: &[usize],
) -> Result<&'t RawTensor<'a>, Error> {
    let tensor =
        tensors.get(name).ok_or_else(|| Error::assets(format!("the model has no weights '{name}'")))?;
    if tensor.shape == shape {
        return Ok(tensor);
    }
    Err(Error::assets(format!("the weights '{name}' have the shape {:?}, not {shape:?}", tensor.shape)))
}

/// Where a reader is in a file.
struct Cursor<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Cursor<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.fault("ends too soon"))?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.fault("ends too soon"))?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<usize, Error> {
        self.array().map(|bytes| usize::from(u16::from_le_bytes(bytes)))
    }

    fn u32(&mut self) -> Result<usize, Error> {
        self.array().map(|bytes| u32::from_le_bytes(bytes) as usize)
    }

    fn fault(&self, why: impl std::fmt::Display) -> Error {
        Error::assets(format!("{} {why}", self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_of_one_and_of_none_may_have_any_stride() {
        let bytes = [1.0_f32.to_le_bytes(), 2.0_f32.to_le_bytes()].concat();
        let tensor = |shape: &[usize], strides: &[usize]| {
            RawTensor::strided(shape.into(), strides.into(), Kind::F32, &bytes)
        };
        assert_eq!(tensor(&[1, 2, 1], &[usize::MAX, 1, usize::MAX]).unwrap().to_f32().unwrap(), [1.0, 2.0]);
        for empty in [[2, 0], [0, 2]] {
            assert!(tensor(&empty, &[usize::MAX, 1]).unwrap().to_f32().unwrap().is_empty());
        }
        assert_eq!(RawTensor::dense(vec![2, 0, 3], Kind::F16, &[]).unwrap().strides, [0, 3, 1]);
    }

    #[test]
    fn sides_of_too_many_numbers_are_refused_wherever_the_zero_is() {
        for shape in [[usize::MAX, 2, 0], [0, usize::MAX, 2], [usize::MAX, 0, 2]] {
            assert_eq!(RawTensor::dense(shape.into(), Kind::F32, &[]), None);
            assert_eq!(RawTensor::strided(shape.into(), vec![0; 3], Kind::F32, &[]), None);
        }
    }
}
