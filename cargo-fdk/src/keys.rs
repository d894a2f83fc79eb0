//! New keys and ids, and files that only their owner reads.

use crate::{Error, Result};
use fdk_principal::PublicKey;
use getrandom::SysRng;
use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rsa::rand_core::UnwrapErr;
use rsa::{RsaPrivateKey, RsaPublicKey};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

/// A new RSA key of 2048 bits.
pub(crate) fn generate() -> Result<RsaPrivateKey> {
    RsaPrivateKey::new(&mut UnwrapErr(SysRng), 2048)
        .map_err(|error| Error::failed(format!("a key cannot be made: {error}")))
}

/// A private key in PEM (PKCS#8).
pub(crate) fn private_pem(key: &RsaPrivateKey) -> Result<String> {
    let pem = key.to_pkcs8_pem(LineEnding::LF);
    pem.map(|pem| pem.to_string()).map_err(|error| Error::failed(format!("a key cannot be written: {error}")))
}

/// Its public half in PEM.
pub(crate) fn public_pem(key: &RsaPrivateKey) -> Result<String> {
    let pem = RsaPublicKey::from(key).to_public_key_pem(LineEnding::LF);
    pem.map_err(|error| Error::failed(format!("a public key cannot be written: {error}")))
}

/// Its public half.
pub(crate) fn public(key: &RsaPrivateKey) -> Result<PublicKey> {
    PublicKey::from_pem(&public_pem(key)?).ok_or_else(|| Error::failed("a public key cannot be read"))
}

/// The last part of a new OCID: 100 random bits, in the characters OCIDs have.
pub(crate) fn random_id() -> Result<String> {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = [0; 20];
    getrandom::fill(&mut bytes).map_err(|error| Error::failed(format!("no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| char::from(DIGITS[usize::from(byte % 32)])).collect())
}

/// Root writes for others: what is in a folder belongs to whom the folder belongs.
fn give_to_owner_of(folder: Option<&Path>, file: &Path) -> std::io::Result<()> {
    let Some(folder) = folder.filter(|_| rustix::process::geteuid().is_root()) else { return Ok(()) };
    let owner = std::fs::metadata(folder)?;
    chown(file, Some(owner.uid()), Some(owner.gid()))
}

/// Writes a file that only its owner reads, whole or not at all.
pub(crate) fn write(path: &Path, content: &str) -> Result<()> {
    let fails = |error: std::io::Error| Error::failed(format!("{}: {error}", path.display()));
    // `tempfile` makes it readable by its owner alone.
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("."))).map_err(fails)?;
    file.write_all(content.as_bytes()).map_err(fails)?;
    give_to_owner_of(path.parent(), file.path()).map_err(fails)?;
    file.persist(path).map(drop).map_err(|error| fails(error.error))
}
