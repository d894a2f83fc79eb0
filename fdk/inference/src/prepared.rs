//! The prepared file: a model's tables as the kernels and the tokenizer read them, to be mapped and used in place.
//!
//! A header in JSON, then sections on cache lines, the first on a page. Nothing is made of a byte before the header's lengths,
//! offsets and alignments have been checked against the file, and its content against its sha256, unless the folder's
//! mark vouches for it (`folder`).
//!
//! | bytes | |
//! |---|---|
//! | 0–7 | `FDKMODEL` |
//! | 8–15 | the header's length, little-endian |
//! | 16–47 | the sha256 of the header |
//! | 48– | the header |
//! | from a page on | the sections |

mod folder;
mod maker;

pub(crate) use maker::Maker;

use crate::assets::PREPARED_VERSION as VERSION;
use crate::error::Error;
use crate::manifest::File;
use crate::map;
use crate::wordpiece::WordPiece;
use bytemuck::AnyBitPattern;
use fdk_kernels::numbers::{self, Numbers};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Its name in a model's folder.
pub const FILE_NAME: &str = "model.prepared";
/// The kind of an encoder's prepared file.
pub(crate) const ENCODER: &str = "encoder";
/// And of a decoder's.
pub(crate) const DECODER: &str = "decoder";
/// And of a classifier's of pictures.
pub(crate) const PICTURES: &str = "pictures";
const MAGIC: &[u8; 8] = b"FDKMODEL";
const FIXED: usize = 48;
const PAGE: usize = 4096;
const LINE: usize = 64;
/// A header has some ten thousand bytes.
const MOST_HEADER: u64 = 16 * 1024 * 1024;

/// The header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    /// What it is for, such as `encoder`.
    kind: String,
    /// How its weights are kept: `f32`, `f16`, `int8`.
    precision: String,
    /// The files it was made of.
    made_of: Vec<Origin>,
    /// What the kind's own code says of itself.
    about: serde_json::Value,
    /// Of the file from the first section on, in lower-case hex.
    sha256: String,
    /// The length of the whole file.
    length: u64,
    sections: BTreeMap<String, Section>,
}

/// A file that a prepared one was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
    /// Whether the function can do without it.
    pub(crate) replaced: bool,
}

/// Where a table is, in bytes from the file's start, and what its numbers are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    r#type: Type,
    offset: u64,
    length: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shape: Vec<usize>,
}

impl Section {
    /// The bytes that a table of this shape has, where that is a number.
    fn shape_bytes(&self) -> Option<u64> {
        let number: u64 = match self.r#type {
            Type::F32 | Type::U32 => 4,
            Type::F16 => 2,
            Type::U8 => 1,
        };
        self.shape.iter().try_fold(number, |bytes, side| bytes.checked_mul(u64::try_from(*side).ok()?))
    }
}

/// What the numbers of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Type {
    F32,
    F16,
    U8,
    U32,
}

/// A kind of number that a table may have.
pub(crate) trait Entry: AnyBitPattern {
    const TYPE: Type;
}

impl Entry for f32 {
    const TYPE: Type = Type::F32;
}
impl Entry for u16 {
    const TYPE: Type = Type::F16;
}
impl Entry for u8 {
    const TYPE: Type = Type::U8;
}
impl Entry for u32 {
    const TYPE: Type = Type::U32;
}

/// An open prepared file.
#[derive(Debug, Clone)]
pub struct Prepared {
    file: Arc<Mmap>,
    header: Arc<Header>,
}

impl Prepared {
    /// Maps a file of a model's folder and checks its header, not its content: [`Prepared::check_content`] does that. Nobody else
    /// may map one: its tables would change under whoever reads them if somebody wrote to the file.
    pub(crate) fn map(path: &Path) -> Result<Self, Error> {
        let file = map::map(path).map_err(|error| Error::model("has an unreadable prepared file", error))?;
        Self::of(Arc::new(file))
    }

    /// A file of bytes in memory; its header is checked, not its content. They are copied, to where they are aligned.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let copy = numbers::fill(bytes.len(), |memory| memory.copy_from_slice(bytes));
        Self::of(Arc::new(copy.map_err(|error| Error::model("does not fit in the memory", error))?))
    }

    fn of(file: Arc<Mmap>) -> Result<Self, Error> {
        let header =
            parse(&file).map_err(|why| Error::model("has a prepared file that cannot be used", why))?;
        Ok(Self { file, header: Arc::new(header) })
    }

    /// Checks the content against its sha256.
    pub fn check_content(&self) -> Result<(), Error> {
        let found = crate::assets::hex(&Sha256::digest(&self.file[content(&self.header)..]));
        if found == self.header.sha256 {
            return Ok(());
        }
        let why = format!("its content has sha256 {found}, its header states {}", self.header.sha256);
        Err(Error::model("has a prepared file that cannot be used", why))
    }

    /// The ids that its tokenizer's tables give a text, without the tokens around it; `None` when it has none.
    pub fn tokenise(&self, text: &str) -> Result<Option<Vec<u32>>, Error> {
        let Some(tables) = WordPiece::open(self)? else { return Ok(None) };
        let mut ids = Vec::new();
        tables.encode(text, &mut ids);
        Ok(Some(ids))
    }

    /// What it is for, such as `encoder`.
    pub fn kind(&self) -> &str {
        &self.header.kind
    }

    /// How its weights are kept: `f32`, `f16`, `int8`.
    pub fn precision(&self) -> &str {
        &self.header.precision
    }

    /// The sha256 of its content, as the header states it.
    pub fn sha256(&self) -> &str {
        &self.header.sha256
    }

    /// The length of the file.
    pub fn bytes(&self) -> u64 {
        self.header.length
    }

    /// Whether it was made of this file, which the function can do without.
    pub(crate) fn replaces(&self, file: &File) -> bool {
        self.header.made_of.iter().any(|origin| {
            origin.replaced
                && origin.path == file.path
                && origin.size == file.size
                && origin.sha256 == file.sha256
        })
    }

    pub(crate) fn made_of(&self) -> &[Origin] {
        &self.header.made_of
    }

    pub(crate) fn about(&self) -> &serde_json::Value {
        &self.header.about
    }

    /// The names of the tables that begin so, with the shapes they were stored with.
    pub(crate) fn named<'p>(&'p self, prefix: &'p str) -> impl Iterator<Item = (&'p str, &'p [usize])> {
        let sections = self.header.sections.iter();
        sections.filter_map(move |(name, section)| Some((name.strip_prefix(prefix)?, &section.shape[..])))
    }

    /// A table of numbers, in place.
    pub(crate) fn numbers<T: Entry>(&self, name: &str) -> Result<Numbers<T>, Error> {
        let lacks =
            || Error::model("has a prepared file that cannot be used", format!("it lacks the table {name}"));
        let section = self.header.sections.get(name).filter(|section| section.r#type == T::TYPE);
        let section = section.ok_or_else(lacks)?;
        // `parse` has checked that both are within the file.
        let range = |value: u64| usize::try_from(value).map_err(|_| lacks());
        let offset = range(section.offset)?;
        Numbers::of(&self.file, offset..offset + range(section.length)?).ok_or_else(lacks)
    }

    /// As [`Prepared::numbers`], when there are to be so many.
    pub(crate) fn exactly<T: Entry>(&self, name: &str, count: usize) -> Result<Numbers<T>, Error> {
        let numbers = self.numbers::<T>(name)?;
        let found = numbers.get().len();
        if found == count {
            return Ok(numbers);
        }
        let why = format!("the table {name} has {found} numbers where the model has {count}");
        Err(Error::model("has a prepared file that cannot be used", why))
    }
}

/// Where the sections begin.
fn content(header: &Header) -> usize {
    let first = header.sections.values().map(|section| section.offset).min();
    first.map_or(0, |first| usize::try_from(first).unwrap_or_default())
}

/// What a header of any version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// The header of a file, when all that it says is true of it.
fn parse(file: &[u8]) -> Result<Header, String> {
    let fixed = file.get(..FIXED).ok_or_else(|| format!("it has {} bytes", file.len()))?;
    if &fixed[..8] != MAGIC {
        return Err("it is no prepared file".into());
    }
    let length = fixed[8..16].iter().rev().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    let header = usize::try_from(length)
        .ok()
        .filter(|_| length <= MOST_HEADER)
        .and_then(|length| file.get(FIXED..FIXED.checked_add(length)?))
        .ok_or("it is cut off in its header")?;
    if Sha256::digest(header).as_slice() != &fixed[16..48] {
        return Err("its header is damaged".into());
    }
    let wrong = |error| format!("its header does not parse: {error}");
    let version = serde_json::from_slice::<Versioned>(header).map_err(wrong)?.version;
    if version != VERSION {
        return Err(format!("it is of version {version} and this build reads version {VERSION}"));
    }
    let parsed: Header = serde_json::from_slice(header).map_err(wrong)?;
    if parsed.length != file.len() as u64 {
        return Err(format!("it has {} bytes and its header states {}", file.len(), parsed.length));
    }
    let begins = (FIXED + header.len()).next_multiple_of(PAGE) as u64;
    let mut ends = begins;
    let mut sections: Vec<(&String, &Section)> = parsed.sections.iter().collect();
    sections.sort_by_key(|(_, section)| (section.offset, section.length));
    for (name, section) in sections {
        // In order, on a line, without overlap, and within the file.
        let end = section.offset.checked_add(section.length).filter(|end| *end <= parsed.length);
        match end {
            Some(end) if section.offset == ends.next_multiple_of(LINE as u64) => ends = end,
            _ => return Err(format!("the table {name} is not where it should be")),
        }
        if !section.shape.is_empty() && section.shape_bytes() != Some(section.length) {
            return Err(format!("the table {name} is not of its shape"));
        }
    }
    if ends != parsed.length {
        return Err("it has bytes that belong to no table".into());
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn maker() -> Maker {
        let mut maker = Maker::new("test", "f32");
        maker.describe(Vec::new(), serde_json::json!({"x": 1}));
        maker.add("a", vec![1.5_f32, -2.0, 3.25]);
        maker.add("b", vec![7_u8; 100]);
        maker.add_shaped("c", vec![1.0_f32; 6], &[2, 3]);
        maker.add("empty", Vec::<u32>::new());
        maker
    }

    fn file() -> Vec<u8> {
        let mut out = Vec::new();
        maker().write(&mut out).unwrap();
        out
    }

    fn whole(bytes: &[u8]) -> Result<Prepared, Error> {
        let file = Prepared::read(bytes)?;
        file.check_content()?;
        Ok(file)
    }

    #[test]
    fn what_was_added_is_there_in_place() {
        assert_eq!(maker().open().unwrap().numbers::<f32>("a").unwrap().get(), [1.5, -2.0, 3.25]);
        let file = whole(&file()).unwrap();
        assert_eq!(file.numbers::<f32>("a").unwrap().get(), [1.5, -2.0, 3.25]);
        assert_eq!(file.exactly::<u8>("b", 100).unwrap().get(), [7; 100]);
        assert!(file.numbers::<u32>("empty").unwrap().get().is_empty());
        assert_eq!(file.named("").filter(|(_, shape)| shape == &[2, 3]).count(), 1);
        assert_eq!((file.kind(), file.precision(), &file.about()["x"]), ("test", "f32", &1.into()));
        assert!(file.numbers::<u32>("a").is_err(), "of another type");
        let error = file.exactly::<f32>("a", 4).unwrap_err();
        assert_eq!(
            std::error::Error::source(&error).unwrap().to_string(),
            "the table a has 3 numbers where the model has 4"
        );
        for name in ["a", "c"] {
            assert!(file.numbers::<f32>(name).unwrap().get().as_ptr().addr().is_multiple_of(LINE));
        }
    }

    #[test]
    fn another_version_is_refused_with_the_remedy() {
        let mut bytes = file();
        let at = bytes.windows(11).position(|window| window == b"\"version\":4").unwrap();
        bytes[at + 10] = b'5';
        let length = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
        let digest = Sha256::digest(&bytes[FIXED..FIXED + usize::try_from(length).unwrap()]);
        bytes[16..48].copy_from_slice(&digest);
        let error = whole(&bytes).unwrap_err();
        assert_eq!(error.to_string(), "the model has a prepared file that cannot be used");
        assert_eq!(
            std::error::Error::source(&error).unwrap().to_string(),
            "it is of version 5 and this build reads version 4"
        );
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_seen(at in 0_usize..6000, flip in 1_u8..) {
            let mut bytes = file();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            prop_assert!(whole(&bytes).is_err(), "byte {at}");
        }

        #[test]
        fn a_file_cut_or_grown_is_seen(length in 0_usize..9000) {
            let mut bytes = file();
            prop_assume!(length != bytes.len());
            bytes.resize(length, 0);
            prop_assert!(whole(&bytes).is_err());
        }

        #[test]
        fn a_header_that_lies_is_refused_or_harmless(offset in any::<u64>(), length in any::<u64>()) {
            let mut bytes = file();
            // Sealed again, so that only what it says can give it away.
            let length_at = |bytes: &[u8]| usize::try_from(u64::from_le_bytes(bytes[8..16].try_into().unwrap())).unwrap();
            let end = FIXED + length_at(&bytes);
            let mut header: serde_json::Value = serde_json::from_slice(&bytes[FIXED..end]).unwrap();
            header["sections"]["b"]["offset"] = offset.into();
            header["sections"]["b"]["length"] = length.into();
            let mut text = serde_json::to_vec(&header).unwrap();
            prop_assume!(text.len() <= end - FIXED);
            text.resize(end - FIXED, b' ');
            bytes[FIXED..end].copy_from_slice(&text);
            let digest = Sha256::digest(&text);
            bytes[16..48].copy_from_slice(&digest);
            if let Ok(file) = Prepared::read(&bytes) {
                let _ = file.numbers::<u8>("b").map(|numbers| numbers.get().len());
            }
        }
    }
}
