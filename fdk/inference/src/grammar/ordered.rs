//! JSON with the fields of its objects in the order in which they stand: a reply's properties come as its schema has them.

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

/// The most values of a schema, all that are in one another: what is looked up in it is looked for among as many.
const VALUES: usize = 32_768;
/// The most bytes of a name: places, which errors tell, are made of them.
const NAME_BYTES: usize = 256;

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
        Reader(&Cell::new(VALUES)).deserialize(deserializer)
    }
}

/// Reads a value, while there are so many left.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Ordered;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Ordered, D::Error> {
        let Some(left) = self.0.get().checked_sub(1) else {
            let message =
                format_args!("the schema has over {VALUES} values: take out what it can do without");
            return Err(D::Error::custom(message));
        };
        self.0.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
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
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Ordered::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
        let mut fields: Vec<(String, Ordered)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if key.len() > NAME_BYTES {
                let message =
                    format_args!("a name has {} bytes and may have {NAME_BYTES}: shorten it", key.len());
                return Err(A::Error::custom(message));
            }
            let value = map.next_value_seed(self)?;
            // Of two the last counts, as everywhere in JSON.
            match places.entry(key) {
                Entry::Occupied(place) => fields[*place.get()].1 = value,
                Entry::Vacant(place) => {
                    fields.push((place.key().clone(), value));
                    place.insert(fields.len() - 1);
                }
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

    #[test]
    fn of_two_fields_of_a_name_the_last_counts() {
        let ordered: Ordered = serde_json::from_str(r#"{"a": 1, "b": 2, "a": 3}"#).unwrap();
        assert_eq!(ordered.to_value().to_string(), r#"{"a":3,"b":2}"#);
    }

    #[test]
    fn how_much_there_may_be_is_said() {
        let message = |text: &str| serde_json::from_str::<Ordered>(text).unwrap_err().to_string();
        let list = |count: usize| format!("[[{}]]", vec!["0"; count].join(","));
        assert!(serde_json::from_str::<Ordered>(&list(VALUES - 2)).is_ok());
        let many = message(&list(VALUES - 1));
        assert!(
            many.starts_with("the schema has over 32768 values: take out what it can do without"),
            "{many}"
        );
        let named = |bytes: usize| format!("{{\"{}\": 0}}", "n".repeat(bytes));
        assert!(serde_json::from_str::<Ordered>(&named(256)).is_ok());
        let long = message(&named(257));
        assert!(long.starts_with("a name has 257 bytes and may have 256: shorten it"), "{long}");
    }
}
