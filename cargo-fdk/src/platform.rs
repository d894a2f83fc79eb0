//! The platform in this process: what there is, what runs, and how a call gets from the one to the other.
//!
//! Doors open onto it from outside ([`crate::server`]); it knows none of them.

use crate::agent::{Call, Fault, Reply, Spec};
use crate::calls::{Calls, Record};
use crate::images::Images;
use crate::pool::{Lease, Limits, Plan, Pool};
use crate::sandbox::Sandbox;
use crate::store::model::{App, Func};
use crate::store::{Refusal, Store};
use bytes::Bytes;
use http::HeaderMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;

/// What else a platform gives its functions: an identity, services.
pub trait Surroundings: Send + Sync {
    /// Adds to a container that is about to start: environment, files it may read, folders that go when it goes.
    fn furnish(&self, app: &App, func: &Func, spec: &mut Spec) -> Result<(), Fault>;

    /// Adds to the headers of a call.
    fn address(&self, _app: &App, _func: &Func, _headers: &mut HeaderMap) {}
}

/// The platform.
pub struct Platform {
    /// What there is.
    pub store: Store,
    /// What was built.
    pub images: Images,
    /// What runs.
    pub pool: Pool,
    /// What was called.
    pub calls: Calls,
    settings: Settings,
    surroundings: Vec<Arc<dyn Surroundings>>,
    /// Each container holds one while it is there.
    alive: Arc<()>,
}

/// How functions run here.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Containers, and what becomes of them between calls.
    pub limits: Limits,
    /// Configuration from this process's environment, for a person who debugs; wins over the function's.
    pub config: Vec<(String, String)>,
    /// Whether what functions print is passed on to stderr.
    pub echo: bool,
    /// The walls around functions.
    pub sandbox: Option<Sandbox>,
    /// Whether callers get a reply as it comes, which the real server never does.
    pub stream_replies: bool,
}

/// What OCI, and a server configured as OCI is, takes for a body, either way.
pub const BODY_LIMIT: usize = 6 * 1024 * 1024;

impl Platform {
    /// A platform on this store and these images.
    pub fn new(store: Store, images: Images, settings: Settings) -> Self {
        let pool = Pool::new(settings.limits.clone());
        Self {
            store,
            images,
            pool,
            calls: Calls::default(),
            settings,
            surroundings: Vec::new(),
            alive: Arc::default(),
        }
    }

    /// Adds to what functions get.
    #[must_use]
    pub fn with(mut self, surroundings: Arc<dyn Surroundings>) -> Self {
        self.surroundings.push(surroundings);
        self
    }

    /// Calls a function and waits for its reply. The call has an id in either case: give it one, and a fault can tell it.
    pub async fn invoke(self: &Arc<Self>, function: &str, call: Call) -> Result<Reply, Fault> {
        self.begin(function, call).await?.finish().await
    }

    /// Calls a function and returns when its reply has begun; the body comes in pieces, and a fault ends it.
    pub async fn stream(self: &Arc<Self>, function: &str, call: Call) -> Result<Streamed, Fault> {
        let mut started = self.begin(function, call).await?;
        let call = started.call.take().unwrap_or_default();
        let mut reply = match started.lease.begin(call).await {
            Ok(reply) => reply,
            Err(fault) => {
                started.note(0, Some(&fault));
                return Err(fault);
            }
        };
        let headers = std::mem::take(&mut reply.headers);
        let (sender, body) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut sent = 0;
            let fault = loop {
                match reply.next().await {
                    Ok(None) => break None,
                    Ok(Some(piece)) => {
                        sent += piece.len();
                        if sender.send(Ok(piece)).await.is_err() {
                            // The container goes with the lease.
                            return started.note(sent, Some(&left()));
                        }
                    }
                    Err(fault) => break Some(fault),
                }
            };
            started.lease.end(fault.as_ref());
            started.note(sent, fault.as_ref());
            if let Some(fault) = fault {
                let _ = sender.send(Err(fault)).await;
            }
        });
        Ok(Streamed { headers, body })
    }

    /// Calls a function and does not wait: the call has begun when this returns.
    pub async fn detach(self: &Arc<Self>, function: &str, call: Call) -> Result<(), Fault> {
        let started = self.begin(function, call).await?;
        // Its record tells what became of it.
        tokio::spawn(async move { started.finish().await.map(drop) });
        Ok(())
    }

    /// Whether callers get a reply as it comes.
    pub fn streams_replies(&self) -> bool {
        self.settings.stream_replies
    }

    /// Ends every container, and waits until nothing is left of them; not for long.
    pub async fn close(&self) {
        for function in self.pool.functions() {
            self.pool.retire(&function);
        }
        for _ in 0..600 {
            if Arc::strong_count(&self.alive) == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Finds a container for a call.
    async fn begin(self: &Arc<Self>, function: &str, mut call: Call) -> Result<Started, Fault> {
        let func = self.store.func(function)?;
        let app = self.store.app(&func.app_id)?;
        let id = call.id.get_or_insert_with(crate::id::next).clone();
        let record = Record {
            id,
            function: func.id.clone(),
            name: func.name.clone(),
            at: millis(SystemTime::now()),
            request: call.body.len(),
            ..Record::default()
        };
        let mut told = Told { platform: self.clone(), began: Instant::now(), record: Some(record) };
        for surroundings in &self.surroundings {
            surroundings.address(&app, &func, &mut call.headers);
        }
        let acquired = match self.plan(app, func) {
            Ok(plan) => self.pool.acquire(&plan).await,
            Err(fault) => Err(fault),
        };
        match acquired {
            Ok(lease) => {
                told.has_container(&lease);
                Ok(Started { lease, call: Some(call), told })
            }
            Err(fault) => {
                told.tell(Some(&fault));
                Err(fault)
            }
        }
    }

    /// How the function's containers are to be.
    fn plan(self: &Arc<Self>, app: App, func: Func) -> Result<Plan, Fault> {
        let (built, image) = self.images.find(&func.image).ok_or_else(|| {
            let detail = format!(
                "no image {} is here: cargo fdk start DIR builds one, and so does fn deploy --local (see cargo fdk shim --help)",
                func.image
            );
            Fault::new(404, format!("pull access denied for {}", func.image), detail)
        })?;
        let mut revision = DefaultHasher::new();
        (&built, &image.executable, &func.updated_at, &app.updated_at).hash(&mut revision);
        (&func.config, &app.config).hash(&mut revision);
        let seconds = |seconds: i32| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let (patience, idle) = (seconds(func.timeout), seconds(func.idle_timeout));
        let function = func.id.clone();
        // A container keeps nothing of the platform alive.
        let platform = Arc::downgrade(self);
        let spec = move || {
            let mut spec = Spec::new(&func.name, image.executable.clone());
            spec.config =
                app.config.iter().chain(&func.config).map(|(k, v)| (k.clone(), v.clone())).collect();
            spec.config.extend(image.config.iter().cloned());
            spec.app_id.clone_from(&app.id);
            spec.fn_id.clone_from(&func.id);
            spec.memory = func.memory;
            spec.timeout = seconds(func.timeout);
            spec.reply_limit = Some(BODY_LIMIT);
            spec.visible.clone_from(&image.visible);
            if let Some(platform) = platform.upgrade() {
                // A person's variables may name files, such as a principal's.
                let paths = platform.settings.config.iter().map(|(_, value)| PathBuf::from(value));
                spec.visible.extend(paths.filter(|path| path.is_absolute() && path.exists()));
                spec.config.extend(platform.settings.config.iter().cloned());
                spec.kept.push(platform.alive.clone());
                spec.echo = platform.settings.echo;
                spec.sandbox = platform.settings.sandbox;
                for surroundings in &platform.surroundings {
                    surroundings.furnish(&app, &func, &mut spec)?;
                }
            }
            Ok(spec)
        };
        let revision = revision.finish();
        Ok(Plan { function, revision, patience, idle, spec: Arc::new(spec) })
    }
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Platform").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// A reply that comes.
#[derive(Debug)]
pub struct Streamed {
    /// The headers.
    pub headers: HeaderMap,
    /// The pieces of the body.
    pub body: mpsc::Receiver<Result<Bytes, Fault>>,
}

/// A call's record, told once whatever becomes of the call: dropped untold, it tells that the caller left.
struct Told {
    platform: Arc<Platform>,
    /// When the call came, and from its container on when that was called.
    began: Instant,
    /// None once it is told.
    record: Option<Record>,
}

impl Told {
    fn has_container(&mut self, lease: &Lease) {
        let Some(record) = &mut self.record else { return };
        let waited = self.began.elapsed();
        record.container = lease.container();
        record.cold = lease.is_cold();
        if record.cold {
            record.start = lease.socket_after().min(waited);
        }
        record.queued = waited.saturating_sub(record.start);
        self.began = Instant::now();
    }

    fn tell(&mut self, fault: Option<&Fault>) {
        let Some(mut record) = self.record.take() else { return };
        if record.container == 0 {
            record.cold = true;
            record.queued = self.began.elapsed();
        } else {
            record.call = self.began.elapsed();
        }
        record.status = fault.map_or(200, Fault::status);
        record.fault = fault.map(ToString::to_string).unwrap_or_default();
        self.platform.calls.add(record);
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.tell(Some(&left()));
    }
}

/// A call that has its container.
struct Started {
    lease: Lease,
    call: Option<Call>,
    told: Told,
}

impl Started {
    async fn finish(mut self) -> Result<Reply, Fault> {
        let reply = self.lease.call(self.call.take().unwrap_or_default()).await;
        let bytes = reply.as_ref().map_or(0, |reply| reply.body.len());
        self.note(bytes, reply.as_ref().err());
        reply
    }

    fn note(&mut self, reply: usize, fault: Option<&Fault>) {
        if let Some(record) = &mut self.told.record {
            record.logs = self.lease.call_logs();
            record.memory_kib = self.lease.memory().map(|memory| memory.pss_kib);
            record.reply = reply;
        }
        self.told.tell(fault);
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.note(0, Some(&left()));
    }
}

/// Nobody waits for the reply any more.
fn left() -> Fault {
    Fault::new(444, "Client cancelled context", "the caller left")
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.status(), refusal.message().to_owned(), "")
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
