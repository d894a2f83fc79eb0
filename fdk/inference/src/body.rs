//! Requests that carry a picture or a recording: the bytes themselves, or JSON with base64 in it.

use crate::error::Error;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// With padding or without, as encoders differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads a body: JSON where it begins as an object does, which no picture and no recording does, else the bytes themselves.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8], raw: impl FnOnce(Vec<u8>) -> T) -> Result<T, Error> {
    if body.is_empty() {
        return Err(Error::input(
            "",
            "the body is empty: send the bytes of a file, or JSON with base64 in it",
        ));
    }
    if body.trim_ascii_start().starts_with(b"{") {
        return serde_json::from_slice(body).map_err(|error| Error::input("", error.to_string()));
    }
    Ok(raw(body.to_vec()))
}

/// Base64, as it is or as a data URL.
pub(crate) fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    let data = text
        .strip_prefix("data:")
        .and_then(|url| url.split_once(";base64,"))
        .map_or(&*text, |(_, data)| data);
    BASE64.decode(data).map_err(|error| D::Error::custom(format_args!("not base64: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Debug, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sent {
        #[serde(deserialize_with = "base64")]
        data: Vec<u8>,
    }

    fn sent(body: &str) -> Result<Vec<u8>, String> {
        read(body.as_bytes(), |data| Sent { data }).map(|sent| sent.data).map_err(|error| error.to_string())
    }

    #[test]
    fn bytes_come_raw_or_in_json() {
        for body in ["abc", "{\"data\": \"YWJj\"}", " {\"data\": \"data:image/png;base64,YWJj\"}"] {
            assert_eq!(sent(body).unwrap(), b"abc", "{body}");
        }
        assert_eq!(sent("{\"data\": \"YWI\"}").unwrap(), b"ab");
        assert!(sent("").unwrap_err().starts_with("the body is empty"));
        assert!(sent("{\"data\": \"?\"}").unwrap_err().starts_with("not base64: "));
        assert!(sent("{\"date\": \"\"}").unwrap_err().starts_with("unknown field `date`"));
    }
}
