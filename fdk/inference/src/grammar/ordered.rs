//! JSON with the fields of its objects in the order in which they stand: a reply's properties come as its schema has them.

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::fmt;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ordered {
    /// Neither a list nor an object.
    Value(Value),
    List(Vec<Self>),
    Fields(Vec<(String, Self)>),
}

impl Ordered {
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Value(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// What a JSON pointer (RFC 6901) names.
    pub(super) fn at(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |value, part| {
            let part = part.replace("~1", "/").replace("~0", "~");
            match value {
                Self::Fields(fields) => fields.iter().find(|(key, _)| *key == part).map(|(_, value)| value),
                Self::List(values) => values.get(part.parse::<usize>().ok()?),
                Self::Value(_) => None,
            }
        })
    }

    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::List(values) => values.iter().map(Self::to_value).collect(),
            Self::Fields(fields) => {
                fields.iter().map(|(key, value)| (key.clone(), value.to_value())).collect()
            }
        }
    }
}

impl From<Value> for Ordered {
    fn from(value: Value) -> Self {
        match value {
            Value::Array(values) => Self::List(values.into_iter().map(Into::into).collect()),
            Value::Object(fields) => {
                Self::Fields(fields.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
            other => Self::Value(other),
        }
    }
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Ordered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON schema")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Ordered, E> {
        Ok(Ordered::Value(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Ordered, E> {
        Ok(Ordered::Value(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Ordered, E> {
        Ok(Ordered::Value(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Ordered, E> {
        Ok(Ordered::Value(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Ordered, E> {
        Ok(Ordered::Value(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Ordered, E> {
        Ok(Ordered::Value(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ordered, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Ordered::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
        let mut fields: Vec<(String, Ordered)> = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Ordered>()? {
            // Of two the last counts, as everywhere in JSON.
            match fields.iter_mut().find(|(there, _)| *there == key) {
                Some(field) => field.1 = value,
                None => fields.push((key, value)),
            }
        }
        Ok(Ordered::Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept() {
        let text = r#"{"z": [1, {"b": null, "a": 2.5}], "a~/": true, "a": "t"}"#;
        let ordered: Ordered = serde_json::from_str(text).unwrap();
        let Ordered::Fields(fields) = &ordered else { panic!() };
        assert_eq!(fields.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["z", "a~/", "a"]);
        assert_eq!(ordered.at("/z/1/a"), Some(&Ordered::Value(2.5.into())));
        assert_eq!(ordered.at("/a~0~1"), Some(&Ordered::Value(true.into())));
        assert_eq!((ordered.at(""), ordered.at("/y")), (Some(&ordered), None));
        assert_eq!(ordered.to_value(), serde_json::from_str::<Value>(text).unwrap());
    }
}
