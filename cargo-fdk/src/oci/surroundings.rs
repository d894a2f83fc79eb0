//! What OCI gives a function: its identity, its surroundings in the environment, and who calls it.

use super::{Principals, ocid, principals};
use crate::agent::{Fault, Spec};
use crate::platform::Surroundings;
use crate::sandbox::Sandbox;
use crate::store::model::{App, Func};
use crate::tenancy::{REALM, REALM_DOMAIN, REGION, REGION_KEY};
use serde_json::json;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// What a container gets before it starts.
pub(crate) struct Furniture {
    principals: Arc<Principals>,
    /// Where the endpoint is served.
    base: Arc<OnceLock<String>>,
    /// Whether there is something to read there.
    storage: bool,
}

impl Furniture {
    /// Identities, and the endpoint's own address where it serves objects and secrets.
    pub(super) fn new(principals: Arc<Principals>, base: Arc<OnceLock<String>>, storage: bool) -> Self {
        Self { principals, base, storage }
    }
}

impl Surroundings for Furniture {
    fn furnish(&self, app: &App, func: &Func, spec: &mut Spec) -> Result<(), Fault> {
        let folder = self.principals.of(app, func).map_err(|error| Fault::internal(error.to_string()))?;
        let keys = self.principals.public_keys().to_path_buf();
        spec.fn_id = ocid::func(&func.id);
        spec.app_id = ocid::app(&app.id);
        let metadata = json!({
            "regionKey": REGION_KEY, "regionIdentifier": REGION,
            "realmKey": REALM, "realmDomainComponent": REALM_DOMAIN,
        });
        let traced = |things: &crate::store::model::Annotations| {
            things.get("oracle.com/oci/traceConfig").is_some_and(|config| config["isEnabled"] == true)
        };
        let tracing = traced(&app.annotations) && traced(&func.annotations);
        let mut set = |name: &str, value: String| spec.config.push((name.to_owned(), value));
        for (name, value) in principals::variables(&folder) {
            set(name, value);
        }
        set("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2".into());
        set("OCI_RESOURCE_PRINCIPAL_REGION", REGION.into());
        set("OCI_REGION_METADATA", metadata.to_string());
        set("FDK_ISSUER_KEYS", keys.display().to_string());
        set("FN_APP_NAME", app.name.clone());
        set("FN_FN_NAME", func.name.clone());
        set("FN_CPUS", cpus(func.memory));
        set("FN_LOGFRAME_NAME", "01LOCALFRAME".into());
        set("FN_LOGFRAME_HDR", "Opc-Request-Id".into());
        set("OCI_TRACING_ENABLED", u8::from(tracing).to_string());
        // Spans would go there; nothing here takes any.
        set("OCI_TRACE_COLLECTOR_URL", String::new());
        if let Some(base) = self.base.get().filter(|_| self.storage) {
            set("FDK_OBJECT_STORAGE_ENDPOINT", base.clone());
            set("FDK_VAULT_ENDPOINT", base.clone());
            // They are this machine's.
            spec.sandbox = spec.sandbox.map(Sandbox::with_network);
        }
        spec.visible.extend([folder, keys]);
        Ok(())
    }
}

/// The share of a core that comes with so much memory: a whole one with 2 GB.
fn cpus(memory_mb: u64) -> String {
    format!("{}m", memory_mb * 1000 / 2048)
}

impl fmt::Debug for Furniture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Furniture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_share_of_a_core_goes_with_memory() {
        // 125m with 256 MB is what a real function was seen to have.
        assert_eq!([128, 256, 1024, 2048].map(super::cpus), ["62m", "125m", "500m", "1000m"]);
    }
}
