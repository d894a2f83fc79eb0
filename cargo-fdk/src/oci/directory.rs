//! Who signed a request: a user of the tenancy by an API key or a session, or a function by its resource principal.

use crate::policy::Caller;
use crate::tenancy::{Tenancy, User};
use crate::{Error, Result};
use fdk_principal::{BodyRule, Denial, PublicKey, SessionToken, authenticate, authenticate_head};
use http::request::Parts;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The keys that are known.
pub struct Directory {
    tenancy: Arc<Tenancy>,
    /// By key id: `tenancy/user/fingerprint`.
    keys: HashMap<String, (PublicKey, Caller)>,
    /// The public keys of the issuer of tokens, a JWKS file.
    issuer_keys: PathBuf,
}

impl Directory {
    /// Reads the users' keys from the tenancy's folder.
    pub fn read(tenancy: Arc<Tenancy>, folder: &Path, issuer_keys: PathBuf) -> Result<Self> {
        let mut keys = HashMap::new();
        for user in &tenancy.users {
            for (fingerprint, key) in user.read_keys(folder)? {
                let id = format!("{}/{}/{fingerprint}", tenancy.id, user.id);
                if keys.insert(id, (key, caller(&tenancy, user))).is_some() {
                    return Err(Error::usage(format!(
                        "the user {} has a key twice: {fingerprint}",
                        user.name
                    )));
                }
            }
        }
        Ok(Self { tenancy, keys, issuer_keys })
    }

    /// Whether somebody who is known signed a request whose body has yet to come. The error is what is wrong with it.
    pub fn authenticate_head(&self, head: &Parts, rule: BodyRule, now: SystemTime) -> Result<(), String> {
        let find = |id: &str| self.find(id, now).map(|(key, _)| key);
        authenticate_head(head, rule, now, find).map(drop).map_err(told)
    }

    /// Who signed a request. The error is what is wrong with it, which its sender is not told.
    pub fn authenticate(
        &self,
        head: &Parts,
        body: &[u8],
        rule: BodyRule,
        now: SystemTime,
    ) -> Result<Caller, String> {
        let mut caller = None;
        let find = |id: &str| {
            let (key, who) = self.find(id, now)?;
            caller = Some(who);
            Some(key)
        };
        authenticate(head, body, rule, now, find).map_err(told)?;
        caller.ok_or_else(|| "key_unknown: nobody is known by the key".to_owned())
    }

    fn find(&self, id: &str, now: SystemTime) -> Option<(PublicKey, Caller)> {
        if !id.starts_with("ST$") {
            return self.keys.get(id).cloned();
        }
        let token = SessionToken::verify(id, &self.issuer_keys, now).ok()?;
        let text = |name: &str| token.claim(name).and_then(Value::as_str).map(str::to_owned);
        let caller = match text("ptype")?.as_str() {
            "resource" if text("res_tenant")? == self.tenancy.id => Caller::Resource {
                id: text("res_id")?,
                kind: text("res_type")?,
                compartment: text("res_compartment")?,
            },
            // A user who was removed has no session any more.
            "user" => caller(
                &self.tenancy,
                self.tenancy.users.iter().find(|user| Some(&user.id) == text("sub").as_ref())?,
            ),
            _ => return None,
        };
        Some((token.key().clone(), caller))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is a mapper of errors")]
fn told(denial: Denial) -> String {
    format!("{}: {denial}", denial.code())
}

fn caller(tenancy: &Tenancy, user: &User) -> Caller {
    Caller::User { id: user.id.clone(), name: user.name.clone(), groups: tenancy.groups_of(user) }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}
