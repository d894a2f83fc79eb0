//! The principal of a running function.

use std::sync::Arc;
use std::time::SystemTime;

use crate::error::Refusal;
use crate::identity::Identity;
use crate::policy::Policy;
use crate::sources::Sources;
use crate::verify;

/// The verified principal of this function.
#[derive(Debug)]
pub struct Principal {
    identity: Arc<Identity>,
}

impl Principal {
    pub(crate) fn load(sources: Sources, policy: Policy, now: SystemTime) -> Result<Self, Refusal> {
        let identity = Arc::new(verify::check(&sources, &policy, now)?);
        Ok(Self { identity })
    }

    /// The identity as last verified.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity)
    }
}
