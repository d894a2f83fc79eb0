//! `PyTorch`'s checkpoints as they were before 1.6: five pickles, then the numbers. The pickles are read by a machine that knows
//! the instructions of such a file and no more; it can build names, numbers, tuples and tables of tensors, and can run
//! nothing.

use super::{Cursor, Kind, RawTensor, Tensors};
use crate::error::Error;
use std::collections::HashMap;
use std::rc::Rc;

/// `torch.serialization.MAGIC_NUMBER` and `PROTOCOL_VERSION`, each as a pickle.
const HEAD: &[u8] = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
/// The most instructions of one pickle: a checkpoint has some forty for each tensor.
const MAX_STEPS: usize = 1 << 20;
/// A state of names to tensors nests no deeper than this.
const MAX_DEPTH: usize = 8;

/// Reads the tensors of a checkpoint: a table of names to tensors of f32. Integers, such as counts of batches, are left out.
pub fn read(file: &[u8]) -> Result<Tensors<'_>, Error> {
    let mut cursor = Cursor { rest: file, what: "the checkpoint" };
    if cursor.rest.starts_with(b"PK") {
        return Err(cursor.fault("is one of PyTorch 1.6 or later, a zip archive: convert it to safetensors"));
    }
    if cursor.bytes(HEAD.len()).ok() != Some(HEAD) {
        return Err(cursor.fault("is not one of PyTorch's"));
    }
    let Value::Table(system) = run(&mut cursor)? else {
        return Err(cursor.fault("does not say how it was made"));
    };
    if !system.iter().any(|(name, value)| &**name == "little_endian" && *value == Value::Bool(true)) {
        return Err(cursor.fault("is not little-endian"));
    }
    let Value::Table(state) = run(&mut cursor)? else { return Err(cursor.fault("is no table of tensors")) };
    let Value::List(keys) = run(&mut cursor)? else { return Err(cursor.fault("does not list its storages")) };
    let elements: HashMap<&str, usize> = state
        .iter()
        .filter_map(|(_, value)| match value {
            Value::Tensor(tensor) => Some((&*tensor.storage.key, tensor.storage.element)),
            _ => None,
        })
        .collect();
    let mut storages = HashMap::new();
    for key in keys {
        let Value::Text(key) = key else { return Err(cursor.fault("has a storage without a name")) };
        let size = elements.get(&*key).copied();
        let size = size.ok_or_else(|| cursor.fault("has a storage that no tensor is in"))?;
        let count = usize::try_from(u64::from_le_bytes(cursor.array()?)).unwrap_or(usize::MAX);
        let bytes = cursor.bytes(count.saturating_mul(size))?;
        storages.insert(key, bytes);
    }
    let mut tensors = Tensors::new();
    for (name, value) in &state {
        let Value::Tensor(tensor) = value else {
            return Err(cursor.fault(format_args!("has no tensor for '{name}'")));
        };
        if tensor.storage.element == 4 {
            let found = storages.get(&tensor.storage.key).and_then(|storage| tensor.of(storage));
            let found = found.ok_or_else(|| cursor.fault(format_args!("has no numbers for '{name}'")))?;
            tensors.insert((**name).to_owned(), found);
        }
    }
    Ok(tensors)
}

/// What the machine can hold.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Mark,
    None,
    Bool(bool),
    Number(usize),
    Text(Rc<str>),
    Known(Known),
    Tuple(usize, Vec<Self>),
    List(Vec<Self>),
    Table(Vec<(Rc<str>, Self)>),
    Storage(Storage),
    Tensor(Tensor),
}

/// The names that a pickle may utter.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Known {
    OrderedDict,
    RebuildTensor,
    /// A storage of numbers of so many bytes.
    Storage(usize),
}

#[derive(Debug, Clone, PartialEq)]
struct Storage {
    key: Rc<str>,
    element: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct Tensor {
    storage: Storage,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Tensor {
    fn of<'a>(&self, storage: &'a [u8]) -> Option<RawTensor<'a>> {
        let storage = storage.get(self.offset.checked_mul(self.storage.element)?..)?;
        RawTensor::strided(self.shape.clone(), self.strides.clone(), Kind::F32, storage)
    }
}

/// Runs one pickle to its end.
fn run(cursor: &mut Cursor<'_>) -> Result<Value, Error> {
    let mut machine = Machine { stack: Vec::new(), memo: HashMap::new() };
    for _ in 0..MAX_STEPS {
        let instruction = cursor.u8()?;
        if instruction == b'.' {
            return machine.pop().ok_or_else(|| cursor.fault("has a pickle of nothing"));
        }
        if machine.step(instruction, cursor)?.is_none() {
            let what = char::from(instruction).escape_default();
            return Err(cursor.fault(format_args!("has a pickle that is none of a checkpoint, at '{what}'")));
        }
    }
    Err(cursor.fault("has a pickle without an end"))
}

struct Machine {
    stack: Vec<Value>,
    /// What may be referred to again: texts and names alone, so that no reference can grow.
    memo: HashMap<usize, Value>,
}

impl Machine {
    fn pop(&mut self) -> Option<Value> {
        self.stack.pop()
    }

    /// What lies above the last mark.
    fn above_mark(&mut self) -> Option<Vec<Value>> {
        let mark = self.stack.iter().rposition(|value| *value == Value::Mark)?;
        let above = self.stack.split_off(mark + 1);
        self.stack.pop();
        Some(above)
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the other steps")]
    fn push(&mut self, value: Value) -> Option<()> {
        self.stack.push(value);
        Some(())
    }

    fn tuple(&mut self, values: Vec<Value>) -> Option<()> {
        let depth = |value: &Value| if let Value::Tuple(depth, _) = value { *depth } else { 0 };
        let depth = 1 + values.iter().map(depth).max().unwrap_or(0);
        let plain = values.iter().all(|value| !matches!(value, Value::List(_) | Value::Tensor(_)));
        // A table is an argument only where it is empty: the hooks of a tensor.
        let empty = values.iter().all(|value| !matches!(value, Value::Table(table) if !table.is_empty()));
        (depth <= MAX_DEPTH && plain && empty).then(|| self.stack.push(Value::Tuple(depth, values)))
    }

    /// One instruction; `None` inside when it is none that a checkpoint has, or stands where it cannot.
    fn step(&mut self, instruction: u8, cursor: &mut Cursor<'_>) -> Result<Option<()>, Error> {
        Ok(match instruction {
            // PROTO
            0x80 => (cursor.u8()? == 2).then_some(()),
            b'(' => self.push(Value::Mark),
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => {
                let number = cursor.u8()?;
                self.push(Value::Number(number.into()))
            }
            b'M' => {
                let number = cursor.u16()?;
                self.push(Value::Number(number))
            }
            b'J' => {
                let number = cursor.u32()?;
                // Signed: nothing in a checkpoint is negative.
                if number > i32::MAX as usize { None } else { self.push(Value::Number(number)) }
            }
            b'X' => {
                let length = cursor.u32()?;
                let text = std::str::from_utf8(cursor.bytes(length)?).ok();
                // Names come into messages, which are one line.
                let text = text.filter(|text| !text.chars().any(char::is_control));
                text.and_then(|text| self.push(Value::Text(text.into())))
            }
            b'c' => {
                let name = [line(cursor)?, line(cursor)?];
                known(name).and_then(|known| self.push(Value::Known(known)))
            }
            b'q' => {
                let place = cursor.u8()?;
                self.remember(place.into())
            }
            b'r' => {
                let place = cursor.u32()?;
                self.remember(place)
            }
            b'h' => {
                let place = cursor.u8()?;
                self.recall(place.into())
            }
            b'j' => {
                let place = cursor.u32()?;
                self.recall(place)
            }
            other => self.build(other),
        })
    }

    fn remember(&mut self, place: usize) -> Option<()> {
        let value = self.stack.last()?;
        if matches!(value, Value::Text(_) | Value::Known(_)) {
            self.memo.insert(place, value.clone());
        }
        Some(())
    }

    fn recall(&mut self, place: usize) -> Option<()> {
        let value = self.memo.get(&place)?.clone();
        self.push(value)
    }

    /// The instructions that make one value of others.
    fn build(&mut self, instruction: u8) -> Option<()> {
        match instruction {
            b')' => self.tuple(Vec::new()),
            b't' => {
                let values = self.above_mark()?;
                self.tuple(values)
            }
            // TUPLE1 to TUPLE3
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(instruction - 0x84))?;
                let values = self.stack.split_off(from);
                if values.contains(&Value::Mark) { None } else { self.tuple(values) }
            }
            b'}' => self.push(Value::Table(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'e' => {
                let values = self.above_mark()?;
                let texts = values.iter().all(|value| matches!(value, Value::Text(_)));
                let Value::List(list) = self.stack.last_mut()? else { return None };
                texts.then(|| list.extend(values))
            }
            b's' => {
                let from = self.stack.len().checked_sub(2)?;
                let values = self.stack.split_off(from);
                self.insert(values)
            }
            b'u' => {
                let values = self.above_mark()?;
                self.insert(values)
            }
            // BINPERSID
            b'Q' => {
                let Value::Tuple(_, values) = self.pop()? else { return None };
                match &values[..] {
                    [
                        Value::Text(kind),
                        Value::Known(Known::Storage(element)),
                        Value::Text(key),
                        _,
                        Value::Number(_),
                        Value::None,
                    ] if &**kind == "storage" => {
                        self.push(Value::Storage(Storage { key: key.clone(), element: *element }))
                    }
                    _ => None,
                }
            }
            b'R' => {
                let Value::Tuple(_, arguments) = self.pop()? else { return None };
                let Value::Known(function) = self.pop()? else { return None };
                match function {
                    Known::OrderedDict if arguments.is_empty() => self.push(Value::Table(Vec::new())),
                    Known::RebuildTensor => {
                        let tensor = tensor(arguments)?;
                        self.push(Value::Tensor(tensor))
                    }
                    _ => None,
                }
            }
            // BUILD: what a table carries beside its entries is no weight.
            b'b' => {
                let Value::Table(_) = self.pop()? else { return None };
                matches!(self.stack.last()?, Value::Table(_)).then_some(())
            }
            _ => None,
        }
    }

    fn insert(&mut self, values: Vec<Value>) -> Option<()> {
        let Value::Table(table) = self.stack.last_mut()? else { return None };
        let mut values = values.into_iter();
        while let Some(name) = values.next() {
            let (Value::Text(name), value) = (name, values.next()?) else { return None };
            // Tables nest in what describes the file, and nothing needs what is in them.
            let value = if matches!(value, Value::Table(_)) { Value::None } else { value };
            table.push((name, value));
        }
        Some(())
    }
}

/// A line of a name.
fn line<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Error> {
    let end = cursor.rest.iter().take(256).position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| cursor.fault("ends too soon"))?;
    let line = cursor.bytes(end)?;
    cursor.u8()?;
    Ok(line)
}

fn known(name: [&[u8]; 2]) -> Option<Known> {
    match name {
        [b"collections", b"OrderedDict"] => Some(Known::OrderedDict),
        [b"torch._utils", b"_rebuild_tensor_v2"] => Some(Known::RebuildTensor),
        [b"torch", b"FloatStorage"] => Some(Known::Storage(4)),
        [b"torch", b"LongStorage"] => Some(Known::Storage(8)),
        _ => None,
    }
}

/// Of storage, offset, sides, strides, whether it is trained, and its hooks.
fn tensor(arguments: Vec<Value>) -> Option<Tensor> {
    let mut arguments = arguments.into_iter();
    let (Value::Storage(storage), Value::Number(offset)) = (arguments.next()?, arguments.next()?) else {
        return None;
    };
    let mut numbers = || match arguments.next()? {
        Value::Tuple(_, values) => values
            .into_iter()
            .map(|value| if let Value::Number(number) = value { Some(number) } else { None })
            .collect::<Option<Vec<_>>>(),
        _ => None,
    };
    let (shape, strides) = (numbers()?, numbers()?);
    Some(Tensor { storage, offset, shape, strides })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &[u8] = b"\x80\x02}(X\x0d\0\0\0little_endian\x88u.";

    /// A checkpoint of one tensor `w` of these sides, over four numbers.
    fn checkpoint(sides: &[u8], strides: &[u8], offset: u8) -> Vec<u8> {
        let tuple = |numbers: &[u8]| {
            let mut tuple = vec![b'('];
            tuple.extend(numbers.iter().flat_map(|number| [b'K', *number]));
            tuple.push(b't');
            tuple
        };
        let storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0kX\x03\0\0\0cpuK\x04Nt\x51";
        let state = [
            b"\x80\x02ccollections\nOrderedDict\n)R(X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n("
                .as_slice(),
            storage,
            &[b'K', offset],
            &tuple(sides),
            &tuple(strides),
            b"\x89ccollections\nOrderedDict\n)RtRu.",
        ]
        .concat();
        let numbers: Vec<u8> =
            [1.0_f32, 2.0, 3.0, 4.0].iter().flat_map(|number| number.to_le_bytes()).collect();
        [HEAD, SYSTEM, &state, b"\x80\x02](X\x01\0\0\0ke.", &4_u64.to_le_bytes(), &numbers].concat()
    }

    fn message(file: &[u8]) -> String {
        read(file).unwrap_err().to_string()
    }

    #[test]
    fn tensors_are_where_their_storages_have_them() {
        let file = checkpoint(&[3, 1], &[1, 1], 1);
        let tensors = read(&file).unwrap();
        assert_eq!(tensors["w"].shape, [3, 1]);
        assert_eq!(tensors["w"].to_f32().unwrap(), [2.0, 3.0, 4.0]);
        let turned = checkpoint(&[2, 2], &[1, 2], 0);
        assert_eq!(read(&turned).unwrap()["w"].to_f32().unwrap(), [1.0, 3.0, 2.0, 4.0]);
        for end in 0..file.len() {
            read(&file[..end]).unwrap_err();
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (sides, strides, offset) in
            [(&[4][..], &[1][..], 1), (&[2, 2], &[3, 1], 0), (&[9, 9], &[0, 0], 0), (&[2], &[1, 1], 0)]
        {
            assert_eq!(message(&checkpoint(sides, strides, offset)), "the checkpoint has no numbers for 'w'");
        }
        let mut named = checkpoint(&[9], &[1], 0);
        let name = named.windows(6).position(|bytes| bytes == b"X\x01\0\0\0w").unwrap();
        named[name + 5] = b'\n';
        assert_eq!(message(&named), "the checkpoint has a pickle that is none of a checkpoint, at 'X'");
        assert!(message(b"PK\x03\x04").contains("a zip archive"));
        assert_eq!(message(b"\x80\x02X"), "the checkpoint is not one of PyTorch's");
    }

    #[test]
    fn nothing_can_be_run() {
        // os.system("true"), as a pickle that would run it.
        let trap = [HEAD, SYSTEM, b"\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R."].concat();
        assert_eq!(message(&trap), "the checkpoint has a pickle that is none of a checkpoint, at 'c'");
        let mut deep = [HEAD, SYSTEM, b"\x80\x02)"].concat();
        deep.extend(std::iter::repeat_n(0x85, 100_000));
        assert!(message(&deep).contains("none of a checkpoint"));
    }
}
