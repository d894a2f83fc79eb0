//! What the tests share: the vectors, and a rotating resource principal in a temporary directory.

// Each test is a crate of its own, and none uses all of this.
#![allow(dead_code, unreachable_pub)]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fdk_principal::{ApiKey, Environment, Policy, Principal, PublicKey, Refusal, verify};
use serde_json::{Map, Value, json};

/// The time of the vectors, Sunday 22 November 2026 at noon.
pub const NOW: u64 = 1_795_348_800;

pub fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub fn vectors_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/principal/vectors")
}

pub fn vectors() -> &'static Value {
    static VECTORS: LazyLock<Value> = LazyLock::new(|| {
        serde_json::from_str(&fs::read_to_string(vectors_folder().join("signing.json")).unwrap()).unwrap()
    });
    &VECTORS
}

pub fn base64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

pub fn session_key(document: &Value) -> &str {
    document["keys"]["session.pkcs8.pem"].as_str().unwrap()
}

pub fn api_key(document: &Value) -> ApiKey {
    let pem = document["keys"]["api_key.pkcs8.pem"].as_str().unwrap();
    ApiKey::new(document["api_key_id"].as_str().unwrap(), pem, None).unwrap()
}

pub fn environment(token: &str, key: &str) -> Environment {
    let (token, key) = (token.to_owned(), key.to_owned());
    Environment::read(move |name| match name {
        "OCI_RESOURCE_PRINCIPAL_VERSION" => Some(OsString::from("2.2")),
        "OCI_RESOURCE_PRINCIPAL_REGION" => Some(OsString::from("us-phoenix-1")),
        "OCI_RESOURCE_PRINCIPAL_RPST" => Some(OsString::from(&token)),
        "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM" => Some(OsString::from(&key)),
        _ => None,
    })
}

/// The principal of these values (or paths), verified at the time of the vectors.
pub fn principal(token: &str, key: &str) -> Arc<Principal> {
    let outcome = verify(&environment(token, key), &Policy::default(), at(NOW)).unwrap();
    Arc::clone(outcome.principal().unwrap())
}

/// The key that signed the tokens of the vectors.
pub fn issuer_key() -> PublicKey {
    let case = fs::read_to_string(vectors_folder().join("rpst/ok_files.json")).unwrap();
    let case: Value = serde_json::from_str(&case).unwrap();
    PublicKey::from_pem(case["issuer_public_key_pem"].as_str().unwrap()).unwrap()
}

/// A token and the key it is bound to. Its own signature is noise, which nobody here can check.
pub struct Issued {
    pub claims: Map<String, Value>,
    pub pem: String,
}

impl Issued {
    /// Bound to the session key of the vectors.
    pub fn by_session(now: u64) -> Self {
        Self::bound_to("session", "session.pkcs8.pem", now)
    }

    /// Bound to the API key of the vectors: another key, that is all that matters.
    pub fn by_other(now: u64) -> Self {
        Self::bound_to("api", "api_key.pkcs8.pem", now)
    }

    fn bound_to(public: &str, private: &str, now: u64) -> Self {
        let document = vectors();
        let public = PublicKey::from_pem(document["public_keys"][public].as_str().unwrap()).unwrap();
        let claims = json!({
            "sub": "ocid1.fnfunc.oc1.phx.f", "res_type": "fnfunc", "res_id": "ocid1.fnfunc.oc1.phx.f",
            "res_tenant": "ocid1.tenancy.oc1..t", "res_compartment": "ocid1.compartment.oc1..c",
            "iat": now, "exp": now + 1200, "jwk": public.to_jwk().to_string(),
        });
        let Value::Object(claims) = claims else { unreachable!() };
        Self { claims, pem: document["keys"][private].as_str().unwrap().to_owned() }
    }

    pub fn expires(self, at: u64) -> Self {
        self.claim("exp", at)
    }

    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    pub fn token(&self) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(&json!({"kid": "asw", "alg": "RS256"}));
        let payload = part(&Value::Object(self.claims.clone()));
        format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([7; 256]))
    }
}

/// A directory with a token file and a key file, as a function has.
pub struct Rotating {
    directory: tempfile::TempDir,
}

impl Rotating {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn token_file(&self) -> PathBuf {
        self.directory.path().join("rpst")
    }

    pub fn key_file(&self) -> PathBuf {
        self.directory.path().join("private.pem")
    }

    pub fn write(&self, issued: &Issued) {
        self.write_key(issued);
        self.write_token(issued);
    }

    pub fn write_key(&self, issued: &Issued) {
        fs::write(self.key_file(), &issued.pem).unwrap();
    }

    pub fn write_token(&self, issued: &Issued) {
        fs::write(self.token_file(), issued.token()).unwrap();
    }

    pub fn remove(&self) {
        fs::remove_file(self.token_file()).unwrap();
        fs::remove_file(self.key_file()).unwrap();
    }

    pub fn principal(&self, now: u64) -> Result<Arc<Principal>, Refusal> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let environment = environment(&text(&self.token_file()), &text(&self.key_file()));
        let outcome = verify(&environment, &Policy::default(), at(now))?;
        Ok(Arc::clone(outcome.principal().unwrap()))
    }
}
