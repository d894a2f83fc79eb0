//! Writes prepared files, or makes one in memory.

use super::{Entry, FIXED, Header, LINE, MAGIC, Origin, PAGE, Prepared, Section, Type, VERSION};
use crate::error::Error;
use bytemuck::NoUninit;
use fdk_kernels::numbers;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

/// A prepared file in the making.
pub(crate) struct Maker {
    header: Header,
    tables: Vec<Table>,
}

struct Table {
    name: String,
    r#type: Type,
    shape: Vec<usize>,
    numbers: Box<dyn Bytes>,
}

/// Numbers of some type, as bytes.
trait Bytes {
    fn bytes(&self) -> &[u8];
}

impl<T: NoUninit> Bytes for Vec<T> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }
}

impl Maker {
    /// Of a kind, at a precision.
    pub(crate) fn new(kind: &str, precision: &str) -> Self {
        let header = Header {
            version: VERSION,
            kind: kind.into(),
            precision: precision.into(),
            made_of: Vec::new(),
            about: serde_json::Value::Null,
            sha256: "0".repeat(64),
            length: u64::MAX,
            sections: BTreeMap::new(),
        };
        Self { header, tables: Vec::new() }
    }

    /// Says of which files it is made, and what its kind says of itself.
    pub(crate) fn describe(&mut self, made_of: Vec<Origin>, about: serde_json::Value) {
        self.header.made_of = made_of;
        self.header.about = about;
    }

    /// The files it is made of whose content nobody has stated: those of a folder that the manifest does not list.
    pub(crate) fn unstated(&mut self) -> impl Iterator<Item = &mut Origin> {
        self.header.made_of.iter_mut().filter(|origin| origin.sha256.is_empty())
    }

    /// Adds a table; its name must be new.
    pub(crate) fn add<T: Entry + NoUninit>(&mut self, name: impl Into<String>, numbers: Vec<T>) {
        self.add_shaped(name, numbers, &[]);
    }

    /// As [`Maker::add`], with a shape that is kept.
    pub(crate) fn add_shaped<T: Entry + NoUninit>(
        &mut self,
        name: impl Into<String>,
        numbers: Vec<T>,
        shape: &[usize],
    ) {
        let (shape, numbers) = (shape.to_vec(), Box::new(numbers));
        self.tables.push(Table { name: name.into(), r#type: T::TYPE, shape, numbers });
    }

    /// Gives every table its place, and returns how long the header and what fills its page are.
    fn place(&mut self) -> io::Result<usize> {
        let place = |header: &mut Header, begins: u64| {
            let mut end = begins;
            for table in &self.tables {
                let (offset, length) =
                    (end.next_multiple_of(LINE as u64), table.numbers.bytes().len() as u64);
                end = offset + length;
                let section = Section { r#type: table.r#type, offset, length, shape: table.shape.clone() };
                header.sections.insert(table.name.clone(), section);
            }
            end
        };
        // With offsets at least as long as they will be, so that the header's length is known before they are.
        place(&mut self.header, u64::from(u32::MAX) * 1000);
        let room = (FIXED + serde_json::to_vec(&self.header)?.len()).next_multiple_of(PAGE);
        self.header.length = place(&mut self.header, room as u64);
        Ok(room)
    }

    /// What stands before the first table.
    fn head(&self, room: usize) -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec(&self.header)?;
        // What fills its page is a part of the header.
        text.resize(room - FIXED, b' ');
        let length = (text.len() as u64).to_le_bytes();
        Ok([&MAGIC[..], &length[..], Sha256::digest(&text).as_slice(), &text[..]].concat())
    }

    /// Writes the file.
    pub(crate) fn write(mut self, out: &mut impl Write) -> io::Result<()> {
        let room = self.place()?;
        let mut hasher = Sha256::new();
        let mut at = room;
        for table in &self.tables {
            hasher.update(filler(at));
            hasher.update(table.numbers.bytes());
            at += filler(at).len() + table.numbers.bytes().len();
        }
        self.header.sha256 = crate::assets::hex(&hasher.finalize());
        out.write_all(&self.head(room)?)?;
        let mut at = room;
        for table in &self.tables {
            out.write_all(filler(at))?;
            out.write_all(table.numbers.bytes())?;
            at += filler(at).len() + table.numbers.bytes().len();
        }
        out.flush()
    }

    /// The file in memory, not hashed. The tables go as they are copied, so that hardly more than one is there twice.
    pub(crate) fn open(mut self) -> Result<Prepared, Error> {
        let fails = |error: io::Error| Error::model("does not fit in the memory", error);
        let room = self.place().map_err(fails)?;
        let length = usize::try_from(self.header.length).unwrap_or(usize::MAX);
        let head = self.head(room).map_err(fails)?;
        let tables = std::mem::take(&mut self.tables);
        let file = numbers::fill(length, |memory| {
            memory[..room].copy_from_slice(&head);
            let mut at = room;
            for table in tables {
                at += filler(at).len();
                let bytes = table.numbers.bytes();
                memory[at..at + bytes.len()].copy_from_slice(bytes);
                at += bytes.len();
            }
        })
        .map_err(fails)?;
        Prepared::of(Arc::new(file))
    }
}

/// What fills the line at an offset.
fn filler(at: usize) -> &'static [u8] {
    &[0; LINE][..at.next_multiple_of(LINE) - at]
}
