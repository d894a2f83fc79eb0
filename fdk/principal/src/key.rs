//! The private key of a principal: RSA, 2048 to 4096 bits, PKCS#1 or PKCS#8, in PEM.

use std::fmt;

use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{Decode, Reader, SliceReader};
use pkcs8::pkcs5::pbes2::Kdf;
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{EncryptedPrivateKeyInfoRef, pkcs5};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use zeroize::Zeroizing;

use crate::error::Origin;
use crate::pem;
use crate::public_key::PublicKey;

/// A private key that can sign.
///
/// What is read and decrypted on the way here is zeroised; the copy `ring` keeps for signing is not, since `ring`
/// offers no way to.
pub(crate) struct PrivateKey {
    pair: KeyPair,
    public: PublicKey,
}

impl PrivateKey {
    /// Reads a PEM text; the passphrase is used only when the key is encrypted.
    pub(crate) fn from_pem(text: &str, passphrase: Option<&str>) -> Result<Self, Fault> {
        let pem = pem::first_block(text)?;
        let pair = match pem.label {
            "PRIVATE KEY" => KeyPair::from_pkcs8(&pem.der).map_err(Fault::from_ring)?,
            "RSA PRIVATE KEY" => KeyPair::from_der(&pem.der).map_err(Fault::from_ring)?,
            "ENCRYPTED PRIVATE KEY" => decrypt(&pem.der, passphrase)?,
            "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => return Err(Fault::NotPrivate),
            label if label.ends_with("PRIVATE KEY") => return Err(Fault::Type("it is not an RSA key")),
            _ => return Err(Fault::NotPrivate),
        };
        let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        Ok(Self { pair, public: PublicKey::new(&n, &e) })
    }

    /// RSASSA-PKCS1-v1_5 over SHA-256; `None` when the key turns out to be unusable.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        // The randomness only blinds the computation; the signature is the same every time.
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(signature)
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }
}

/// PKCS#8 under PBES2; what OpenSSL writes since 2010.
fn decrypt(der: &[u8], passphrase: Option<&str>) -> Result<KeyPair, Fault> {
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| {
        if is_encrypted_key(der) {
            Fault::EncryptionUnsupported
        } else {
            Fault::Malformed("it is not a PKCS#8 structure")
        }
    })?;
    let passphrase = passphrase.ok_or(Fault::NoPassphrase)?;
    if !is_affordable(&encrypted) {
        return Err(Fault::TooCostly);
    }
    let plain = encrypted.decrypt(passphrase).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(
            pkcs5::Error::NoPbes1CryptSupport
            | pkcs5::Error::UnsupportedAlgorithm { .. }
            | pkcs5::Error::AlgorithmParametersInvalid { .. },
        ) => Fault::EncryptionUnsupported,
        _ => Fault::DecryptFailed,
    })?;
    KeyPair::from_pkcs8(plain.as_bytes()).map_err(|error| match Fault::from_ring(error) {
        // A wrong passphrase leaves valid padding once in 256 times, and noise behind it.
        Fault::Malformed(_) => Fault::DecryptFailed,
        other => other,
    })
}

/// Whether the passphrase's hash takes seconds at most, and memory a small function has: the file says how much work it
/// is, and whoever can write the file must not be able to hang the start. OpenSSL writes 2,048 rounds, or a cost of 16,384.
fn is_affordable(encrypted: &EncryptedPrivateKeyInfoRef<'_>) -> bool {
    const ROUNDS: u32 = 10_000_000;
    const SCRYPT_BYTES: u64 = 64 * 1024 * 1024;
    const SCRYPT_LANES: u16 = 16;
    match encrypted.encryption_algorithm.pbes2().map(|parameters| &parameters.kdf) {
        Some(Kdf::Pbkdf2(kdf)) => kdf.iteration_count <= ROUNDS,
        Some(Kdf::Scrypt(kdf)) => {
            let bytes = kdf.cost_parameter.saturating_mul(u64::from(kdf.block_size)).saturating_mul(128);
            bytes <= SCRYPT_BYTES && kdf.parallelization <= SCRYPT_LANES
        }
        // Unknown or none: `decrypt` refuses it.
        _ => true,
    }
}

/// True for the outer form, some algorithm and some bytes, whatever the algorithm.
fn is_encrypted_key(der: &[u8]) -> bool {
    let parse = |mut reader: SliceReader<'_>| {
        reader.sequence(|body| {
            AlgorithmIdentifierRef::decode(body)?;
            <&OctetStringRef>::decode(body)?;
            Ok::<_, pkcs8::der::Error>(())
        })
    };
    SliceReader::new(der).and_then(parse).is_ok()
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({} bits)", self.pair.public().modulus_len() * 8)
    }
}

/// What is wrong with a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Malformed(&'static str),
    NotPrivate,
    NoPassphrase,
    DecryptFailed,
    EncryptionUnsupported,
    TooCostly,
    Type(&'static str),
    TooSmall,
}

impl Fault {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::NotPrivate => "key_malformed",
            Self::NoPassphrase => "key_encrypted_no_passphrase",
            Self::DecryptFailed => "key_decrypt_failed",
            Self::EncryptionUnsupported | Self::TooCostly => "key_encrypted_unsupported",
            Self::Type(_) => "key_type_unsupported",
            Self::TooSmall => "key_too_small",
        }
    }

    pub(crate) fn may_be_half_written(self) -> bool {
        matches!(self, Self::Malformed(_) | Self::DecryptFailed)
    }

    /// `ring` tells its reasons apart only by their text; the tests pin the ones this depends on.
    fn from_ring(rejected: ring::error::KeyRejected) -> Self {
        match rejected.to_string().as_str() {
            "TooSmall" => Self::TooSmall,
            "TooLarge" => Self::Type("it is longer than 4096 bits"),
            "WrongAlgorithm" => Self::Type("it is not an RSA key"),
            "PrivateModulusLenNotMultipleOf512Bits" => Self::Type("its length is not a multiple of 512 bits"),
            "InconsistentComponents" | "InvalidComponent" => {
                Self::Malformed("its numbers do not form an RSA key")
            }
            _ => Self::Malformed("it is not a PKCS#1 or PKCS#8 structure"),
        }
    }

    pub(crate) fn describe(self, origin: &Origin, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(
                f,
                "{origin} is not a private key in PEM: {why}; it must hold the key, or be the absolute path of its file"
            ),
            Self::NotPrivate => write!(f, "{origin} is not a private key; give the private half of the pair"),
            Self::NoPassphrase => write!(
                f,
                "the private key in {origin} is encrypted and no passphrase is set; set one, or give the key unencrypted"
            ),
            Self::DecryptFailed => {
                write!(
                    f,
                    "the private key in {origin} does not open with the passphrase; check the passphrase"
                )
            }
            Self::EncryptionUnsupported => write!(
                f,
                "the private key in {origin} is encrypted in a form not supported here; convert it with openssl pkcs8 -topk8 -v2 aes-256-cbc"
            ),
            Self::TooCostly => write!(
                f,
                "the private key in {origin} asks for far more work than any tool writes to open it; convert it with openssl pkcs8 -topk8 -v2 aes-256-cbc"
            ),
            Self::Type(why) => {
                write!(f, "the private key in {origin} cannot be used: {why}; use RSA of 2048 to 4096 bits")
            }
            Self::TooSmall => {
                write!(
                    f,
                    "the private key in {origin} is shorter than 2048 bits; use RSA of 2048 to 4096 bits"
                )
            }
        }
    }
}

impl From<pem::Fault> for Fault {
    fn from(fault: pem::Fault) -> Self {
        match fault {
            pem::Fault::NoBlock => Self::Malformed("there is no BEGIN line"),
            pem::Fault::EscapedLineBreaks => {
                Self::Malformed("its line breaks are the two characters \\n; write real line breaks")
            }
            pem::Fault::Unfinished => Self::Malformed("the END line is missing"),
            pem::Fault::NotBase64 => Self::Malformed("its body is not base64"),
            pem::Fault::LegacyEncryption => Self::EncryptionUnsupported,
        }
    }
}

/// A passphrase as read: one trailing line break belongs to the file, not to the passphrase.
pub(crate) fn trimmed_passphrase(text: &str) -> Zeroizing<String> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    Zeroizing::new(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pkcs8::der::Encode as _;
    use pkcs8::pkcs5::EncryptionScheme;

    #[test]
    fn a_key_that_asks_for_hours_of_work_is_refused_at_once() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/principal/keys/");
        let with = |name: &str, change: &dyn Fn(&mut Kdf)| {
            let text = std::fs::read_to_string(format!("{folder}{name}")).unwrap();
            let der = pem::first_block(&text).unwrap().der;
            let mut key = EncryptedPrivateKeyInfoRef::try_from(&der[..]).unwrap();
            let EncryptionScheme::Pbes2(parameters) = &mut key.encryption_algorithm else { panic!("{name}") };
            change(&mut parameters.kdf);
            decrypt(&key.to_der().unwrap(), Some("wrong")).map(drop).unwrap_err()
        };
        let (rounds, scrypt) = ("encrypted_aes128.pem", "encrypted_scrypt.pem");
        assert_eq!(with(rounds, &|_| {}), Fault::DecryptFailed);
        assert_eq!(with(scrypt, &|_| {}), Fault::DecryptFailed);
        let costly = |kdf: &mut Kdf| match kdf {
            Kdf::Pbkdf2(kdf) => kdf.iteration_count = 10_000_001,
            Kdf::Scrypt(kdf) => kdf.cost_parameter = 1 << 17,
            _ => panic!("another kdf"),
        };
        assert_eq!((with(rounds, &costly), with(scrypt, &costly)), (Fault::TooCostly, Fault::TooCostly));
        let wide = |kdf: &mut Kdf| {
            if let Kdf::Scrypt(kdf) = kdf {
                kdf.parallelization = 1000;
            }
        };
        assert_eq!(with(scrypt, &wide), Fault::TooCostly);
    }
}
