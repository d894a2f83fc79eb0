//! A JSON schema → the nodes of a grammar. What a schema says beyond them is refused by name, never left out.

use super::number::{Bound, Numbers};
use super::ordered::Ordered;
use super::text::Texts;
use super::{Field, Id, Literals, Node, SHORTEST};
use crate::error::Error;
use crate::interrupt::Interrupt;
use serde_json::{Number, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The keywords that are obeyed.
pub(super) const KEYWORDS: [&str; 19] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minItems",
    "maxItems",
    "enum",
    "const",
    "anyOf",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "$ref",
    "$defs",
    "definitions",
];
/// Those that say nothing of what is valid.
const NOTES: [&str; 9] = [
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$schema",
    "$comment",
];
/// The most nodes that a schema may become.
const NODES: usize = 4096;
/// How deep schemas may be in one another: compiling one takes some stack for each.
const LEVELS: usize = 64;
/// The most that a count may be.
const COUNT: u64 = 1 << 20;

/// The nodes of a schema, and which of them is its root.
pub(super) fn compile(schema: &Ordered, interrupt: &Interrupt<'_>) -> Result<(Vec<Node>, Id), Error> {
    let (nodes, references) = (Vec::new(), BTreeMap::new());
    let mut compiler = Compiler { root: schema, nodes, references, any: None, depth: 0, interrupt };
    let root = compiler.schema(schema, "schema")?;
    Ok((compiler.nodes, root))
}

struct Compiler<'s> {
    root: &'s Ordered,
    nodes: Vec<Node>,
    references: BTreeMap<String, Id>,
    /// The node of any value.
    any: Option<Id>,
    /// How many schemas are being compiled, each within the one before.
    depth: usize,
    /// Asked before each.
    interrupt: &'s Interrupt<'s>,
}

type Fields<'s> = &'s [(String, Ordered)];

fn get<'s>(fields: Fields<'s>, name: &str) -> Option<&'s Ordered> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn refuse<T>(place: &str, message: impl Into<String>) -> Result<T, Error> {
    Err(Error::input(place, message))
}

impl<'s> Compiler<'s> {
    fn add(&mut self, node: Node) -> Result<Id, Error> {
        if self.nodes.len() == NODES {
            return refuse("schema", format!("the schema is too large: it has over {NODES} parts"));
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    fn schema(&mut self, schema: &'s Ordered, place: &str) -> Result<Id, Error> {
        if self.depth == LEVELS {
            let message = format!(
                "schemas are over {LEVELS} deep in one another here; what a $ref leads to counts as within it"
            );
            return refuse(place, message);
        }
        self.interrupt.check()?;
        self.depth += 1;
        let id = self.within(schema, place)?;
        self.depth -= 1;
        Ok(id)
    }

    fn within(&mut self, schema: &'s Ordered, place: &str) -> Result<Id, Error> {
        let fields = match schema {
            Ordered::Fields(fields) => fields.as_slice(),
            Ordered::Value(Value::Bool(true)) => return self.any(),
            Ordered::Value(Value::Bool(false)) => return refuse(place, "no value fits it"),
            _ => return refuse(place, "a schema is an object, or true"),
        };
        let known = |key: &str| KEYWORDS.contains(&key) || NOTES.contains(&key);
        if let Some((key, _)) = fields.iter().find(|(key, _)| !known(key)) {
            let message =
                format!("the keyword {key} is not supported; supported are {}", KEYWORDS.join(", "));
            return refuse(&format!("{place}.{key}"), message);
        }
        // Those that say what the whole value is stand alone, so that nothing is said twice.
        for alone in ["$ref", "anyOf", "const", "enum"] {
            let Some(value) = get(fields, alone) else { continue };
            let typed = matches!(alone, "const" | "enum");
            let beside = fields.iter().map(|(key, _)| key.as_str()).find(|key| {
                let definitions = matches!(*key, "$defs" | "definitions");
                *key != alone && !NOTES.contains(key) && !definitions && (!typed || *key != "type")
            });
            if let Some(beside) = beside {
                return refuse(
                    &format!("{place}.{beside}"),
                    format!("{beside} beside {alone} is not supported"),
                );
            }
            let place = format!("{place}.{alone}");
            return match alone {
                "$ref" => self.reference(value, &place),
                "anyOf" => self.any_of(value, &place),
                _ => self.literals(value, alone == "const", get(fields, "type"), &place),
            };
        }
        match get(fields, "type") {
            None => self.untyped(fields, place),
            Some(kinds) => {
                let place = format!("{place}.type");
                let mut names = match kinds {
                    Ordered::Value(Value::String(name)) => vec![name.as_str()],
                    Ordered::List(names) => names.iter().map(|name| name.as_str().unwrap_or("")).collect(),
                    _ => vec![],
                };
                // What a name makes is made once, however often the name is there.
                let mut seen = BTreeSet::new();
                names.retain(|name| seen.insert(*name));
                let mut choices = Vec::new();
                for name in &names {
                    choices.push(self.typed(name, fields, place.strip_suffix(".type").unwrap_or(&place))?);
                }
                self.choice(choices, &place)
            }
        }
    }

    fn choice(&mut self, mut choices: Vec<Id>, place: &str) -> Result<Id, Error> {
        match choices.len() {
            0 => refuse(place, "it names nothing that there could be"),
            1 => Ok(choices.remove(0)),
            _ => self.add(Node::Choice(choices)),
        }
    }

    /// Without a type, the keywords tell it.
    fn untyped(&mut self, fields: Fields<'s>, place: &str) -> Result<Id, Error> {
        let has = |keys: &[&str]| keys.iter().any(|key| get(fields, key).is_some());
        let kind = if has(&["properties", "required", "additionalProperties"]) {
            "object"
        } else if has(&["items", "minItems", "maxItems"]) {
            "array"
        } else if has(&["minLength", "maxLength"]) {
            "string"
        } else if has(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]) {
            "number"
        } else {
            return self.any();
        };
        self.typed(kind, fields, place)
    }

    fn typed(&mut self, kind: &str, fields: Fields<'s>, place: &str) -> Result<Id, Error> {
        match kind {
            "string" => {
                let (least, most) = counts(fields, "minLength", "maxLength", place)?;
                self.add(Node::Text(Texts { least, most: most.unwrap_or(u32::MAX) }))
            }
            "number" | "integer" => {
                let bounds = |keys: [(&str, bool); 2]| {
                    let mut bounds: Vec<(Number, bool)> = Vec::new();
                    for (key, included) in keys {
                        match get(fields, key) {
                            None => {}
                            Some(Ordered::Value(Value::Number(number))) => {
                                bounds.push((number.clone(), included));
                            }
                            Some(_) => return refuse(&format!("{place}.{key}"), "it is no number"),
                        }
                    }
                    Ok(bounds)
                };
                let least = bounds([("minimum", true), ("exclusiveMinimum", false)])?;
                let most = bounds([("maximum", true), ("exclusiveMaximum", false)])?;
                let numbers = numbers(kind == "integer", &least, &most);
                self.add(Node::Number(numbers.map_err(|why| Error::input(place, why))?))
            }
            "boolean" => {
                self.add(Node::Literals(Literals::new(vec![b"false"[..].into(), b"true"[..].into()])))
            }
            "null" => self.add(Node::Literals(Literals::new(vec![b"null"[..].into()]))),
            "array" => {
                let (least, most) = counts(fields, "minItems", "maxItems", place)?;
                let item = match get(fields, "items") {
                    None => self.any()?,
                    Some(items) => self.schema(items, &format!("{place}.items"))?,
                };
                self.add(Node::List { item, least, most: most.unwrap_or(u32::MAX) })
            }
            "object" => self.object(fields, place),
            other => refuse(
                &format!("{place}.type"),
                format!(
                    "there is no type '{other}': one of string, number, integer, boolean, null, array, object"
                ),
            ),
        }
    }

    /// Properties come in the order of the schema; others only where it names none.
    fn object(&mut self, fields: Fields<'s>, place: &str) -> Result<Id, Error> {
        let properties: Fields<'s> = match get(fields, "properties") {
            None => &[],
            Some(Ordered::Fields(properties)) => properties,
            Some(_) => return refuse(&format!("{place}.properties"), "it is no object"),
        };
        let mut required = BTreeSet::new();
        match get(fields, "required") {
            None => {}
            Some(Ordered::List(names)) if names.iter().all(|name| name.as_str().is_some()) => {
                required.extend(names.iter().filter_map(Ordered::as_str));
            }
            Some(_) => return refuse(&format!("{place}.required"), "it is no list of names"),
        }
        let others = get(fields, "additionalProperties");
        let others_place = format!("{place}.additionalProperties");
        let closed = matches!(others, Some(Ordered::Value(Value::Bool(false))));
        let mut entries = Vec::new();
        for (name, schema) in properties {
            let node = self.schema(schema, &format!("{place}.properties.{name}"))?;
            let is_required = required.remove(name.as_str());
            entries.push(field(name, node, is_required));
        }
        // All that is required and not described has one node: what is in the schema once is compiled once.
        let mut other = None;
        for name in required {
            if closed {
                return refuse(&format!("{place}.required"), format!("'{name}' is required and not allowed"));
            }
            let node = match (other, others) {
                (Some(node), _) => node,
                (None, None) => self.any()?,
                (None, Some(schema)) => self.schema(schema, &others_place)?,
            };
            other = Some(node);
            entries.push(field(name, node, true));
        }
        if entries.is_empty() && !closed {
            let value = match others {
                None => self.any()?,
                Some(schema) => self.schema(schema, &others_place)?,
            };
            return self.add(Node::Map(value));
        }
        self.add(Node::Record(entries))
    }

    /// Any value at all.
    fn any(&mut self) -> Result<Id, Error> {
        if let Some(any) = self.any {
            return Ok(any);
        }
        let any = self.add(Node::Choice(Vec::new()))?;
        self.any = Some(any);
        let numbers = Numbers::within(false, &[], &[]).map_err(|why| Error::input("schema", why))?;
        let literals = [&b"false"[..], b"null", b"true"].map(Into::into).to_vec();
        let mut choices = Vec::new();
        for node in [
            Node::Text(Texts::ANY),
            Node::Number(numbers),
            Node::Literals(Literals::new(literals)),
            Node::List { item: any, least: 0, most: u32::MAX },
            Node::Map(any),
        ] {
            choices.push(self.add(node)?);
        }
        self.nodes[any] = Node::Choice(choices);
        Ok(any)
    }

    fn any_of(&mut self, value: &'s Ordered, place: &str) -> Result<Id, Error> {
        let Ordered::List(schemas) = value else { return refuse(place, "it is no list of schemas") };
        let mut choices = Vec::new();
        for (index, schema) in schemas.iter().enumerate() {
            choices.push(self.schema(schema, &format!("{place}[{index}]"))?);
        }
        self.choice(choices, place)
    }

    fn literals(
        &mut self,
        value: &Ordered,
        one: bool,
        kind: Option<&Ordered>,
        place: &str,
    ) -> Result<Id, Error> {
        let values: Vec<Value> = match value {
            _ if one => vec![value.to_value()],
            Ordered::List(values) => values.iter().map(Ordered::to_value).collect(),
            _ => return refuse(place, "it is no list of values"),
        };
        let kinds: Vec<&str> = match kind {
            None => Vec::new(),
            Some(Ordered::List(kinds)) => kinds.iter().filter_map(Ordered::as_str).collect(),
            Some(kind) => kind.as_str().into_iter().collect(),
        };
        let is = |value: &Value, kind: &str| match kind {
            "string" => value.is_string(),
            "number" => value.is_number(),
            "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        };
        let fits = |value: &&Value| kind.is_none() || kinds.iter().any(|kind| is(value, kind));
        let literals = Literals::new(
            values.iter().filter(fits).map(|value| value.to_string().into_bytes().into()).collect(),
        );
        if literals.texts.is_empty() {
            return refuse(place, "no value of it fits its type");
        }
        if literals.texts.len() > NODES {
            return refuse(place, format!("{} values are more than {NODES}", literals.texts.len()));
        }
        let longest = literals.texts.iter().map(|text| text.len()).max().unwrap_or_default();
        if longest as u64 > SHORTEST {
            return refuse(place, format!("a value has {longest} bytes, and {SHORTEST} are the most"));
        }
        self.add(Node::Literals(literals))
    }

    fn reference(&mut self, value: &Ordered, place: &str) -> Result<Id, Error> {
        let Some(pointer) = value.as_str() else { return refuse(place, "it is no text") };
        if let Some(id) = self.references.get(pointer) {
            return Ok(*id);
        }
        let Some(target) = pointer.strip_prefix('#').and_then(|pointer| self.root.at(pointer)) else {
            return refuse(place, format!("there is no '{pointer}' in the schema"));
        };
        // What refers to itself finds this.
        let id = self.add(Node::Choice(Vec::new()))?;
        self.references.insert(pointer.to_owned(), id);
        let node = self.schema(target, place)?;
        self.nodes[id] = Node::Choice(vec![node]);
        Ok(id)
    }
}

fn numbers(integer: bool, least: &[(Number, bool)], most: &[(Number, bool)]) -> Result<Numbers, String> {
    fn bounds(bounds: &[(Number, bool)]) -> Vec<Bound<'_>> {
        bounds.iter().map(|(number, included)| Bound { number, included: *included }).collect()
    }
    Numbers::within(integer, &bounds(least), &bounds(most))
}

fn field(name: &str, node: Id, required: bool) -> Field {
    let mut key = Value::from(name).to_string().into_bytes();
    key.extend(b": ");
    Field { key: key.into(), node, required }
}

fn counts(fields: Fields<'_>, least: &str, most: &str, place: &str) -> Result<(u32, Option<u32>), Error> {
    let count = |key: &str| match get(fields, key) {
        None => Ok(None),
        Some(Ordered::Value(Value::Number(number))) => {
            // A whole number may be written as 2.0.
            let whole = number.as_u64().or_else(|| {
                let float =
                    number.as_f64().filter(|float| float.fract() == 0.0 && (0.0..1e9).contains(float));
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "it is whole and small"
                )]
                float.map(|float| float as u64)
            });
            match whole {
                Some(count) => Ok(Some(count.min(COUNT) as u32)),
                None => refuse(&format!("{place}.{key}"), format!("{number} is no count")),
            }
        }
        Some(_) => refuse(&format!("{place}.{key}"), "it is no count"),
    };
    let (low, high) = (count(least)?.unwrap_or(0), count(most)?);
    if high.is_some_and(|high| high < low) {
        return refuse(&format!("{place}.{most}"), format!("{most} is less than {least}: no value fits"));
    }
    Ok((low, high))
}
