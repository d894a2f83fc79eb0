//! The fewest bytes that end a value.

use super::number::Digits;
use super::state::{At, Frame, Thread};
use super::text::Characters;
use super::{Field, Grammar, Id, Node, Size};
use crate::error::Error;
use crate::interrupt::Interrupt;

const COMMA: u64 = 2;

/// The shortest value of each node, by repeating until nothing becomes shorter; `None` where there is none.
pub(super) fn shortest(nodes: &[Node], interrupt: &Interrupt<'_>) -> Result<Vec<Option<Size>>, Error> {
    let mut sizes = vec![None; nodes.len()];
    loop {
        interrupt.check()?;
        let mut changed = false;
        for (id, node) in nodes.iter().enumerate() {
            let size = size(node, &sizes);
            if size.is_some() && (sizes[id].is_none() || size < sizes[id]) {
                sizes[id] = size;
                changed = true;
            }
        }
        if !changed {
            return Ok(sizes);
        }
    }
}

fn size(node: &Node, sizes: &[Option<Size>]) -> Option<Size> {
    let flat = |bytes: u64| Some(Size { bytes, depth: 0 });
    match node {
        Node::Text(texts) => flat(2 + u64::from(texts.least)),
        Node::Number(numbers) => flat(Digits::START.rest(numbers)?.len() as u64),
        Node::Literals(literals) => flat(literals.shortest().len() as u64),
        Node::List { least: 0, .. } | Node::Map(_) => flat(2),
        Node::List { item, least, .. } => {
            let item = sizes[*item]?;
            let bytes = item.bytes.saturating_add(COMMA).saturating_mul(u64::from(*least));
            Some(Size { bytes, depth: item.depth.saturating_add(1) })
        }
        Node::Record(fields) => {
            let mut whole = Size { bytes: 0, depth: 0 };
            for field in fields.iter().filter(|field| field.required) {
                let value = sizes[field.node]?;
                let bytes = value.bytes.saturating_add(field.key.len() as u64 + COMMA);
                whole.bytes = whole.bytes.saturating_add(bytes);
                whole.depth = whole.depth.max(value.depth.saturating_add(1));
            }
            whole.bytes = whole.bytes.max(2);
            Some(whole)
        }
        Node::Choice(choices) => choices.iter().filter_map(|choice| sizes[*choice]).min(),
    }
}

impl Grammar {
    /// Writes the shortest value of a node.
    fn write(&self, node: Id, out: &mut Vec<u8>) {
        match &self.nodes[node] {
            Node::Text(texts) => out.extend(Characters::START.rest(*texts)),
            Node::Number(numbers) => out.extend(Digits::START.rest(numbers).unwrap_or_default().bytes()),
            Node::Literals(literals) => out.extend(literals.shortest()),
            Node::List { .. } | Node::Record(_) => {
                let opens = if matches!(self.nodes[node], Node::Record(_)) { b'{' } else { b'[' };
                out.push(opens);
                // What it says at most is required, and so of its own size.
                self.rest_of(Frame::Open { node, at: At::First, count: 0 }, 0, out);
            }
            Node::Map(_) => out.extend(b"{}"),
            Node::Choice(choices) => {
                // The very one that its size is of.
                let possible = choices.iter().filter(|choice| self.shortest[**choice].is_some());
                if let Some(choice) = possible.min_by_key(|choice| self.shortest[**choice]) {
                    self.write(*choice, out);
                }
            }
        }
    }

    /// The fewest bytes that end a thread.
    pub(super) fn rest(&self, thread: &Thread) -> Vec<u8> {
        let mut out = Vec::new();
        let mut below = thread.below.as_ref();
        self.rest_of(thread.top, thread.depth(), &mut out);
        while let Some(link) = below {
            self.rest_of(link.frame, link.depth - 1, &mut out);
            below = link.below.as_ref();
        }
        out
    }

    fn rest_of(&self, frame: Frame, depth: u32, out: &mut Vec<u8>) {
        match frame {
            Frame::Done => {}
            Frame::Text(characters, texts) => out.extend(characters.rest(texts)),
            Frame::Number { node, digits } => {
                if let Node::Number(numbers) = &self.nodes[node] {
                    out.extend(digits.rest(numbers).unwrap_or_default().bytes());
                }
            }
            Frame::Literal { node, low, high, at } => {
                if let Node::Literals(literals) = &self.nodes[node]
                    && let Some(text) = literals.texts[low..high].iter().min_by_key(|text| text.len())
                {
                    out.extend(&text[at..]);
                }
            }
            Frame::Key { node, field, at } => {
                if let Node::Record(fields) = &self.nodes[node] {
                    out.extend(&fields[field].key[at..]);
                    self.write(fields[field].node, out);
                    self.rest_of(Frame::Open { node, at: At::After, count: count(field + 1) }, depth, out);
                }
            }
            Frame::Open { node, at, count } => match &self.nodes[node] {
                Node::List { item, least, .. } => self.rest_of_list(*item, *least, at, count, out),
                Node::Record(fields) => self.rest_of_record(fields, (at, count as usize), depth, out),
                Node::Map(value) => self.rest_of_map(*value, at, out),
                _ => {}
            },
        }
    }

    fn rest_of_list(&self, item: Id, least: u32, at: At, mut count: u32, out: &mut Vec<u8>) {
        let mut at = at;
        // All items that are to come are the same: the shortest.
        let mut shortest: Option<std::ops::Range<usize>> = None;
        loop {
            match at {
                At::Bracket => {
                    out.push(b'[');
                    at = At::First;
                }
                At::First | At::After if count >= least => return out.push(b']'),
                At::After => {
                    out.push(b',');
                    at = At::Space;
                }
                At::Space => {
                    out.push(b' ');
                    at = At::Next;
                }
                At::First | At::Next | At::Colon | At::ColonSpace => {
                    if let Some(written) = shortest.clone() {
                        out.extend_from_within(written);
                    } else {
                        let from = out.len();
                        self.write(item, out);
                        shortest = Some(from..out.len());
                    }
                    count += 1;
                    at = At::After;
                }
            }
        }
    }

    /// `next`: the first field that may still come.
    fn rest_of_record(&self, fields: &[Field], (at, next): (At, usize), depth: u32, out: &mut Vec<u8>) {
        let mut at = at;
        if at == At::Bracket {
            out.push(b'{');
            at = At::First;
        }
        let later = || fields.iter().skip(next);
        let mut required: Vec<&Field> = later().filter(|field| field.required).collect();
        if matches!(at, At::Space | At::Next) && required.is_empty() {
            // A comma came: something must follow it.
            let possible = later().filter(|field| self.possible(field.node, depth + 1));
            required.extend(possible.min_by_key(|field| self.bytes(field.node)));
        }
        for field in required {
            out.extend(match at {
                At::After => &b", "[..],
                At::Space => b" ",
                _ => b"",
            });
            out.extend(field.key.iter());
            self.write(field.node, out);
            at = At::After;
        }
        out.push(b'}');
    }

    fn rest_of_map(&self, value: Id, at: At, out: &mut Vec<u8>) {
        let opens = match at {
            At::Bracket => return out.extend(b"{}"),
            At::First | At::After => return out.push(b'}'),
            At::Space => &b" \"\": "[..],
            At::Next => b"\"\": ",
            At::Colon => b": ",
            At::ColonSpace => b" ",
        };
        out.extend(opens);
        self.write(value, out);
        out.push(b'}');
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a schema has no more parts than that")]
pub(super) fn count(fields: usize) -> u32 {
    fields as u32
}
