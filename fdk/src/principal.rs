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
            init.fact(
                "principal",
                format!("verified {}", identity.resource_id().unwrap_or("(no resource id)")),
            );
        }
    }
    Ok(())
}
