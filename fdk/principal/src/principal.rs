//! The principal of a running function: its identity, refreshed when used.
//!
//! No timer and no task refreshes it, because a function's container is frozen between calls: a timer would fire hours
//! late, and a token fetched before the freeze would be stale after it. So every use asks the clock.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use crate::error::{Kind, Refusal};
use crate::identity::Identity;
use crate::policy::Policy;
use crate::sources::Sources;
use crate::token;
use crate::verify;

/// The verified principal of this function.
///
/// Share it by `Arc`; every method takes `&self`.
pub struct Principal {
    sources: Sources,
    policy: Policy,
    /// Locked only to copy or replace the pointer.
    identity: RwLock<Arc<Identity>>,
    /// Held through a reload, so that there is one at a time.
    last_reload: Mutex<Option<Reload>>,
}

struct Reload {
    at: SystemTime,
    refusal: Option<Refusal>,
}

/// How often both files are read again when they do not belong together: a rotation writes two files, not one.
const REREADS: usize = 3;
/// The pause before reading again while nothing valid is held, for the writer to finish.
const SETTLE: Duration = Duration::from_millis(5);
/// The shortest time between two reloads while the identity held is valid: the platform may be late with its new
/// token, and then every use in the last five minutes finds a refresh due.
const RETRY_VALID: Duration = Duration::from_secs(1);
/// The same once it has expired, when a call waits for the answer.
const RETRY_EXPIRED: Duration = Duration::from_millis(100);

impl Principal {
    pub(crate) fn load(sources: Sources, policy: Policy, now: SystemTime) -> Result<Self, Refusal> {
        let identity = check_settled(&sources, &policy, now, SETTLE)?;
        Ok(Self { sources, policy, identity: RwLock::new(Arc::new(identity)), last_reload: Mutex::new(None) })
    }

    /// The identity as last verified, without looking at the clock or at any file.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The identity to use now, reloaded first when that is due.
    ///
    /// From five minutes before expiry the token and the key are read and verified again. While the identity held is
    /// valid, a reload that fails leaves it in place; once it has expired, the error says why there is no newer one.
    pub fn current(&self) -> Result<Arc<Identity>, Refusal> {
        self.current_at(SystemTime::now())
    }

    /// [`current`](Self::current), by the caller's clock.
    pub fn current_at(&self, now: SystemTime) -> Result<Arc<Identity>, Refusal> {
        let held = self.identity();
        if !held.refresh_due(now) {
            return Ok(held);
        }
        if !self.can_change() {
            return if held.expired(now) { Err(self.expired(&held, now)) } else { Ok(held) };
        }
        // With a valid identity in hand nobody waits for a reload; without one, everybody waits for the same.
        let reload = match self.last_reload.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if held.expired(now) => self.wait_for_reload(),
            Err(TryLockError::WouldBlock) => return Ok(held),
        };
        self.reload(reload, now, |newest| !newest.refresh_due(now))
    }

    /// A newer identity than one a service has just refused with 401, read at once rather than when due.
    ///
    /// Answers the identity held when there is nothing newer: a second 401 is then the service's last word. Within a second
    /// of the last reload the files are not read again (a tenth of one once the identity held has expired), so that refusals
    /// make no storm of reloads: what is written in that second is found by whoever asks after it.
    pub fn renew(&self, refused: &Arc<Identity>) -> Result<Arc<Identity>, Refusal> {
        self.renew_at(refused, SystemTime::now())
    }

    /// [`renew`](Self::renew), by the caller's clock.
    pub fn renew_at(&self, refused: &Arc<Identity>, now: SystemTime) -> Result<Arc<Identity>, Refusal> {
        if !self.can_change() {
            return self.current_at(now);
        }
        self.reload(self.wait_for_reload(), now, |newest| {
            !Arc::ptr_eq(newest, refused) && !newest.expired(now)
        })
    }

    /// Reloads unless `fresh` finds that another caller just did, or the last attempt is too recent.
    fn reload(
        &self,
        mut last: MutexGuard<'_, Option<Reload>>,
        now: SystemTime,
        fresh: impl FnOnce(&Arc<Identity>) -> bool,
    ) -> Result<Arc<Identity>, Refusal> {
        let held = self.identity();
        if fresh(&held) {
            return Ok(held);
        }
        let expired = held.expired(now);
        let (retry, patience) = if expired { (RETRY_EXPIRED, SETTLE) } else { (RETRY_VALID, Duration::ZERO) };
        if let Some(reload) = last.as_ref().filter(|reload| reload.is_within(retry, now)) {
            let refusal = reload.refusal.clone();
            return if expired { Err(refusal.unwrap_or_else(|| self.expired(&held, now))) } else { Ok(held) };
        }
        let result = check_settled(&self.sources, &self.policy, now, patience);
        let refused_before = last.as_ref().and_then(|reload| reload.refusal.as_ref()).map(Refusal::code);
        *last = Some(Reload { at: now, refusal: result.as_ref().err().cloned() });
        match result {
            Ok(identity) => {
                let identity = Arc::new(identity);
                *self.identity.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&identity);
                Ok(identity)
            }
            Err(refusal) if expired => Err(refusal),
            Err(refusal) => {
                // Said once per reason: the next attempt is a second away, and the last one minutes.
                if refused_before != Some(refusal.code()) {
                    tracing::warn!(
                        code = refusal.code(),
                        "the resource principal was not refreshed: {refusal}"
                    );
                }
                Ok(held)
            }
        }
    }

    /// A value cannot be rotated; only a file can.
    fn can_change(&self) -> bool {
        self.sources.token.is_path()
    }

    fn wait_for_reload(&self) -> MutexGuard<'_, Option<Reload>> {
        self.last_reload.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expired(&self, held: &Identity, now: SystemTime) -> Refusal {
        let ago = now.duration_since(held.expires_at()).unwrap_or_default().as_secs();
        Kind::Token(self.sources.token_origin(), token::Fault::Expired { ago }).into()
    }
}

impl Reload {
    /// False when the clock was set back since, so that a wrong clock never stops reloads.
    fn is_within(&self, time: Duration, now: SystemTime) -> bool {
        now.duration_since(self.at).is_ok_and(|since| since < time)
    }
}

/// Reads and checks both files, again while they look like the middle of a rotation.
fn check_settled(
    sources: &Sources,
    policy: &Policy,
    now: SystemTime,
    patience: Duration,
) -> Result<Identity, Refusal> {
    let mut result = verify::check(sources, policy, now);
    for _ in 0..REREADS {
        match &result {
            Err(refusal) if sources.any_file() && refusal.may_be_half_rotated() => {
                sleep(patience);
                result = verify::check(sources, policy, now);
            }
            _ => break,
        }
    }
    result
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal").field("identity", &self.identity()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;
    use std::time::{Instant, UNIX_EPOCH};
    use std::{fs, thread};

    use serde_json::Value;

    use super::*;
    use crate::environment::{Environment, KEY, REGION, TOKEN, VERSION};

    /// Token and key in files; the key is still the one before.
    #[test]
    fn a_rotation_that_ends_while_we_read_is_waited_for() {
        let vectors =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/principal/vectors/signing.json");
        let vectors: Value = serde_json::from_str(&fs::read_to_string(vectors).unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (token, key) = (directory.path().join("rpst"), directory.path().join("private.pem"));
        fs::write(&token, vectors["rpst"].as_str().unwrap()).unwrap();
        fs::write(&key, vectors["keys"]["api_key.pkcs8.pem"].as_str().unwrap()).unwrap();
        let environment = Environment::read(|name| match name {
            VERSION => Some(OsString::from("2.2")),
            REGION => Some(OsString::from("phx")),
            TOKEN => Some(token.clone().into()),
            KEY => Some(key.clone().into()),
            _ => None,
        });
        let sources = environment.sources().unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(vectors["now"].as_u64().unwrap());
        let check = |patience| check_settled(&sources, &Policy::default(), now, patience);

        let began = Instant::now();
        assert_eq!(check(Duration::from_millis(20)).unwrap_err().code(), "key_mismatch");
        assert!(began.elapsed() >= Duration::from_millis(60));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(50));
                fs::write(&key, vectors["keys"]["session.pkcs1.pem"].as_str().unwrap()).unwrap();
            });
            assert!(check(Duration::from_secs(1)).is_ok());
        });
    }
}
