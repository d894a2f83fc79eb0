//! The identities of the functions, and the sessions of the users: tokens and keys in files, which rotate.

use super::ocid;
use crate::agent::directory::Directory;
use crate::issuer::{Claims, Issuer, KEY, TOKEN};
use crate::sandbox;
use crate::store::model::{App, Func};
use crate::tenancy::Tenancy;
use crate::{Error, Result};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fmt;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The identities that were issued, each in a folder of its own.
pub struct Principals {
    tenancy: Arc<Tenancy>,
    issuer: Issuer,
    public_keys: PathBuf,
    /// How long until a token is followed by another.
    every: Duration,
    /// Where those of the functions are.
    identities: PathBuf,
    /// Removed when this is; the next platform removes that of one that was killed.
    _directory: Directory,
    issued: Mutex<HashMap<String, Issued>>,
    /// One for each identity: a key and its token are two files, which one thread at a time may write.
    turns: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

#[derive(Debug, Clone)]
struct Issued {
    folder: PathBuf,
    claims: Map<String, Value>,
    until: SystemTime,
}

impl Principals {
    /// Identities signed by the issuer in the tenancy's folder.
    pub fn new(tenancy: Arc<Tenancy>, issuer: Issuer, every: Duration) -> Result<Self> {
        let fails = |error: std::io::Error| Error::failed(format!("no folder for the identities: {error}"));
        let directory = Directory::create().map_err(fails)?;
        let identities = directory.path().join("identities");
        std::fs::DirBuilder::new().mode(0o700).create(&identities).map_err(fails)?;
        let public_keys = issuer.publish_keys()?;
        Ok(Self {
            tenancy,
            issuer,
            public_keys,
            every,
            identities,
            _directory: directory,
            issued: Mutex::default(),
            turns: Mutex::default(),
        })
    }

    /// Takes the functions' identities away: there are no functions any more, and a rotation may be on its way.
    pub fn close(&self) {
        let _ = std::fs::remove_dir_all(&self.identities);
    }

    /// The issuer's public keys, a JWKS file.
    pub fn public_keys(&self) -> &Path {
        &self.public_keys
    }

    /// The folder with a function's token and key; they are made when there are none.
    pub fn of(&self, app: &App, func: &Func) -> Result<PathBuf> {
        let turn = self.turn_of(&func.id);
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(issued) = self.issued().get(&func.id) {
            return Ok(issued.folder.clone());
        }
        let id = ocid::func(&func.id);
        let compartment = super::functions::compartment_of(&self.tenancy, app);
        let Value::Object(claims) = json!({
            "sub": id, "res_id": id, "res_type": "fnfunc", "ptype": "resource", "ttype": "res",
            "tenant": self.tenancy.id, "opc-tenant": self.tenancy.id, "res_tenant": self.tenancy.id,
            "opc-compartment": compartment, "res_compartment": compartment, "opc-instance": id,
        }) else {
            return Err(Error::failed("no claims"));
        };
        let folder = self.identities.join(func.id.to_ascii_lowercase());
        give_to_functions(&folder)
            .map_err(|error| Error::failed(format!("{}: {error}", folder.display())))?;
        let mut issued = Issued { folder: folder.clone(), claims, until: SystemTime::UNIX_EPOCH };
        self.issue(&mut issued)?;
        self.issued().insert(func.id.clone(), issued);
        Ok(folder)
    }

    /// Whether a function, or a user, has one.
    pub fn has(&self, id: &str) -> bool {
        self.issued().contains_key(id)
    }

    /// Issues a session of a user into a folder, for the clients that read `security_token_file`.
    pub fn session(&self, user: &str, folder: &Path) -> Result<()> {
        let Value::Object(claims) = json!({
            "sub": user, "ptype": "user", "tenant": self.tenancy.id,
            "res_id": null, "res_type": null, "res_tenant": null, "res_compartment": null,
        }) else {
            return Err(Error::failed("no claims"));
        };
        let mut issued = Issued { folder: folder.to_path_buf(), claims, until: SystemTime::UNIX_EPOCH };
        self.issue(&mut issued)?;
        self.issued().insert(user.to_owned(), issued);
        Ok(())
    }

    /// Gives everybody a new key and a token for it. Those of functions that are gone are forgotten. The error is of all for
    /// whom it failed; the others have theirs.
    pub fn rotate(&self, is_there: impl Fn(&str) -> bool) -> Result<()> {
        let all: Vec<String> = self.issued().keys().cloned().collect();
        let mut failed = Vec::new();
        for id in all {
            let turn = self.turn_of(&id);
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            let found = self.issued().get(&id).cloned();
            let Some(mut issued) = found.filter(|_| self.identities.is_dir()) else { continue };
            if !is_there(&id) {
                self.issued().remove(&id);
                let _ = std::fs::remove_dir_all(&issued.folder);
                continue;
            }
            match self.issue(&mut issued) {
                Ok(()) => drop(self.issued().insert(id, issued)),
                Err(error) => failed.push(format!("{id}: {error}")),
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(Error::failed(failed.join("; "))) }
    }

    /// Whose they are, by the platform's id of a function or a user's OCID, and until when their tokens are good.
    pub fn issued_to(&self) -> Vec<(String, SystemTime)> {
        let mut all: Vec<_> = self.issued().iter().map(|(id, issued)| (id.clone(), issued.until)).collect();
        all.sort();
        all
    }

    /// How often [`Principals::rotate`] is due.
    pub fn every(&self) -> Duration {
        self.every
    }

    /// Tokens live a third longer than it takes to the next, as OCI's do: 20 minutes, and 15.
    fn issue(&self, issued: &mut Issued) -> Result<()> {
        let (now, ttl) = (SystemTime::now(), self.every * 4 / 3 + Duration::from_secs(1));
        self.issuer.issue(&issued.folder, &Claims { ttl, others: issued.claims.clone() }, now)?;
        issued.until = now + ttl;
        Ok(())
    }

    fn turn_of(&self, id: &str) -> Arc<Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(id.to_owned()).or_default().clone()
    }

    fn issued(&self) -> std::sync::MutexGuard<'_, HashMap<String, Issued>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a function's folder. Root runs functions as another user, who must be able to read what is in it.
fn give_to_functions(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(folder)?;
    if rustix::process::geteuid().is_root() {
        chown(folder, Some(sandbox::USER), Some(sandbox::USER))?;
    }
    Ok(())
}

/// The variables that lead a function to its identity.
pub(super) fn variables(folder: &Path) -> [(&'static str, String); 2] {
    let path = |name: &str| folder.join(name).display().to_string();
    [("OCI_RESOURCE_PRINCIPAL_RPST", path(TOKEN)), ("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", path(KEY))]
}

impl fmt::Debug for Principals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principals").field("every", &self.every).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_that_start_together_have_one_identity_and_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let tenancy = Arc::new(crate::tenancy::init(&folder.path().join("tenancy")).unwrap());
        let issuer = Issuer::open(&folder.path().join("issuer")).unwrap();
        let principals = Principals::new(tenancy, issuer, Duration::from_mins(15)).unwrap();
        let (app, func) = (App::default(), Func { id: "01ABC".into(), ..Func::default() });
        let token = || std::fs::read(principals.of(&app, &func).unwrap().join(TOKEN)).unwrap();
        let tokens: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(token)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(tokens.iter().all(|one| *one == tokens[0]));
        principals.rotate(|_| true).unwrap();
        assert_ne!(token(), tokens[0]);
        let home = principals.of(&app, &func).unwrap();
        principals.close();
        principals.rotate(|_| true).unwrap();
        assert!(!home.exists(), "no rotation brings it back");
    }

    #[test]
    fn a_rotation_that_fails_for_one_is_done_for_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let tenancy = Arc::new(crate::tenancy::init(&folder.path().join("tenancy")).unwrap());
        let issuer = Issuer::open(&folder.path().join("issuer")).unwrap();
        let principals = Principals::new(tenancy, issuer, Duration::from_mins(15)).unwrap();
        for name in ["a", "b", "c"] {
            principals.session(name, &folder.path().join(name)).unwrap();
        }
        let token = |name: &str| std::fs::read(folder.path().join(name).join(TOKEN)).unwrap();
        let before = [token("a"), token("c")];
        std::fs::remove_dir_all(folder.path().join("b")).unwrap();
        std::fs::write(folder.path().join("b"), "no folder").unwrap();
        let told = principals.rotate(|_| true).unwrap_err().to_string();
        assert!(told.contains("b: "), "{told}");
        assert!(token("a") != before[0] && token("c") != before[1]);
    }
}
