//! The resource principal, verified before the socket is published.

use fdk_principal::{Environment, Outcome, Policy, Principal};
use fdk_runtime::{Exit, Init, Refusal};
use std::ffi::OsString;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

/// Who this process is. One process is one function, whose environment is fixed for its life.
static VERIFIED: OnceLock<Arc<Principal>> = OnceLock::new();

/// The principal that [`check`] verified.
pub(crate) fn verified() -> Option<&'static Arc<Principal>> {
    VERIFIED.get()
}

/// A client that reads as this function, where the platform gave it an identity. `FDK_OBJECT_STORAGE_ENDPOINT` and
/// `FDK_VAULT_ENDPOINT` send its requests elsewhere, as a platform on a laptop does.
#[cfg(feature = "client")]
pub(crate) fn client(config: &fdk_runtime::Config) -> crate::Result<fdk_principal::Client> {
    let principal = verified().ok_or_else(|| {
        crate::Error::new(
            "the function has no resource principal: run it on OCI Functions, or with one of `cargo fdk principal issue`",
        )
    })?;
    let mut client = fdk_principal::Client::of_principal(principal.clone())?;
    let configured = |key| config.get(key).filter(|url| !url.is_empty());
    if let Some(url) = configured("FDK_OBJECT_STORAGE_ENDPOINT") {
        client = client.with_object_storage(url)?;
    }
    if let Some(url) = configured("FDK_VAULT_ENDPOINT") {
        client = client.with_vault(url)?;
    }
    Ok(client)
}

/// Refuses to start with a principal that is present and bad, or required and absent; reports what it found.
pub(crate) fn check(init: &Init) -> Result<(), Refusal> {
    let variable = |name: &str| std::env::var_os(name) as Option<OsString>;
    let policy =
        Policy::read(variable).map_err(|refusal| Refusal::new(Exit::Configuration, refusal.to_string()))?;
    let outcome = fdk_principal::verify(&Environment::from_process(), &policy, SystemTime::now()).map_err(
        |refusal| Refusal::new(Exit::Principal, format!("principal refused ({}): {refusal}", refusal.code())),
    )?;
    match &outcome {
        Outcome::Absent => init.fact("principal", "absent"),
        Outcome::Off => init.fact("principal", "off"),
        Outcome::Verified(principal) => {
            let identity = principal.identity();
            for warning in identity.warnings() {
                tracing::warn!(target: "fdk::principal", code = warning.code(), "{warning}");
            }
            let _ = VERIFIED.set(principal.clone());
            let resource = identity.resource_id().unwrap_or("(no resource id)");
            init.fact("principal", format!("verified {resource}"));
            init.fact("principal_tenancy", identity.tenancy());
            init.fact("principal_region", identity.region());
            let left = identity.expires_at().duration_since(SystemTime::now()).unwrap_or_default();
            init.fact("principal_seconds_left", left.as_secs());
        }
    }
    Ok(())
}
