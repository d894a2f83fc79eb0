//! OCI resource principals: who a function is, verified at start, refreshed on use, signing what it sends.
//!
//! A function on OCI is given a token and a private key. [`verify`] checks all that can be known about them without
//! asking anybody, before the first call is served. The [`Principal`] it answers signs requests, and reads the two files
//! again when its token nears its end.
//!
//! ```
//! use std::time::SystemTime;
//! use fdk_principal::{Environment, Outcome, Policy, verify};
//!
//! let policy = Policy::read(|name| std::env::var_os(name))?;
//! match verify(&Environment::from_process(), &policy, SystemTime::now())? {
//!     Outcome::Verified(principal) => {
//!         let identity = principal.current()?;
//!         let host = format!("objectstorage.{}.{}", identity.region(), identity.realm_domain());
//!         let mut request = http::Request::get(format!("https://{host}/n/")).body("").unwrap();
//!         principal.sign(&mut request)?;
//!     }
//!     Outcome::Absent | Outcome::Off => {} // not on OCI, or not wanted
//! }
//! # Ok::<(), fdk_principal::Refusal>(())
//! ```
//!
//! On a laptop an [`ApiKey`] from `~/.oci/config` signs the same requests; a [`Signer`] is either, and a [`SignLayer`]
//! puts it under a client. [`authenticate`] is the other side: it checks a signed request as an OCI service would.
//!
//! # What is proven, and what is not
//!
//! Proven offline: the token is well formed, names an asymmetric algorithm, is within its times, carries the claims a
//! resource principal has, and was issued for the very private key beside it.
//!
//! Not proven: **who issued it**. OCI publishes no keys for the service that signs these tokens, so only OCI itself
//! can check that signature, and does on every request. Whoever can write both files, or set the variables, can make
//! up an identity that passes here and is then refused by every OCI service. So do not grant anything to a caller on
//! the strength of it. An operator who has the issuer's public keys names them in `FDK_ISSUER_KEYS`, and then the
//! signature is verified as well.
//!
//! # Reading with it
//!
//! With the feature `client`, a `Client` reads objects from Object Storage, whole or in ranges, and secrets from the vault.
//!
//! # Secrets
//!
//! No `Debug`, no message and no log holds any part of a key, a token or a passphrase. What is read on the way to a
//! key is zeroised. Four things are not: the process's own environment, where a key may stand as a value; the copy of the key
//! `ring` signs with, which `ring` offers no way to erase; the `authorization` header of a request, which is marked
//! sensitive and belongs to the request; and, of a secret from the vault, what the transport has buffered.
//!
//! # How fast
//!
//! A process's first signature with a key of 2,048 bits takes 0.95 ms, its reading and checking 0.07 (three runs on an AMD EPYC,
//! family 23 model 1): `cargo run --release -p fdk-principal --example first_signature KEY.pem`.
//!
//! # Codes
//!
//! [`Refusal::code`] is one of these.
//!
//! - The variables: `env_missing`, `version_unsupported`, `region_invalid`, `mixed_path_and_value`.
//! - The token: `token_unreadable`, `token_empty`, `token_malformed`, `alg_not_allowed`, `token_expired`,
//!   `token_not_yet_valid`, `token_issued_in_future`, `token_claims_invalid`, `missing_claim`.
//! - The key: `key_unreadable`, `key_malformed`, `key_encrypted_no_passphrase`, `key_decrypt_failed`,
//!   `key_encrypted_unsupported`, `key_type_unsupported`, `key_too_small`, and `key_mismatch` with the token.
//! - Under a strict policy, and a [`Warning`] otherwise: `wrong_resource_type`, `resource_id_mismatch`.
//! - With the issuer's keys: `bad_signature`, `issuer_keys_unreadable`, `issuer_keys_malformed`.
//! - The policy itself: `policy_invalid`.
//! - An API key: `config_unreadable`, `config_profile_missing`, `config_value_missing`, `config_fingerprint_mismatch`.
//! - A request: `request_unsignable`.

mod api_key;
mod authenticate;
mod authorization;
#[cfg(feature = "client")]
mod client;
mod config;
mod environment;
mod error;
mod identity;
mod issuer;
mod key;
mod layer;
mod pem;
mod policy;
mod principal;
mod public_key;
mod regions;
mod session;
mod sign;
mod signer;
mod signing_string;
mod sources;
mod token;
mod verify;
mod warning;

pub use api_key::ApiKey;
pub use authenticate::{BodyRule, Denial, authenticate, authenticate_head};
#[cfg(feature = "client")]
pub use client::{Client, ClientError, Object, Secret};
pub use environment::Environment;
pub use error::Refusal;
pub use identity::Identity;
pub use layer::{SignLayer, SignService};
pub use policy::{Mode, Policy};
pub use principal::Principal;
pub use public_key::PublicKey;
pub use session::SessionToken;
pub use sign::{Payload, Signed};
pub use signer::Signer;
pub use verify::{Outcome, verify};
pub use warning::Warning;
