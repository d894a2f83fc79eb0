//! Secrets.

use super::error::Kind;
use super::{Client, ClientError, segment};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::fmt;
use zeroize::Zeroizing;

/// A secret's content holds at most 25 KB; its bundle is a little more.
const LONGEST_BUNDLE: u64 = 256 * 1024;

/// The content of a secret. It is erased when dropped, and `Debug` does not show it.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The content.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The content as text; `None` when it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

impl Client {
    /// The current version of a secret, by its OCID. The function needs the permission `SECRET_BUNDLE_READ`: `Allow
    /// dynamic-group D to read secret-bundles in compartment C where target.secret.id='ocid1.vaultsecret…'`.
    pub fn secret(&self, id: &str) -> Result<Secret, ClientError> {
        let what = format!("secret {id}");
        let path = format!("/20190301/secretbundles/{}", segment(id));
        let mut body = self.get(&what, &self.vault, &path, &[])?.into_body();
        let wrong = |why| ClientError::new(&what, Kind::Reply(why));
        let text = body.with_config().limit(LONGEST_BUNDLE).read_to_vec();
        let text = Zeroizing::new(text.map_err(|error| ClientError::new(&what, Kind::Transport(error)))?);
        let mut bundle: Value = serde_json::from_slice(&text).map_err(|_| wrong("the reply is no JSON"))?;
        let content = bundle.pointer_mut("/secretBundleContent/content").map(Value::take);
        let Some(Value::String(content)) = content else { return Err(wrong("the reply holds no content")) };
        let content = Zeroizing::new(content);
        let decoded = STANDARD.decode(content.as_bytes()).map_err(|_| wrong("its content is not base64"))?;
        Ok(Secret(Zeroizing::new(decoded)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = Secret(Zeroizing::new(b"open sesame".to_vec()));
        assert_eq!(secret.text(), Some("open sesame"));
        assert_eq!(format!("{secret:?}"), "Secret(11 bytes)");
    }
}
