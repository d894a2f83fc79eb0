//! A local issuer of resource principals, for tests and for the platform on a laptop. OCI knows nothing of it.

use crate::tenancy::{REALM, REALM_DOMAIN, REGION, REGION_KEY};
use crate::{Error, Result, keys};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding as _, Signer as _};
use serde_json::{Map, Value, json};
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The id of its key, in the header of its tokens and in its public keys.
const KEY_ID: &str = "cargo-fdk-local";

/// The names of a principal's files, which are OCI's.
pub(crate) const TOKEN: &str = "rpst";
pub(crate) const KEY: &str = "private.pem";
const PUBLIC_KEYS: &str = "jwks.json";

/// Issues resource principals into folders: a token, its private key, the issuer's public keys, and the variables that
/// name them.
pub struct Issuer {
    folder: PathBuf,
    key: RsaPrivateKey,
}

/// What a token says.
#[derive(Debug, Clone)]
pub struct Claims {
    /// How long it is good.
    pub ttl: Duration,
    /// Claims that are added to the usual ones or replace them; null leaves one out.
    pub others: Map<String, Value>,
}

impl Issuer {
    /// The issuer of a folder: its key is made when there is none, and kept, so that principals issued later have the same
    /// issuer.
    pub fn open(folder: &Path) -> Result<Self> {
        let fails = |error: std::io::Error| Error::failed(format!("{}: {error}", folder.display()));
        fs::create_dir_all(folder).map_err(fails)?;
        let folder = folder.canonicalize().map_err(fails)?;
        let path = folder.join("issuer.pem");
        let key = match fs::read_to_string(&path) {
            Ok(pem) => RsaPrivateKey::from_pkcs8_pem(&pem).map_err(|error| {
                Error::failed(format!("{} is no private key ({error}): remove it", path.display()))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = keys::generate()?;
                keys::write(&path, &keys::private_pem(&key)?)?;
                key
            }
            Err(error) => return Err(Error::failed(format!("{}: {error}", path.display()))),
        };
        Ok(Self { folder, key })
    }

    /// Issues a principal with a key of its own, in place of the one before. Each file changes whole, but a function may
    /// see the new key with the old token; it keeps the old pair then. Returns the folder, as an absolute path.
    pub fn rotate(&self, claims: &Claims, now: SystemTime) -> Result<&Path> {
        self.publish_keys()?;
        self.issue(&self.folder, claims, now)?;
        let at = |name: &str| self.folder.join(name);
        let variables = self.variables();
        let lines = variables.iter().map(|(name, value)| format!("{name}={}\n", quoted(value)));
        let note = "# A LOCAL resource principal, made by `cargo fdk principal issue` for tests.\n";
        keys::write(&at("env"), &std::iter::once(note.to_owned()).chain(lines).collect::<String>())?;
        Ok(&self.folder)
    }

    /// Writes a token and its key, new ones, into another folder than the issuer's own.
    pub fn issue(&self, folder: &Path, claims: &Claims, now: SystemTime) -> Result<()> {
        fs::create_dir_all(folder)
            .map_err(|error| Error::failed(format!("{}: {error}", folder.display())))?;
        let session = keys::generate()?;
        let token = self.token(&session, claims, now)?;
        keys::write(&folder.join(KEY), &keys::private_pem(&session)?)?;
        keys::write(&folder.join(TOKEN), &token)
    }

    /// Writes the issuer's public keys as a JWK set (RFC 7517), and says where.
    pub fn publish_keys(&self) -> Result<PathBuf> {
        let file = self.folder.join(PUBLIC_KEYS);
        keys::write(&file, &format!("{:#}\n", self.public_keys()?))?;
        // A function reads it whoever it runs as; it is no secret.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644))
            .map_err(|error| Error::failed(format!("{}: {error}", file.display())))?;
        Ok(file)
    }

    /// The variables with which a function has this principal, and verifies that this issuer signed it.
    pub fn variables(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let metadata = json!({
            "regionKey": REGION_KEY, "regionIdentifier": REGION,
            "realmKey": REALM, "realmDomainComponent": REALM_DOMAIN,
        });
        [
            ("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2".to_owned()),
            ("OCI_RESOURCE_PRINCIPAL_RPST", path(TOKEN)),
            ("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", path(KEY)),
            ("OCI_RESOURCE_PRINCIPAL_REGION", REGION.to_owned()),
            ("OCI_REGION_METADATA", metadata.to_string()),
            ("FDK_ISSUER_KEYS", path(PUBLIC_KEYS)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// A JWT (RFC 7519), signed with RS256, for this session key.
    fn token(&self, session: &RsaPrivateKey, claims: &Claims, now: SystemTime) -> Result<String> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let function = "ocid1.fnfunc.local..aaaalocalfunction";
        let usual = json!({
            "iss": "local-issuer.cargo-fdk.invalid", "sub": function,
            "res_type": "fnfunc", "res_id": function,
            "res_tenant": "ocid1.tenancy.local..aaaalocaltenancy",
            "res_compartment": "ocid1.compartment.local..aaaalocalcompartment",
            "ptype": "resource", "iat": now, "exp": now.saturating_add(claims.ttl.as_secs()),
            "jwk": jwk(session)?.to_string(),
        });
        let Value::Object(mut all) = usual else { return Err(Error::failed("no claims")) };
        all.extend(claims.others.clone());
        all.retain(|_, value| !value.is_null());
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "RS256", "kid": KEY_ID, "typ": "JWT"});
        let signed = format!("{}.{}", part(&header), part(&Value::Object(all)));
        let signature = SigningKey::<Sha256>::new(self.key.clone())
            .try_sign(signed.as_bytes())
            .map_err(|error| Error::failed(format!("the token cannot be signed: {error}")))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())))
    }

    /// The issuer's public keys as a JWK set (RFC 7517).
    fn public_keys(&self) -> Result<Value> {
        let mut key = jwk(&self.key)?;
        for (name, value) in [("kid", KEY_ID), ("alg", "RS256"), ("use", "sig")] {
            key[name] = value.into();
        }
        Ok(json!({ "keys": [key] }))
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// A text as a shell reads it, whatever it holds.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn jwk(key: &RsaPrivateKey) -> Result<Value> {
    keys::public(key).map(|public| public.to_jwk())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fdk_principal::{Environment, Mode, Policy};

    #[test]
    fn what_it_issues_is_verified_down_to_the_issuers_signature() {
        let folder = tempfile::tempdir().unwrap();
        let issuer = Issuer::open(folder.path()).unwrap();
        let now = SystemTime::now();
        let verify = |issuer: &Issuer| {
            let variables = issuer.variables();
            let variable = |name: &str| Some(variables.iter().find(|(key, _)| key == name)?.1.clone().into());
            let policy = Policy {
                mode: Mode::Required,
                strict: true,
                issuer_keys: Some(issuer.folder.join("jwks.json")),
            };
            let outcome = fdk_principal::verify(&Environment::read(variable), &policy, now)?;
            Ok::<_, fdk_principal::Refusal>(outcome.principal().unwrap().identity())
        };
        let mut claims = Claims { ttl: Duration::from_mins(10), others: Map::new() };
        claims.others.insert("team".into(), "search".into());
        issuer.rotate(&claims, now).unwrap();
        let first = verify(&issuer).unwrap();
        assert_eq!(first.region(), REGION);
        assert_eq!(first.resource_type(), Some("fnfunc"));
        assert_eq!(first.claim("team").and_then(Value::as_str), Some("search"));
        // The issuer is the same when it is opened again, and another's keys do not vouch for it.
        let again = Issuer::open(folder.path()).unwrap();
        again.rotate(&claims, now).unwrap();
        verify(&again).unwrap();
        let other = tempfile::tempdir().unwrap();
        let other = Issuer::open(other.path()).unwrap();
        fs::write(again.folder.join("jwks.json"), other.public_keys().unwrap().to_string()).unwrap();
        assert_eq!(verify(&again).unwrap_err().code(), "bad_signature");
        claims.others.insert("res_tenant".into(), Value::Null);
        again.rotate(&claims, now).unwrap();
        assert_eq!(verify(&again).unwrap_err().code(), "missing_claim");
        for name in ["rpst", "private.pem", "issuer.pem", "env"] {
            assert_eq!(
                fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777,
                0o600,
                "{name}"
            );
        }
    }
}
