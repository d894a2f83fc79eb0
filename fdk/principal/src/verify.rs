//! What must be true of a resource principal before a function may use it, in the order it is checked.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::environment::{self, Environment};
use crate::error::{Kind, Refusal};
use crate::identity::{Identity, Snapshot};
use crate::issuer;
use crate::policy::{Mode, Policy};
use crate::principal::Principal;
use crate::sources::Sources;
use crate::warning::Warning;

/// What [`verify`] found.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// No variable of a resource principal is set, and the policy does not require one.
    Absent,
    /// The policy says not to look.
    Off,
    /// There is one, and it holds.
    Verified(Arc<Principal>),
}

impl Outcome {
    /// The principal, when there is a verified one.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        match self {
            Self::Verified(principal) => Some(principal),
            Self::Absent | Self::Off => None,
        }
    }
}

/// Verifies the resource principal the environment describes, as of `now`.
///
/// The checks run in a fixed order: the variables, the form of the token, its algorithm, the issuer's signature (only
/// when the policy supplies keys), the private key, the times, tenancy and compartment, that the token was issued for
/// this key, and last what depends on the deployment.
pub fn verify(environment: &Environment, policy: &Policy, now: SystemTime) -> Result<Outcome, Refusal> {
    if policy.mode == Mode::Off {
        return Ok(Outcome::Off);
    }
    if !environment.is_present() {
        return match policy.mode {
            Mode::Required => Err(environment::Fault::Absent.into()),
            Mode::Optional | Mode::Off => Ok(Outcome::Absent),
        };
    }
    let principal = Principal::load(environment.sources()?, policy.clone(), now)?;
    Ok(Outcome::Verified(Arc::new(principal)))
}

/// Reads token and key once and checks them.
pub(crate) fn check(sources: &Sources, policy: &Policy, now: SystemTime) -> Result<Identity, Refusal> {
    let in_token = |fault| Kind::Token(sources.token_origin(), fault);

    let token = sources.read_token()?;
    if let Some(file) = &policy.issuer_keys {
        issuer::check_signature(&token, file)?;
    }
    let key = sources.read_key()?;
    let expires_at = token.check_times(unix_seconds(now)).map_err(in_token)?;
    let tenancy = token.required_text("res_tenant").map_err(in_token)?.to_owned();
    let compartment = token.required_text("res_compartment").map_err(in_token)?.to_owned();
    // No SDK refuses here, and one that pairs a token with another key fails later with a bare 401.
    if token.bound_key().map_err(in_token)? != *key.public() {
        return Err(Kind::KeyMismatch { token: sources.token_origin(), key: sources.key_origin() }.into());
    }
    let warnings = Warning::about(&token, sources.function_id.as_deref());
    if let (true, Some(first)) = (policy.strict, warnings.first()) {
        return Err(Kind::Deployment(sources.token_origin(), first.clone()).into());
    }
    Ok(Identity::new(Snapshot {
        token,
        key,
        tenancy,
        compartment,
        expires_at,
        region: sources.region.clone(),
        realm_domain: sources.realm_domain.clone(),
        warnings,
    }))
}

/// A clock before 1970 reads as 1970, where every token is issued in the future.
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
