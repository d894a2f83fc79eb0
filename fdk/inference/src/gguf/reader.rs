//! A GGUF header from its first byte on: numbers, texts, and the values of its metadata.

use super::{List, Value};

/// What is left of the file.
pub(super) struct Reader<'a> {
    pub(super) left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, left) = self.left.split_at_checked(count).ok_or("the file ends in its header")?;
        self.left = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "the file ends in its header".to_owned())
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    fn length(&mut self) -> Result<usize, String> {
        usize::try_from(self.u64()?).map_err(|_| "the file ends in its header".to_owned())
    }

    pub(super) fn text(&mut self) -> Result<&'a str, String> {
        let length = self.length()?;
        str::from_utf8(self.take(length)?).map_err(|_| "a text is not UTF-8".to_owned())
    }

    pub(super) fn value(&mut self, kind: u32) -> Result<Value<'a>, String> {
        Ok(match kind {
            0 => Value::Unsigned(self.array::<1>()?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            9 => Value::List(self.list()?),
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => return Err(format!("there is no kind of value {other}")),
        })
    }

    fn list(&mut self) -> Result<List<'a>, String> {
        let (kind, count) = (self.u32()?, self.length()?);
        let before = self.left;
        let width = match kind {
            0 | 1 | 7 => Some(1),
            2 | 3 => Some(2),
            4..=6 => Some(4),
            10..=12 => Some(8),
            8 => None,
            9 => return Err("a list in a list".into()),
            other => return Err(format!("there is no kind of value {other}")),
        };
        if let Some(width) = width {
            self.take(count.checked_mul(width).ok_or("the file ends in its header")?)?;
        } else {
            // Each text takes at least its length, so that a count that lies ends with the file.
            for _ in 0..count {
                self.text()?;
            }
        }
        Ok(List { kind, count, bytes: &before[..before.len() - self.left.len()] })
    }
}
