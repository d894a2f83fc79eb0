//! `cargo fdk start`: functions behind HTTP on this machine, at the paths where the Fn server has them.

use crate::agent::directory::{self, Directory};
use crate::calls::Record;
use crate::function::Function;
use crate::images::{self, Images};
use crate::platform::{Platform, Settings};
use crate::pool::Limits;
use crate::sandbox::Sandbox;
use crate::server::Doors;
use crate::stop::stopped;
use crate::store::{Store, Window};
use crate::watch::Watch;
use crate::{Error, Result, invoke, oci, register, server};
use clap::Args;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Options {
    /// Function folders, or folders of function folders
    #[arg(default_value = ".")]
    dirs: Vec<PathBuf>,
    /// The application's name, in the paths of triggers
    #[arg(long, value_name = "NAME", default_value = "app")]
    app: String,
    /// The port on 127.0.0.1; 0 for any that is free, and a state that is not kept
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Build again when a source changes; calls that are on their way end where they began
    #[arg(long)]
    watch: bool,
    /// Pass replies on as they come, to see tokens appear; the real server buffers each whole, and so does this otherwise
    #[arg(long)]
    stream_replies: bool,
    /// Containers of one function at a time
    #[arg(long, value_name = "N", default_value_t = Limits::default().containers)]
    containers: usize,
    /// Give functions this machine's network
    #[arg(long)]
    network: bool,
    /// Run functions without walls, to debug them
    #[arg(long)]
    no_sandbox: bool,
    /// Let functions run between calls, to debug them
    #[arg(long)]
    no_freeze: bool,
    /// Where applications, functions and triggers are kept; a folder of the user's when not given
    #[arg(long, value_name = "DIR", env = "FDK_STATE_DIR")]
    state: Option<PathBuf>,
    #[command(flatten)]
    oci: oci::options::Options,
}

/// Serves until Ctrl-C or SIGTERM, and then ends every container before this ends.
pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let stopped = stopped()?;
    tokio::pin!(stopped);
    let work = prepare(&options);
    let ready = tokio::select! {
        biased;
        ready = work => ready?,
        code = &mut stopped => return Ok(code),
    };
    let Ready { platform, doors, listener, watch, _temporary } = ready;
    let mut calls = platform.calls.listen();
    tokio::spawn(async move {
        loop {
            match calls.recv().await {
                Ok(record) => drop(writeln!(anstream::stderr(), "{}", line(&record))),
                // A terminal that is slower than the calls: some go untold, those that follow do not.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            }
        }
    });
    let mut code = ExitCode::SUCCESS;
    let oci = doors.oci.clone();
    let served = server::serve(listener, platform.clone(), doors, async { code = stopped.await });
    match watch {
        Some(watch) => tokio::select! {
            () = served => {}
            () = rebuild(&platform, &options, watch) => {}
        },
        None => served.await,
    }
    platform.close().await;
    if let Some(oci) = oci {
        oci.principals().close();
    }
    Ok(code)
}

/// What serves.
struct Ready {
    platform: Arc<Platform>,
    doors: Doors,
    listener: TcpListener,
    watch: Option<Watch>,
    /// The state, where it is not to be kept.
    _temporary: Option<Directory>,
}

async fn prepare(options: &Options) -> Result<Ready> {
    let bind = || async {
        TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.map_err(|error| {
            Error::failed(format!(
                "port {} cannot be had ({error}): choose another with --port",
                options.port
            ))
        })
    };
    // Before the build, so that nobody waits for it in vain; and let go, since nobody may call before it is done.
    drop(bind().await?);
    directory::sweep_once();
    let (temporary, state) = state(options)?;
    let store = Store::open(&state.join(format!("{}.redb", options.port)))?;
    let defaults = Limits::default();
    let freeze_after = defaults.freeze_after.filter(|_| !options.no_freeze);
    let settings = Settings {
        limits: Limits { containers: options.containers.max(1), freeze_after },
        config: invoke::environment(),
        echo: true,
        stream_replies: options.stream_replies,
        sandbox: (!options.no_sandbox).then(|| Sandbox::strongest(options.network)),
    };
    let oci = options.oci.set_up()?;
    // What functions are served is on this machine's network, which they are given then.
    let networked = oci.as_ref().is_some_and(oci::options::Setup::serves_storage);
    let walls = walls(settings.sandbox.map(|walls| if networked { walls.with_network() } else { walls }));
    let mut platform = Platform::new(store, Images::at(images::folder(&state)), settings);
    if let Some(oci) = &oci {
        platform = platform.with(Arc::new(oci.furniture()));
    }
    let platform = Arc::new(platform);
    let mut watch = if options.watch { Some(Watch::new()?) } else { None };
    let folders = if options.dirs == [Path::new(".")] && !Path::new("func.yaml").is_file() {
        // Nobody said a folder: fn deploy may bring functions.
        register::find(&options.dirs).unwrap_or_default()
    } else {
        register::find(&options.dirs)?
    };
    let mut names = BTreeSet::new();
    for folder in folders {
        let function = Function::read(&folder)?;
        let name = function.name();
        if !names.insert(name.to_owned()) {
            return Err(Error::usage(format!(
                "two functions are called {name}: names in func.yaml must differ"
            )));
        }
        add(&platform, &options.app, &function, watch.as_mut()).await?;
    }
    let doors = options.oci.open(oci, &platform)?;
    // Last: whoever can connect can call.
    let listener = bind().await?;
    let address = listener.local_addr().map_err(|error| Error::failed(error.to_string()))?;
    if let Some(oci) = &doors.oci {
        oci.served_at(format!("http://{address}"));
        oci.tell(&platform);
        tokio::spawn(oci.clone().keep(platform.clone()));
    }
    let _ = writeln!(anstream::stderr(), "{walls}");
    if options.stream_replies {
        let _ =
            writeln!(anstream::stderr(), "replies come in pieces, as asked: the real server buffers them");
    }
    tell(&platform, address, &doors);
    Ok(Ready { platform, doors, listener, watch, _temporary: temporary })
}

/// Builds a function, registers it, and watches its sources.
async fn add(platform: &Platform, app: &str, function: &Function, watch: Option<&mut Watch>) -> Result<()> {
    let (image, executable) = register::build(platform, function).await?;
    register::register(platform, app, function, &image)?;
    watch.map_or(Ok(()), |watch| watch.add(function, &executable))
}

/// Builds what has changed, for ever. What does not build leaves what ran before.
async fn rebuild(platform: &Platform, options: &Options, mut watch: Watch) {
    loop {
        for folder in watch.next().await {
            let began = Instant::now();
            let built = match Function::read(&folder) {
                Ok(function) => add(platform, &options.app, &function, Some(&mut watch)).await,
                Err(error) => Err(error),
            };
            let name = folder.display();
            let _ = match built {
                Ok(()) => writeln!(
                    anstream::stderr(),
                    "{name}: built anew in {:.1} s; the next call meets it",
                    began.elapsed().as_secs_f64()
                ),
                Err(error) => writeln!(anstream::stderr(), "{name}: {error}; the last build serves on"),
            };
        }
    }
}

/// Where things are kept; a temporary folder goes when this does.
fn state(options: &Options) -> Result<(Option<Directory>, PathBuf)> {
    match &options.state {
        Some(state) => Ok((None, state.clone())),
        None if options.port == 0 => {
            let folder = Directory::create();
            let folder = folder
                .map_err(|error| Error::failed(format!("no temporary folder for the state: {error}")))?;
            let path = folder.path().join("state");
            Ok((Some(folder), path))
        }
        None => Ok((None, images::state_folder()?)),
    }
}

/// The walls that stand, and those that do not.
fn walls(sandbox: Option<Sandbox>) -> String {
    let Some(sandbox) = sandbox else { return "walls: none, as asked".into() };
    let missing = sandbox.missing();
    let missing =
        if missing.is_empty() { String::new() } else { format!("; not here: {}", missing.join(", ")) };
    format!("walls: {}{missing}", sandbox.walls().join(", "))
}

/// Every address that can be called.
fn tell(platform: &Platform, address: SocketAddr, doors: &Doors) {
    let out = &mut anstream::stdout();
    let apps = if doors.no_fn { Vec::new() } else { platform.store.apps(None, &Window::whole()).items };
    for app in apps {
        let triggers = platform.store.triggers(&app.id, None, None, &Window::whole());
        for trigger in triggers.into_iter().flat_map(|page| page.items) {
            let _ = writeln!(out, "http://{address}/t/{}{}", app.name, trigger.source);
        }
        for func in
            platform.store.funcs(&app.id, None, &Window::whole()).into_iter().flat_map(|page| page.items)
        {
            let _ = writeln!(out, "http://{address}/invoke/{}", func.name);
        }
    }
    let _ = writeln!(out, "http://{address}/ shows what happens");
    let _ = writeln!(out, "serving; Ctrl-C ends it").and_then(|()| out.flush());
}

/// A call in one line.
fn line(record: &Record) -> String {
    let ms = record.took().as_secs_f64() * 1e3;
    let temperature = if record.cold { "cold" } else { "warm" };
    let memory = record.memory_kib.map(|kib| format!(" {} MB", kib.div_ceil(1024))).unwrap_or_default();
    let fault = if record.fault.is_empty() { String::new() } else { format!(": {}", record.fault) };
    format!("{} {} {} {ms:.1} ms {temperature}{memory}{fault}", record.id, record.name, record.status)
}
