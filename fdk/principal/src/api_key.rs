//! The key of a user, from `~/.oci/config` or given in parts.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::{self, Profile};
use crate::error::{Kind, Material, Origin, Refusal};
use crate::key::PrivateKey;
use crate::public_key::PublicKey;
use crate::sign::is_key_id;
use crate::sources::read_small_file;
use crate::token::Token;

/// A key pair that OCI knows under a name: a user's API key, or a session made by `oci session authenticate`.
pub struct ApiKey {
    key_id: Zeroizing<String>,
    key: PrivateKey,
    region: Option<String>,
}

impl ApiKey {
    /// A private key in PEM, under the name OCI knows it by (`tenancy/user/fingerprint`, or `ST$` and a token).
    ///
    /// The passphrase is used only when the key is encrypted.
    pub fn new(key_id: &str, pem: &str, passphrase: Option<&str>) -> Result<Self, Refusal> {
        let origin = Origin { name: "the text given".into(), path: None };
        Self::build(key_id, pem, passphrase, origin, None)
    }

    /// The same, with the private key in a file.
    pub fn from_file(key_id: &str, file: &Path, passphrase: Option<&str>) -> Result<Self, Refusal> {
        let origin = Origin { name: "key file".into(), path: Some(file.to_path_buf()) };
        let pem = read(file, &origin, Material::Key)?;
        Self::build(key_id, &pem, passphrase, origin, None)
    }

    /// The configuration file of the OCI tools: Oracle's SDKs have it from `OCI_CONFIG_FILE`, its command line from
    /// `OCI_CLI_CONFIG_FILE`, and both else from the home directory. `None` where that is not known either.
    pub fn config_file() -> Option<PathBuf> {
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        path("OCI_CONFIG_FILE")
            .or_else(|| path("OCI_CLI_CONFIG_FILE"))
            .or_else(|| Some(path("HOME")?.join(".oci").join("config")))
    }

    /// A profile of a configuration file, `~/.oci/config` by convention.
    ///
    /// What a profile does not say is taken from the profile `DEFAULT`, as the OCI tools do.
    pub fn from_config(file: &Path, profile: &str) -> Result<Self, Refusal> {
        let profile = Profile::read(file, profile)?;
        let key_file = profile.path("key_file")?;
        let key_origin = profile.file_origin("key_file", &key_file);
        let pem = read(&key_file, &key_origin, Material::Key)?;
        let region = profile.get("region").map(str::to_owned);
        let passphrase = profile.get("pass_phrase");

        if profile.get("security_token_file").is_some() {
            let token_file = profile.path("security_token_file")?;
            let token_origin = profile.file_origin("security_token_file", &token_file);
            let text = read(&token_file, &token_origin, Material::Token)?;
            let token = Token::parse(&text).map_err(|fault| Kind::Token(token_origin, fault))?;
            let key_id = Zeroizing::new(format!("ST${}", token.text()));
            return Self::build(&key_id, &pem, passphrase, key_origin, region);
        }
        let fingerprint = profile.require("fingerprint")?;
        let key_id = format!("{}/{}/{fingerprint}", profile.require("tenancy")?, profile.require("user")?);
        let key = Self::build(&key_id, &pem, passphrase, key_origin, region)?;
        // OCI would only say 401.
        if key.fingerprint().is_some_and(|actual| actual.eq_ignore_ascii_case(fingerprint)) {
            Ok(key)
        } else {
            Err(profile.fault(config::Fault::Fingerprint { key_file }))
        }
    }

    fn build(
        key_id: &str,
        pem: &str,
        passphrase: Option<&str>,
        origin: Origin,
        region: Option<String>,
    ) -> Result<Self, Refusal> {
        if !is_key_id(key_id) {
            return Err(crate::sign::Fault::KeyId.into());
        }
        let key = PrivateKey::from_pem(pem, passphrase).map_err(|fault| Kind::Key(origin, fault))?;
        Ok(Self { key_id: Zeroizing::new(key_id.to_owned()), key, region })
    }

    /// The name OCI knows the key by. For a session it holds the token.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The region the profile names.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The fingerprint OCI shows for the key; see [`PublicKey::fingerprint`].
    pub fn fingerprint(&self) -> Option<String> {
        self.key.public().fingerprint()
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        self.key.public()
    }

    pub(crate) fn key(&self) -> &PrivateKey {
        &self.key
    }
}

fn read(file: &Path, origin: &Origin, what: Material) -> Result<Zeroizing<String>, Refusal> {
    read_small_file(file).map_err(|error| Kind::Unreadable { what, origin: origin.clone(), error }.into())
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("key", &self.key).field("region", &self.region).finish_non_exhaustive()
    }
}
