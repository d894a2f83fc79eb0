//! `model.bin` of `CTranslate2`, binary versions 4 to 6: a header, then each tensor with its name, shape and bytes, then second
//! names of tensors.

use super::{Cursor, Kind, RawTensor, Tensors};
use crate::error::Error;

/// More tensors than any model of a size that fits a function has.
const MAX_TENSORS: usize = 1 << 16;
/// More sides than any tensor has.
const MAX_SIDES: u8 = 8;

/// A model as its file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model<'a> {
    /// What kind of model it is, such as `WhisperSpec`.
    pub spec: String,
    /// The tensors, under their second names as well.
    pub tensors: Tensors<'a>,
}

/// Reads a whole `model.bin`. Every length is checked before it is believed, and nothing is copied but names.
pub fn read(file: &[u8]) -> Result<Model<'_>, Error> {
    let mut cursor = Cursor { rest: file, what: "the CTranslate2 file" };
    let version = cursor.u32()?;
    if !(4..=6).contains(&version) {
        return Err(cursor.fault(format_args!("has the binary version {version}; 4 to 6 are read")));
    }
    let spec = text(&mut cursor)?;
    let _revision = cursor.u32()?;
    let count = cursor.u32()?;
    if count > MAX_TENSORS {
        return Err(cursor.fault(format_args!("claims {count} tensors")));
    }
    let mut tensors = Tensors::new();
    for _ in 0..count {
        let name = text(&mut cursor)?;
        let sides = cursor.u8()?;
        if sides > MAX_SIDES {
            return Err(cursor.fault(format_args!("claims {sides} sides for '{name}'")));
        }
        let shape = (0..sides).map(|_| cursor.u32()).collect::<Result<Vec<_>, _>>()?;
        let kind = match cursor.u8()? {
            0 => Kind::F32,
            1 => Kind::I8,
            2 => Kind::I16,
            4 => Kind::F16,
            other => return Err(cursor.fault(format_args!("has numbers of kind {other} in '{name}'"))),
        };
        let length = cursor.u32()?;
        let bytes = cursor.bytes(length)?;
        let tensor = RawTensor::dense(shape, kind, bytes).ok_or_else(|| {
            cursor.fault(format_args!("has a shape that does not fit the bytes of '{name}'"))
        })?;
        tensors.insert(name, tensor);
    }
    let aliases = cursor.u32()?;
    if aliases > MAX_TENSORS {
        return Err(cursor.fault(format_args!("claims {aliases} second names")));
    }
    for _ in 0..aliases {
        let (alias, name) = (text(&mut cursor)?, text(&mut cursor)?);
        let tensor = tensors.get(&name).cloned();
        let tensor =
            tensor.ok_or_else(|| cursor.fault(format_args!("has no '{name}', which '{alias}' means")))?;
        tensors.insert(alias, tensor);
    }
    if cursor.rest.is_empty() {
        Ok(Model { spec, tensors })
    } else {
        Err(cursor.fault("goes on after its end"))
    }
}

/// A text with its length before it and a zero at its end.
fn text(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let length = cursor.u16()?;
    let bytes = cursor.bytes(length)?;
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control));
    text.map(str::to_owned).ok_or_else(|| cursor.fault("has a name that is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&u16::try_from(text.len() + 1).unwrap().to_le_bytes()[..], text.as_bytes(), b"\0"].concat()
    }

    fn file(tensors: &[(&str, &[u32], u8, &[u8])], aliases: &[(&str, &str)]) -> Vec<u8> {
        let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
        let mut file = [&number(6)[..], &text("WhisperSpec"), &number(3), &number(tensors.len())].concat();
        for (name, shape, kind, bytes) in tensors {
            file.extend(text(name));
            file.push(u8::try_from(shape.len()).unwrap());
            file.extend(shape.iter().flat_map(|side| side.to_le_bytes()));
            file.push(*kind);
            file.extend(number(bytes.len()));
            file.extend(*bytes);
        }
        file.extend(number(aliases.len()));
        file.extend(aliases.iter().flat_map(|(alias, name)| [text(alias), text(name)].concat()));
        file
    }

    #[test]
    fn tensors_are_where_the_file_has_them() {
        let file = file(&[("a", &[2], 4, &[0, 0x3c, 0, 0xc0]), ("n", &[], 1, &[7])], &[("b", "a")]);
        let model = read(&file).unwrap();
        assert_eq!((model.spec.as_str(), model.tensors.len()), ("WhisperSpec", 3));
        assert_eq!((&model.tensors["b"], model.tensors["n"].bytes), (&model.tensors["a"], &[7][..]));
        #[cfg(feature = "core")]
        assert_eq!(model.tensors["a"].to_f32().unwrap(), [1.0, -2.0]);
        for end in 0..file.len() {
            assert!(read(&file[..end]).unwrap_err().to_string().contains("ends too soon"), "{end}");
        }
    }

    #[test]
    fn a_fault_is_named() {
        let message = |file: &[u8]| read(file).unwrap_err().to_string();
        assert_eq!(message(&[9, 0, 0, 0]), "the CTranslate2 file has the binary version 9; 4 to 6 are read");
        for huge in [&[u32::MAX, u32::MAX, u32::MAX][..], &[u32::MAX, u32::MAX, u32::MAX, 0]] {
            let huge = file(&[("a", huge, 0, &[])], &[]);
            assert!(message(&huge).contains("a shape that does not fit the bytes of 'a'"));
        }
        assert!(message(&file(&[("a", &[], 9, &[])], &[])).contains("numbers of kind 9 in 'a'"));
        assert!(message(&file(&[], &[("b", "a")])).contains("has no 'a', which 'b' means"));
        let mut long = file(&[], &[]);
        long.push(0);
        assert!(message(&long).contains("goes on after its end"));
    }
}
