//! GGUF files, versions 2 and 3, read in place and never trusted: every length is held against what is left of the file
//! before it is believed (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).

mod reader;

use self::reader::Reader;
use crate::error::Error;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Shape};
use std::borrow::Cow;
use std::collections::BTreeMap;

const MAGIC: &[u8] = b"GGUF";
/// The most entries and the most tensors of a file; the largest models have a few thousand.
const MOST: u64 = 65_536;
const DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: usize = 32;

/// A file's metadata and where its tensors are. It borrows the file and holds nothing of it twice.
#[derive(Debug)]
pub struct Gguf<'a> {
    metadata: BTreeMap<&'a str, Value<'a>>,
    tensors: BTreeMap<&'a str, Tensor<'a>>,
    /// Where the tensors begin.
    data: usize,
}

/// One value of the metadata.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// An integer of any width without a sign.
    Unsigned(u64),
    /// An integer of any width with one.
    Signed(i64),
    /// Of either width.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Text.
    Text(&'a str),
    /// Values of one kind.
    List(List<'a>),
}

/// The values of a list, read when they are asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct List<'a> {
    kind: u32,
    count: usize,
    bytes: &'a [u8],
}

/// A tensor's shape, and its bytes in the file.
#[derive(Debug, Clone)]
pub struct Tensor<'a> {
    kind: u32,
    /// The slowest dimension first, as candle has it.
    dimensions: Vec<usize>,
    /// Where it is among the tensors, and how many bytes it has.
    offset: usize,
    length: usize,
    bytes: &'a [u8],
}

impl<'a> Gguf<'a> {
    /// Reads the header of a file. An error says what is wrong with it; nothing in it makes this panic, or allocate more
    /// than a few times the bytes of the header.
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        Self::read(file, true).map_err(|why| Error::model("has a GGUF file that cannot be read", why))
    }

    /// As [`Gguf::parse`], of what stands before the tensors: they have no bytes then.
    pub(crate) fn header(file: &'a [u8]) -> Result<Self, Error> {
        Self::read(file, false).map_err(|why| Error::model("has a GGUF header that cannot be read", why))
    }

    fn read(file: &'a [u8], whole: bool) -> Result<Self, String> {
        let mut reader = Reader { left: file };
        if reader.take(4)? != MAGIC {
            return Err("it is no GGUF: it does not begin with those four letters".into());
        }
        let version = reader.u32()?;
        if !matches!(version, 2 | 3) {
            return Err(format!("it is of version {version}, and 2 and 3 are read"));
        }
        let (tensors, entries) = (reader.u64()?, reader.u64()?);
        if tensors > MOST || entries > MOST {
            return Err(format!("it states {tensors} tensors and {entries} entries; {MOST} are the most"));
        }
        let mut metadata = BTreeMap::new();
        for _ in 0..entries {
            let key = reader.text()?;
            let kind = reader.u32()?;
            metadata.insert(key, reader.value(kind).map_err(|why| format!("{key}: {why}"))?);
        }
        let mut headers = Vec::new();
        for _ in 0..tensors {
            headers.push(Header::read(&mut reader)?);
        }
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(Value::Unsigned(stated)) if stated.is_power_of_two() => {
                usize::try_from(*stated).map_err(|_| "the alignment is too large".to_owned())?
            }
            Some(_) => return Err("general.alignment is no power of two".into()),
        };
        let header = file.len() - reader.left.len();
        let start = header.checked_next_multiple_of(alignment).ok_or("the alignment is too large")?;
        // A file without tensors may end with its header.
        let data = whole.then(|| file.get(start..).unwrap_or_default());
        let mut tensors = BTreeMap::new();
        for header in headers {
            let name = header.name;
            tensors.insert(name, header.place(data).map_err(|why| format!("tensor {name}: {why}"))?);
        }
        Ok(Self { metadata, tensors, data: start })
    }

    /// Where the tensors begin in the file, and where the last of them ends.
    pub(crate) fn extent(&self) -> Option<(usize, usize)> {
        let ends = self.tensors.values().map(|tensor| tensor.offset.checked_add(tensor.length));
        let end = ends.collect::<Option<Vec<_>>>()?.into_iter().max().unwrap_or_default();
        Some((self.data, self.data.checked_add(end)?))
    }

    /// A value of the metadata.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.metadata.get(key).copied()
    }

    /// A text of the metadata.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        match self.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// An integer of the metadata that counts something.
    pub fn count(&self, key: &str) -> Option<usize> {
        match self.get(key) {
            Some(Value::Unsigned(number)) => usize::try_from(number).ok(),
            Some(Value::Signed(number)) => usize::try_from(number).ok(),
            _ => None,
        }
    }

    /// A list of the metadata.
    pub fn list(&self, key: &str) -> Option<List<'a>> {
        match self.get(key) {
            Some(Value::List(list)) => Some(list),
            _ => None,
        }
    }

    /// A tensor by its name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor<'a>> {
        self.tensors.get(name)
    }

    /// All tensors, by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&'a str, &Tensor<'a>)> {
        self.tensors.iter().map(|(name, tensor)| (*name, tensor))
    }
}

impl<'a> List<'a> {
    /// How many values it has.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its values, in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (kind, mut reader) = (self.kind, Reader { left: self.bytes });
        // It was read whole when the file was parsed, so that no value is missing here.
        (0..self.count).map_while(move |_| reader.value(kind).ok())
    }

    /// Its texts, in order; nothing of a list of another kind.
    pub fn texts(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.iter().filter_map(|value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }
}

impl<'a> Tensor<'a> {
    /// The lengths of its sides, the slowest first.
    pub fn dimensions(&self) -> &[usize] {
        &self.dimensions
    }

    /// Its bytes, in the blocks of its type.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its type; `None` for one that candle does not compute with.
    pub fn dtype(&self) -> Option<GgmlDType> {
        dtype(self.kind)
    }

    /// Where its bytes are among all tensors' bytes.
    pub(crate) fn place(&self) -> std::ops::Range<usize> {
        // Checked not to overflow when it was placed.
        self.offset..self.offset + self.length
    }

    /// How many numbers it has.
    pub fn numbers(&self) -> usize {
        // Checked not to overflow when it was placed.
        self.dimensions.iter().product()
    }

    /// The tensor as candle computes with it: a copy on the heap, still quantised.
    pub(crate) fn load(&self) -> Result<QTensor, String> {
        let dtype = self.dtype().ok_or_else(|| {
            format!(
                "its type is {}, which is not computed with: {SUPPORTED} are, so quantise it anew",
                self.kind
            )
        })?;
        // candle reads the bytes as numbers where they are.
        if !self.bytes.as_ptr().addr().is_multiple_of(align_of::<f32>()) {
            return Err("it does not begin at a multiple of four".into());
        }
        QStorage::from_data(Cow::Borrowed(self.bytes), &Device::Cpu, dtype)
            .and_then(|storage| QTensor::new(storage, Shape::from(self.dimensions.clone())))
            .map_err(|error| error.to_string())
    }
}

const SUPPORTED: &str = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K";

/// `ggml_type` as candle knows it.
fn dtype(kind: u32) -> Option<GgmlDType> {
    Some(match kind {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

/// What the header says of a tensor.
struct Header<'a> {
    name: &'a str,
    kind: u32,
    dimensions: Vec<usize>,
    offset: u64,
}

impl<'a> Header<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, String> {
        let name = reader.text()?;
        let count = reader.u32()?;
        if count > DIMENSIONS {
            return Err(format!("tensor {name} has {count} dimensions; {DIMENSIONS} are the most"));
        }
        let mut dimensions = Vec::new();
        for _ in 0..count {
            let side = usize::try_from(reader.u64()?);
            dimensions.push(side.map_err(|_| format!("tensor {name} is too large"))?);
        }
        dimensions.reverse();
        Ok(Self { name, kind: reader.u32()?, dimensions, offset: reader.u64()? })
    }

    fn place(self, data: Option<&'a [u8]>) -> Result<Tensor<'a>, String> {
        let numbers = self.dimensions.iter().try_fold(1_usize, |product, side| product.checked_mul(*side));
        let numbers = numbers.ok_or("its dimensions are too large")?;
        let place = match dtype(self.kind) {
            None => 0..0,
            Some(dtype) => {
                if !numbers.is_multiple_of(dtype.block_size()) {
                    return Err(format!("{numbers} numbers are not whole blocks of {}", dtype.block_size()));
                }
                let length = (numbers / dtype.block_size()).checked_mul(dtype.type_size());
                let start = usize::try_from(self.offset).ok();
                let end = start.zip(length).and_then(|(start, length)| start.checked_add(length));
                start.zip(end).map(|(start, end)| start..end).ok_or("the file ends before it does")?
            }
        };
        let bytes = match data {
            Some(data) => data.get(place.clone()).ok_or("the file ends before it does")?,
            None => &[],
        };
        Ok(Tensor {
            kind: self.kind,
            dimensions: self.dimensions,
            offset: place.start,
            length: place.len(),
            bytes,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A file with one entry of each kind and one tensor.
    pub(crate) fn small() -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        let text = |file: &mut Vec<u8>, text: &str| {
            file.extend((text.len() as u64).to_le_bytes());
            file.extend(text.as_bytes());
        };
        file.extend(3_u32.to_le_bytes());
        file.extend(1_u64.to_le_bytes());
        file.extend(4_u64.to_le_bytes());
        text(&mut file, "a.text");
        file.extend(8_u32.to_le_bytes());
        text(&mut file, "llama");
        text(&mut file, "a.count");
        file.extend(4_u32.to_le_bytes());
        file.extend(7_u32.to_le_bytes());
        text(&mut file, "a.list");
        file.extend(9_u32.to_le_bytes());
        file.extend(8_u32.to_le_bytes());
        file.extend(2_u64.to_le_bytes());
        text(&mut file, "x");
        text(&mut file, "é");
        text(&mut file, "a.float");
        file.extend(6_u32.to_le_bytes());
        file.extend(0.5_f32.to_le_bytes());
        text(&mut file, "w");
        file.extend(2_u32.to_le_bytes());
        file.extend(32_u64.to_le_bytes());
        file.extend(2_u64.to_le_bytes());
        file.extend(0_u32.to_le_bytes());
        file.extend(0_u64.to_le_bytes());
        file.resize(file.len().next_multiple_of(32), 0);
        for number in 0..64_u8 {
            file.extend(f32::from(number).to_le_bytes());
        }
        file
    }

    fn refusal(file: &[u8]) -> String {
        let error = Gguf::parse(file).unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    }

    #[test]
    fn what_is_in_a_file_is_read() {
        let file = small();
        let gguf = Gguf::parse(&file).unwrap();
        assert_eq!((gguf.text("a.text"), gguf.count("a.count")), (Some("llama"), Some(7)));
        assert_eq!(gguf.get("a.float"), Some(Value::Float(0.5)));
        assert_eq!(gguf.list("a.list").unwrap().texts().collect::<Vec<_>>(), ["x", "é"]);
        let tensor = gguf.tensor("w").unwrap();
        assert_eq!((tensor.dimensions(), tensor.bytes().len()), (&[2, 32][..], 256));
    }

    #[test]
    fn a_lie_is_told_by_name() {
        let file = small();
        assert_eq!(refusal(b"GGML"), "it is no GGUF: it does not begin with those four letters");
        assert_eq!(refusal(b"GGUF\x01\0\0\0"), "it is of version 1, and 2 and 3 are read");
        assert_eq!(refusal(&file[..40]), "the file ends in its header");
        assert_eq!(refusal(&file[..file.len() - 1]), "tensor w: the file ends before it does");
        let mut many = file.clone();
        many[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(refusal(&many).ends_with("65536 are the most"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn no_file_makes_it_panic(at in 0_usize..400, with in any::<[u8; 8]>(), length in 0_usize..8, end in 0_usize..600) {
            let mut file = small();
            let at = at.min(file.len() - length);
            file[at..at + length].copy_from_slice(&with[..length]);
            file.truncate(end.max(200));
            if let Ok(gguf) = Gguf::parse(&file) {
                for (_, tensor) in gguf.tensors() {
                    prop_assert!(tensor.bytes().len() <= file.len());
                    let _ = tensor.load();
                }
                let _ = gguf.list("a.list").map(|list| list.iter().count());
            }
        }
    }
}
