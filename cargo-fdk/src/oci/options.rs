//! `cargo fdk start --oci`: what is asked for, and the endpoint that comes of it.

use super::surroundings::Furniture;
use super::{Directory as Known, Oci, Principals, Rate, Storage, ocid};
use crate::agent::directory::Directory;
use crate::issuer::Issuer;
use crate::platform::Platform;
use crate::policy::file::{PolicyFile, names_of};
use crate::policy::{Names, Policies};
use crate::server::Doors;
use crate::store::Window;
use crate::tenancy::{self, Tenancy};
use crate::{Error, Result};
use clap::Args;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

#[derive(Debug, Args)]
// Flattened into a command's own, whose group has the same name.
#[group(skip)]
pub(crate) struct Options {
    /// Serve OCI's own APIs too, Functions above all: callers sign their requests, and policy statements allow them
    #[arg(long)]
    oci: bool,
    /// The folder of the tenancy; made with a user, its key, and a `config` for the oci client and the SDKs when there is
    /// none. Without it the tenancy is gone when the platform is
    #[arg(long, value_name = "DIR", requires = "oci")]
    init_oci: Option<PathBuf>,
    #[command(flatten)]
    file: PolicyFile,
    /// What Object Storage and Vault serve: DIR/buckets/BUCKET/OBJECT and DIR/secrets/NAME. Functions have this machine's
    /// network then, to reach it
    #[arg(long, value_name = "DIR", requires = "oci")]
    storage: Option<PathBuf>,
    /// Seconds until the functions' tokens and keys are followed by others
    #[arg(long, value_name = "SECONDS", requires = "oci", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    rotate: u64,
    /// Requests that a caller has in a second; more are answered 429
    #[arg(long, value_name = "N", requires = "oci", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// With --oci, leave the Fn server's API open, which lets everybody in
    #[arg(long, requires = "oci")]
    with_fn_api: bool,
}

/// What is there before there are functions.
pub(crate) struct Setup {
    tenancy: Arc<Tenancy>,
    folder: PathBuf,
    temporary: Option<Directory>,
    principals: Arc<Principals>,
    base: Arc<OnceLock<String>>,
    storage: Option<Storage>,
}

impl Options {
    /// Reads the tenancy, or makes it. `None` when the OCI side is not asked for.
    pub(crate) fn set_up(&self) -> Result<Option<Setup>> {
        if !self.oci {
            if self.file.policies.is_some() {
                return Err(Error::usage("--policies is for --oci: nobody is asked who they are without it"));
            }
            return Ok(None);
        }
        let temporary = match &self.init_oci {
            Some(_) => None,
            None => Some(Directory::create().map_err(|error| {
                Error::failed(format!(
                    "no temporary folder for the tenancy: {error}; name one with --init-oci DIR"
                ))
            })?),
        };
        let folder = match (&self.init_oci, &temporary) {
            (Some(folder), _) => folder.clone(),
            (None, Some(temporary)) => temporary.path().join("tenancy"),
            (None, None) => return Err(Error::failed("no folder for the tenancy")),
        };
        let tenancy = Arc::new(tenancy::init(&folder)?);
        let folder =
            folder.canonicalize().map_err(|error| Error::failed(format!("{}: {error}", folder.display())))?;
        let storage = match &self.storage {
            Some(dir) if !dir.is_dir() => {
                return Err(Error::usage(format!("--storage {}: there is no such folder", dir.display())));
            }
            storage => storage.as_deref().map(Storage::at),
        };
        let issuer = Issuer::open(&folder.join("issuer"))?;
        let principals = Principals::new(tenancy.clone(), issuer, Duration::from_secs(self.rotate))?;
        if let Some(user) = tenancy.users.first() {
            principals.session(&user.id, &folder.join("session"))?;
        }
        Ok(Some(Setup {
            tenancy,
            folder,
            temporary,
            principals: Arc::new(principals),
            base: Arc::default(),
            storage,
        }))
    }

    /// The doors of a platform whose functions are registered.
    pub(crate) fn open(&self, setup: Option<Setup>, platform: &Arc<Platform>) -> Result<Doors> {
        let Some(setup) = setup else { return Ok(Doors::default()) };
        let names = names(&setup.tenancy, platform, setup.storage.as_ref());
        let policies = self.file.read(setup.tenancy.clone(), names)?;
        let directory =
            Known::read(setup.tenancy.clone(), &setup.folder, setup.principals.public_keys().to_path_buf())?;
        for func in platform.store.all_funcs() {
            let app =
                platform.store.app(&func.app_id).map_err(|refusal| Error::failed(refusal.to_string()))?;
            setup.principals.of(&app, &func)?;
        }
        let oci = Oci {
            policies: policies.into(),
            file: self.file.clone(),
            directory,
            storage: setup.storage,
            principals: setup.principals,
            decisions: super::Decisions::default(),
            rate: Rate::of(self.rate),
            work_requests: super::functions::WorkRequests::default(),
            base: setup.base,
            folder: setup.folder,
            _temporary: setup.temporary,
        };
        Ok(Doors { oci: Some(Arc::new(oci)), no_fn: !self.with_fn_api })
    }
}

impl Setup {
    /// Whether functions are served buckets and secrets, for which they need the network.
    pub(crate) fn serves_storage(&self) -> bool {
        self.storage.is_some()
    }

    /// What functions are given.
    pub(crate) fn furniture(&self) -> Furniture {
        Furniture::new(self.principals.clone(), self.base.clone(), self.storage.is_some())
    }
}

/// What the placeholders of a policy file stand for: the tenancy's, and those of the functions, the buckets and the
/// secrets that there are. `function_id` and its like are empty unless there is exactly one.
pub(super) fn names(tenancy: &Tenancy, platform: &Platform, storage: Option<&Storage>) -> Names {
    let mut names = names_of(tenancy);
    let apps = platform.store.apps(None, &Window::whole()).items;
    let apps = apps.into_iter().map(|app| (app.name, ocid::app(&app.id)));
    let functions = platform.store.all_funcs().into_iter().map(|func| (func.name, ocid::func(&func.id)));
    let secrets = storage.map(Storage::secret_names).unwrap_or_default();
    let secrets = secrets.into_iter().map(|name| (name.clone(), ocid::secret(&name)));
    let buckets = storage.map(Storage::bucket_names).unwrap_or_default();
    let buckets = buckets.into_iter().map(|name| (name.clone(), name));
    fill(&mut names, "application_id", apps);
    fill(&mut names, "function_id", functions);
    fill(&mut names, "secret_id", secrets);
    fill(&mut names, "bucket", buckets);
    names
}

/// `KIND` for the only one, and `NAME_KIND` for each, whose name's own signs become `_`.
fn fill(names: &mut Names, kind: &str, all: impl Iterator<Item = (String, String)>) {
    let all: Vec<_> = all.collect();
    let only = if let [(_, value)] = all.as_slice() { value.clone() } else { String::new() };
    names.insert(kind.to_owned(), only);
    for (name, value) in all {
        let plain = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
        names.insert(format!("{plain}_{kind}"), value);
    }
}

/// How much of the policy file counts.
fn in_force(policies: &Policies) -> String {
    match policies.statements().len() {
        0 => "nobody is allowed anything: no statement is in force (--policies FILE)".to_owned(),
        1 => "one policy statement is in force".to_owned(),
        count => format!("{count} policy statements are in force"),
    }
}

impl Oci {
    /// Says where the endpoint is and how to try it.
    pub(crate) fn tell(&self, platform: &Platform) {
        let base = self.base.get().map_or("", String::as_str);
        let policies = self.policies();
        let allowed = in_force(&policies);
        let config = self.folder.join("config");
        let compartment = policies.tenancy().home();
        let out = &mut anstream::stdout();
        let _ = writeln!(out, "OCI         {base}: {allowed}");
        if config.is_file() {
            let _ = writeln!(
                out,
                "            oci --config-file {} --endpoint {base} fn application list --compartment-id {compartment}",
                config.display()
            );
        }
        for func in platform.store.all_funcs() {
            let _ = writeln!(out, "            {} {}", func.name, ocid::func(&func.id));
        }
    }

    /// Rotates identities, makes those of functions that came by the Fn server's door, and reads the policy file again when
    /// it has changed. Runs until it is dropped.
    pub(crate) async fn keep(self: Arc<Self>, platform: Arc<Platform>) {
        let mut changed = self.file.modified();
        let mut rotated = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = self.file.modified();
            if now != changed {
                changed = now;
                self.read_again(&platform);
                let allowed = in_force(&self.policies());
                let _ = writeln!(anstream::stdout(), "OCI         the policy file has changed: {allowed}");
            }
            for func in platform.store.all_funcs() {
                let app = platform.store.app(&func.app_id).ok().filter(|_| !self.principals.has(&func.id));
                if let Some(app) = app {
                    // Before the first call, which would stop everything for as long as a key takes. That call tells of a
                    // failure.
                    let principals = self.principals.clone();
                    let _ = tokio::task::spawn_blocking(move || principals.of(&app, &func)).await;
                }
            }
            if rotated.elapsed() >= self.principals.every() {
                rotated = tokio::time::Instant::now();
                let (principals, platform, tenancy) =
                    (self.principals.clone(), platform.clone(), self.policies().tenancy().clone());
                let done = tokio::task::spawn_blocking(move || {
                    let is_there = |id: &str| tenancy.user(id).is_some() || platform.store.func(id).is_ok();
                    principals.rotate(is_there)
                });
                if let Ok(Err(error)) = done.await {
                    let _ =
                        writeln!(anstream::stderr(), "error: the identities could not be rotated: {error}");
                }
            }
        }
    }

    /// Reads the policy file again. What was in force stays so when it is not good.
    pub(super) fn read_again(&self, platform: &Platform) {
        let tenancy = self.policies().tenancy().clone();
        match self.file.read(tenancy.clone(), names(&tenancy, platform, self.storage.as_ref())) {
            Ok(policies) => *self.policies.write() = Arc::new(policies),
            Err(error) => {
                let _ = writeln!(
                    anstream::stderr(),
                    "error: {error}\n       the statements of before stay in force"
                );
            }
        }
    }
}
