//! One verified identity: token, key and claims that belong together, and never change.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use zeroize::Zeroizing;

use crate::key::PrivateKey;
use crate::token::Token;
use crate::verify::unix_seconds;
use crate::warning::Warning;

/// Who this function is, as one token says.
///
/// Token and key are held together and replaced together, so that a signature by one key can never travel with the
/// token of another.
pub struct Identity {
    snapshot: Snapshot,
}

/// The parts, each already checked.
pub(crate) struct Snapshot {
    pub(crate) token: Token,
    pub(crate) key: PrivateKey,
    pub(crate) tenancy: String,
    pub(crate) compartment: String,
    pub(crate) expires_at: u64,
    pub(crate) region: String,
    pub(crate) realm_domain: String,
    pub(crate) warnings: Vec<Warning>,
}

/// OCI refreshes the file when a quarter of the token's 20 minutes is left; the Go SDK reloads at the same time.
const REFRESH_BEFORE: u64 = 300;

impl Identity {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self { snapshot }
    }

    /// The OCID of the tenancy (claim `res_tenant`).
    pub fn tenancy(&self) -> &str {
        &self.snapshot.tenancy
    }

    /// The OCID of the compartment (claim `res_compartment`). Resources can be moved, so it may change at a refresh.
    pub fn compartment(&self) -> &str {
        &self.snapshot.compartment
    }

    /// The OCID of the function itself (claim `res_id`).
    pub fn resource_id(&self) -> Option<&str> {
        self.claim("res_id").and_then(Value::as_str)
    }

    /// The kind of resource (claim `res_type`), `fnfunc` for a function.
    pub fn resource_type(&self) -> Option<&str> {
        self.claim("res_type").and_then(Value::as_str)
    }

    /// The region's full name, such as `us-phoenix-1`; safe in a host name.
    pub fn region(&self) -> &str {
        &self.snapshot.region
    }

    /// The domain of the realm's services, such as `oraclecloud.com`; safe in a host name.
    pub fn realm_domain(&self) -> &str {
        &self.snapshot.realm_domain
    }

    /// When the token stops being valid.
    pub fn expires_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.snapshot.expires_at)
    }

    /// True from five minutes before expiry: the platform has, or should have, a newer token.
    pub fn refresh_due(&self, now: SystemTime) -> bool {
        self.snapshot.expires_at <= unix_seconds(now).saturating_add(REFRESH_BEFORE)
    }

    /// True when the token is no longer valid.
    pub fn expired(&self, now: SystemTime) -> bool {
        self.snapshot.expires_at <= unix_seconds(now)
    }

    /// The verdict as a code: `ok`, or `ok_refresh_due`.
    pub fn code(&self, now: SystemTime) -> &'static str {
        if self.refresh_due(now) { "ok_refresh_due" } else { "ok" }
    }

    /// Any claim of the token, by name.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.snapshot.token.claim(name)
    }

    /// The name the identity signs under.
    pub(crate) fn key_id(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("ST${}", self.snapshot.token.text()))
    }

    pub(crate) fn key(&self) -> &PrivateKey {
        &self.snapshot.key
    }

    /// What is odd about it; empty under a strict policy, which refuses instead.
    pub fn warnings(&self) -> &[Warning] {
        &self.snapshot.warnings
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("resource_id", &self.resource_id())
            .field("tenancy", &self.tenancy())
            .field("compartment", &self.compartment())
            .field("region", &self.region())
            .field("expires_at", &self.snapshot.expires_at)
            .field("key", &self.snapshot.key)
            .finish_non_exhaustive()
    }
}
