//! JSON that fits a schema, byte by byte: which bytes may come next, and the fewest that end it.
//!
//! A schema becomes nodes (`schema.rs`), and how far a reply is becomes threads: each a stack of frames, one for each value
//! that is open. There are several where a schema allows several things that begin alike. JSON is written as Python's `json.dumps`
//! writes it, with one space after `,` and `:`, and properties come in the order of the schema.

mod constraint;
mod number;
mod ordered;
mod rest;
mod schema;
mod state;
mod text;

pub(crate) use constraint::Constraint;
use state::State;

use crate::error::Error;
use crate::interrupt::Interrupt;
use number::Numbers;
use ordered::Ordered;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use text::Texts;

/// A JSON schema (draft 2020-12). These keywords are obeyed: `type`, `properties`, `required`, `additionalProperties`, `items`,
/// `minItems`, `maxItems`, `enum`, `const`, `anyOf`, `minLength`, `maxLength`, `minimum`, `maximum`, `exclusiveMinimum`,
/// `exclusiveMaximum`, and `$ref` to `$defs` or `definitions` of its own. `title`, `description` and the like are passed over, and any
/// other is refused by name. Schemas may be 64 deep in one another, what a `$ref` leads to included. All values of a schema may be
/// 32,768, a name may have 256 bytes, and 256 are the most alternatives of an `anyOf`, and 255
/// the most properties in a row that are not required.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema(Ordered);

impl From<Value> for Schema {
    fn from(schema: Value) -> Self {
        Self(schema.into())
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ordered::deserialize(deserializer).map(Self)
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_value().serialize(serializer)
    }
}

type Id = usize;

/// One kind of value.
#[derive(Debug, Clone)]
enum Node {
    Text(Texts),
    Number(Numbers),
    Literals(Literals),
    List {
        item: Id,
        least: u32,
        most: u32,
    },
    /// An object with these properties.
    Record(Vec<Field>),
    /// An object with any properties.
    Map(Id),
    /// One of these, none of which is itself a choice once the schema is compiled.
    Choice(Vec<Id>),
}

/// These texts, in the order of their bytes.
#[derive(Debug, Clone)]
struct Literals {
    texts: Vec<Box<[u8]>>,
    /// Which of them is the shortest.
    shortest: usize,
}

impl Literals {
    fn new(mut texts: Vec<Box<[u8]>>) -> Self {
        texts.sort_unstable();
        texts.dedup();
        let shortest = (0..texts.len()).min_by_key(|index| texts[*index].len()).unwrap_or_default();
        Self { texts, shortest }
    }

    fn shortest(&self) -> &[u8] {
        self.texts.get(self.shortest).map_or(&[], |text| text)
    }
}

/// A property.
#[derive(Debug, Clone)]
struct Field {
    /// Its name as JSON, with the colon and the space.
    key: Box<[u8]>,
    node: Id,
    required: bool,
}

/// The most things at once that the bytes so far of a reply can be: the work of each byte is as much.
const THREADS: usize = 256;
/// The most bytes of the shortest value of a schema, and of any value that it names.
const SHORTEST: u64 = 64 * 1024;
/// How deep values may be in one another: readers of JSON have limits, and that of `serde_json` is 127.
const DEPTH: u32 = 100;

/// What a schema allows.
#[derive(Debug)]
pub(crate) struct Grammar {
    nodes: Vec<Node>,
    root: Id,
    /// The shortest value of each node; `None` where no value has an end.
    shortest: Vec<Option<Size>>,
}

/// How large a value is: in bytes, and in values that are in one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Size {
    bytes: u64,
    depth: u32,
}

impl Grammar {
    /// Compiles a schema. The error names the place in it.
    pub(crate) fn compile(schema: &Schema, interrupt: &Interrupt<'_>) -> Result<Self, Error> {
        let (mut nodes, root) = schema::compile(&schema.0, interrupt)?;
        let refuse = |message: String| Err(Error::input("schema", message));
        if has_bare_loop(&nodes) {
            return refuse("a $ref leads to itself with no object or array between".into());
        }
        flatten(&mut nodes, interrupt)?;
        for node in &nodes {
            check_threads(node)?;
        }
        let shortest = rest::shortest(&nodes, interrupt)?;
        match shortest[root] {
            None => return refuse("no value fits it".into()),
            Some(size) if size.bytes > SHORTEST => {
                return refuse(format!(
                    "its shortest value has {} bytes, and {SHORTEST} are the most",
                    size.bytes
                ));
            }
            Some(size) if size.depth > DEPTH => {
                return refuse(format!("its values are over {DEPTH} deep in one another"));
            }
            Some(_) => {}
        }
        Ok(Self { nodes, root, shortest })
    }

    /// Whether a value of a node may begin so deep in others, because its shortest one can.
    fn possible(&self, node: Id, depth: u32) -> bool {
        self.shortest[node]
            .is_some_and(|size| size.bytes <= SHORTEST && depth.saturating_add(size.depth) <= DEPTH)
    }

    fn bytes(&self, node: Id) -> u64 {
        self.shortest[node].map_or(u64::MAX, |size| size.bytes)
    }
}

/// Whether choices lead to themselves, so that following them would not end.
fn has_bare_loop(nodes: &[Node]) -> bool {
    // 0: not seen, 1: on the way, 2: done
    let mut seen = vec![0_u8; nodes.len()];
    for start in 0..nodes.len() {
        let mut way = vec![(start, 0)];
        while let Some((node, next)) = way.pop() {
            let choice = match &nodes[node] {
                Node::Choice(choices) if seen[node] != 2 => choices.get(next).copied(),
                _ => None,
            };
            let Some(choice) = choice else {
                seen[node] = 2;
                continue;
            };
            seen[node] = 1;
            way.push((node, next + 1));
            match seen[choice] {
                1 => return true,
                0 => way.push((choice, 0)),
                _ => {}
            }
        }
    }
    false
}

/// Makes choices of choices choices of values, each named once and in their order. Whoever enters a value then follows one
/// choice and no more, however the schema nests and repeats them. There must be no bare loop.
fn flatten(nodes: &mut [Node], interrupt: &Interrupt<'_>) -> Result<(), Error> {
    // By which choice each node was last met.
    let mut met = vec![Id::MAX; nodes.len()];
    for id in 0..nodes.len() {
        let Node::Choice(choices) = &nodes[id] else { continue };
        interrupt.check()?;
        let mut way: Vec<Id> = choices.iter().rev().copied().collect();
        let mut values = Vec::new();
        while let Some(next) = way.pop() {
            if std::mem::replace(&mut met[next], id) == id {
                continue;
            }
            if let Node::Choice(choices) = &nodes[next] {
                way.extend(choices.iter().rev());
            } else {
                values.push(next);
            }
        }
        nodes[id] = Node::Choice(values);
        check_threads(&nodes[id])?;
    }
    Ok(())
}

/// Refuses a node at which more can come at once than is followed.
fn check_threads(node: &Node) -> Result<(), Error> {
    let message = match node {
        Node::Choice(choices) if choices.len() > THREADS => format!(
            "anyOf has {} alternatives, and {THREADS} are the most: fixed values take one enum",
            choices.len()
        ),
        Node::Record(fields) => {
            let longest = fields.split(|field| field.required).map(<[Field]>::len).max().unwrap_or(0);
            if longest < THREADS {
                return Ok(());
            }
            format!(
                "{longest} properties in a row are not required, and {} are the most: put some into required",
                THREADS - 1
            )
        }
        _ => return Ok(()),
    };
    Err(Error::input("schema", message))
}

#[cfg(test)]
pub(crate) mod tests;
