//! The `authorization` header of a signed request, taken apart.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::sign::is_key_id;

/// Its parameters, which come in any order: the SDKs for Python, Go and Java each have their own.
pub(crate) struct Authorization<'a> {
    pub(crate) key_id: &'a str,
    /// Lower case, each once, in the order signed.
    pub(crate) headers: Vec<&'a str>,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Authorization<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, Fault> {
        let mut rest = text.strip_prefix("Signature ").ok_or(Fault::Scheme)?;
        let (mut version, mut key_id, mut algorithm, mut headers, mut signature) =
            (None, None, None, None, None);
        loop {
            let (name, value, after) = parameter(rest).ok_or(Fault::Form)?;
            let slot = match name {
                "version" => &mut version,
                "keyId" => &mut key_id,
                "algorithm" => &mut algorithm,
                "headers" => &mut headers,
                "signature" => &mut signature,
                // Ignoring it could mean ignoring a condition the sender relies on.
                _ => return Err(Fault::Unknown),
            };
            if slot.replace(value).is_some() {
                return Err(Fault::Twice);
            }
            match after.strip_prefix(',') {
                Some(after) => rest = after.trim_start_matches(' '),
                None if after.is_empty() => break,
                None => return Err(Fault::Form),
            }
        }
        if version.is_some_and(|version| version != "1") {
            return Err(Fault::Version);
        }
        if algorithm != Some("rsa-sha256") {
            return Err(Fault::Algorithm);
        }
        let signature = STANDARD.decode(signature.ok_or(Fault::Missing("signature"))?);
        Ok(Self {
            key_id: key_id.filter(|key_id| is_key_id(key_id)).ok_or(Fault::Missing("keyId"))?,
            headers: header_names(headers.ok_or(Fault::Missing("headers"))?)?,
            signature: signature.map_err(|_| Fault::Base64)?,
        })
    }

    pub(crate) fn covers(&self, name: &str) -> bool {
        self.headers.contains(&name)
    }
}

/// `name="value"`, and what follows.
fn parameter(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once("=\"")?;
    let (value, rest) = rest.split_once('"')?;
    Some((name, value, rest))
}

fn header_names(text: &str) -> Result<Vec<&str>, Fault> {
    let mut names = Vec::new();
    for name in text.split(' ') {
        // Lower case by the rules; any other spelling could be a second look at the same header.
        let is_lower = !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase());
        if !is_lower || names.contains(&name) {
            return Err(Fault::HeaderNames);
        }
        names.push(name);
    }
    Ok(names)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Scheme,
    Form,
    Unknown,
    Twice,
    Version,
    Algorithm,
    Missing(&'static str),
    HeaderNames,
    Base64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("its scheme is not Signature"),
            Self::Form => f.write_str("its parameters are not a list of name=\"value\""),
            Self::Unknown => f.write_str("it has a parameter that version does not know"),
            Self::Twice => f.write_str("it has a parameter twice"),
            Self::Version => f.write_str("its version is not 1"),
            Self::Algorithm => f.write_str("its algorithm is not rsa-sha256"),
            Self::Missing(name) => write!(f, "it has no {name}"),
            Self::HeaderNames => f.write_str("its headers are not lower-case names, each once"),
            Self::Base64 => f.write_str("its signature is not base64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Option<Fault> {
        Authorization::parse(text).err()
    }

    #[test]
    fn the_order_of_every_sdk_is_read() {
        let (version, algorithm) = ("version=\"1\"", "algorithm=\"rsa-sha256\"");
        let (headers, key, signature) = ("headers=\"date host\"", "keyId=\"a/b/c\"", "signature=\"AAAA\"");
        for order in [
            [algorithm, headers, key, signature, version], // Python
            [version, headers, key, algorithm, signature], // Go
            [headers, key, algorithm, signature, version], // Java
        ] {
            for separator in [",", ", "] {
                let text = format!("Signature {}", order.join(separator));
                let parsed = Authorization::parse(&text).unwrap();
                assert_eq!(
                    (parsed.key_id, parsed.headers.as_slice()),
                    ("a/b/c", ["date", "host"].as_slice())
                );
                assert_eq!(parsed.signature, [0, 0, 0]);
            }
        }
    }

    #[test]
    fn a_missing_version_is_the_current_one() {
        let text = "Signature headers=\"date\",keyId=\"a\",algorithm=\"rsa-sha256\",signature=\"AAAA\"";
        assert_eq!(fault(text), None);
    }

    #[test]
    fn each_fault_is_told_apart() {
        let with = |changed: &str| {
            let rest = "algorithm=\"rsa-sha256\",headers=\"date\",signature=\"AAAA\",keyId=\"a\"";
            fault(&format!("Signature {}", changed.replace('*', rest)))
        };
        assert_eq!(with("*"), None);
        assert_eq!(fault("Bearer x"), Some(Fault::Scheme));
        assert_eq!(fault("signature keyId=\"a\""), Some(Fault::Scheme));
        for form in ["", "keyId", "keyId=a", "*,", "*;version=\"1\"", "keyId=\"a"] {
            assert_eq!(with(form), Some(Fault::Form), "{form}");
        }
        assert_eq!(with("*,created=\"1\""), Some(Fault::Unknown));
        assert_eq!(with("*,keyId=\"b\""), Some(Fault::Twice));
        assert_eq!(with("*,version=\"2\""), Some(Fault::Version));
        assert_eq!(with("algorithm=\"hs2019\",keyId=\"a\""), Some(Fault::Algorithm));
        assert_eq!(with("keyId=\"a\""), Some(Fault::Algorithm));
        let rsa = "algorithm=\"rsa-sha256\"";
        assert_eq!(with(&format!("{rsa},keyId=\"a\"")), Some(Fault::Missing("signature")));
        assert_eq!(with(&format!("{rsa},signature=\"AAAA\"")), Some(Fault::Missing("keyId")));
        assert_eq!(with(&format!("{rsa},signature=\"AAAA\",keyId=\"a\"")), Some(Fault::Missing("headers")));
        let signed = format!("{rsa},signature=\"AAAA\",keyId=\"a\"");
        for names in ["", "date  host", "Date", "date date", " date"] {
            assert_eq!(with(&format!("{signed},headers=\"{names}\"")), Some(Fault::HeaderNames), "{names}");
        }
        for noise in ["AAA", "AAA=A", "AA A", "AAB="] {
            let text = format!("{rsa},headers=\"date\",keyId=\"a\",signature=\"{noise}\"");
            assert_eq!(with(&text), Some(Fault::Base64), "{noise}");
        }
    }
}
