//! An RSA public key, as a JWK carries it (RFC 7518, section 6.3.1) and as a PEM file does.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use md5::{Digest, Md5};
use pkcs8::der::asn1::{BitStringRef, Null, UintRef};
use pkcs8::der::{Decode, Encode};
use pkcs8::spki::{AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};

use crate::pem;

/// The public half of a key pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    // Big-endian, without leading zeros: equal keys are equal bytes.
    n: Vec<u8>,
    e: Vec<u8>,
}

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

impl PublicKey {
    pub(crate) fn new(n: &[u8], e: &[u8]) -> Self {
        Self { n: without_leading_zeros(n).to_vec(), e: without_leading_zeros(e).to_vec() }
    }

    /// Reads a `PUBLIC KEY` in PEM, as `openssl pkey -pubout` writes it; `None` when the text is not an RSA one.
    pub fn from_pem(text: &str) -> Option<Self> {
        let pem = pem::first_block(text).ok().filter(|pem| pem.label == "PUBLIC KEY")?;
        let info = SubjectPublicKeyInfoRef::from_der(&pem.der).ok()?;
        if info.algorithm.oid != RSA_ENCRYPTION {
            return None;
        }
        let numbers = Vec::<UintRef<'_>>::from_der(info.subject_public_key.as_bytes()?).ok()?;
        Some(Self::new(numbers.first()?.as_bytes(), numbers.get(1)?.as_bytes()))
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

    /// The key as a JWK, with nothing but its type and its numbers.
    pub fn to_jwk(&self) -> Value {
        json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(&self.n), "e": URL_SAFE_NO_PAD.encode(&self.e)})
    }

    /// The fingerprint OCI shows for a key: the MD5 of its DER, in pairs of digits. A name, not a protection.
    pub fn fingerprint(&self) -> Option<String> {
        let pairs: Vec<String> =
            Md5::digest(self.to_der()?).iter().map(|byte| format!("{byte:02x}")).collect();
        Some(pairs.join(":"))
    }

    /// `SubjectPublicKeyInfo` (RFC 5280), the form fingerprints are made of.
    pub(crate) fn to_der(&self) -> Option<Vec<u8>> {
        let numbers = [UintRef::new(&self.n).ok()?, UintRef::new(&self.e).ok()?].to_der().ok()?;
        let algorithm = AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(Null.into()) };
        let key = BitStringRef::from_bytes(&numbers).ok()?;
        SubjectPublicKeyInfoRef { algorithm, subject_public_key: key }.to_der().ok()
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
        assert_eq!(PublicKey::from_pem("-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----"), None);
    }

    #[test]
    fn a_jwk_round_trips() {
        let key = PublicKey::new(&[0x81; 256], &[1, 0, 1]);
        assert_eq!(PublicKey::from_jwk(&key.to_jwk()), Ok(key));
    }
}
