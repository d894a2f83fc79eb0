//! An RSA public key, as a JWK carries it (RFC 7518, section 6.3.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::Value;

/// Modulus and exponent, big-endian, without leading zeros: equal keys are equal bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    n: Vec<u8>,
    e: Vec<u8>,
}

impl PublicKey {
    pub(crate) fn new(n: &[u8], e: &[u8]) -> Self {
        Self { n: without_leading_zeros(n).to_vec(), e: without_leading_zeros(e).to_vec() }
    }

    /// Reads a JWK; the error says what is wrong with it.
    pub(crate) fn from_jwk(jwk: &Value) -> Result<Self, &'static str> {
        let text = |name| jwk.get(name).and_then(Value::as_str);
        if text("kty") != Some("RSA") {
            return Err("is not an RSA key");
        }
        let number = |name| {
            // Java's writer may leave padding, and a sign byte that `new` drops.
            text(name)
                .and_then(|value| URL_SAFE_NO_PAD.decode(value.trim_end_matches('=')).ok())
                .filter(|bytes| bytes.iter().any(|byte| *byte != 0))
        };
        match (number("n"), number("e")) {
            (Some(n), Some(e)) => Ok(Self::new(&n, &e)),
            _ => Err("lacks a modulus (n) or an exponent (e) in base64url"),
        }
    }

    /// RSASSA-PKCS1-v1_5 over SHA-256. Nothing here is secret, so nothing needs constant time.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        RsaPublicKeyComponents { n: &self.n, e: &self.e }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .is_ok()
    }
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sign_byte_and_padding_do_not_make_another_key() {
        let plain = PublicKey::from_jwk(&json!({"kty": "RSA", "n": "gQ", "e": "AQAB"})).unwrap();
        let signed = PublicKey::from_jwk(&json!({"kty": "RSA", "n": "AIE=", "e": "AAEAAQ"})).unwrap();
        assert_eq!(plain, signed);
    }

    #[test]
    fn what_is_not_an_rsa_key_is_refused() {
        for jwk in [json!(null), json!("text"), json!({"kty": "EC", "crv": "P-256"})] {
            assert_eq!(PublicKey::from_jwk(&jwk), Err("is not an RSA key"));
        }
        for jwk in [json!({"kty": "RSA", "n": "gQ"}), json!({"kty": "RSA", "n": "AA", "e": "AQAB"})] {
            assert_eq!(PublicKey::from_jwk(&jwk), Err("lacks a modulus (n) or an exponent (e) in base64url"));
        }
    }
}
