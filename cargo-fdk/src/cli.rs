//! The command line: what can be asked, and the exit code of the answer (0 done, 1 failed, 2 asked wrongly).

use crate::{Error, Result, assets, check, demo, invoke, new, policy, principal, shim, sign, start};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(
    name = "cargo fdk",
    bin_name = "cargo fdk",
    version,
    about = "AI functions on Fn and OCI Functions: the platform on a laptop"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch the model, build the embedding function, call it as the platform does, and show what happened
    Demo(demo::Options),
    /// Build a function folder and call it once: the reply's body goes to stdout, everything else to stderr
    Invoke(invoke::Options),
    /// Build functions and serve them over HTTP on this machine, at the Fn server's paths, until Ctrl-C
    Start(start::Options),
    /// Make a function project that builds, tests, starts here and deploys
    New(new::Options),
    /// Run a command, such as `fn deploy --local`, for which this program is docker
    Shim(shim::Options),
    /// Judge any Fn function, in any language, by the container contract: 88 cases
    Check(check::Options),
    /// The resource principal that the environment describes, or a local one for tests
    Principal(principal::Options),
    /// IAM policies as the local OCI endpoint enforces them: why a request is allowed, or is not
    Policy(policy::Options),
    /// Sign a request as OCI services check it, and print the headers to send
    Sign(sign::Options),
    /// Models: fetch what models.toml lists, verified; compile it for a fast start; fit a head on one
    Assets(AssetsArgs),
}

#[derive(Args)]
struct AssetsArgs {
    #[command(subcommand)]
    command: AssetsCommand,
}

#[derive(Subcommand)]
enum AssetsCommand {
    /// Fetch the files of models: all that models.toml lists, the named ones, or what a function needs
    Fetch(FetchOptions),
    /// Teach an embedding model labels of your own: fit a linear head on examples, and show how good it is
    FitHead(assets::fit_head::Options),
    /// Compile fetched models into the file that a function maps at start: packed weights, and the tokenizer without JSON
    Prepare(PrepareOptions),
}

#[derive(Args)]
struct PrepareOptions {
    #[command(flatten)]
    models: FetchOptions,
    /// How weights are kept: f32 as they are; f16 in half the space, int8 in a quarter, for vectors with a cosine of about
    /// 0.9999 and 0.999 to those of f32; a model of pictures has f16 for int8
    #[arg(long, value_name = "KIND", default_value = "f16", value_parser = ["f32", "f16", "int8"])]
    precision: String,
    /// Remove the files that the prepared one stands for, as an image does
    #[arg(long)]
    only: bool,
}

#[derive(Args)]
struct FetchOptions {
    /// The models, by their names in models.toml; all when none is named
    names: Vec<String>,
    /// Only the model that this function folder's func.yaml names in its config; nothing when it names none
    #[arg(long = "for", value_name = "DIR", conflicts_with = "names")]
    function: Option<PathBuf>,
    /// The folder that holds models.toml; found from here upwards when not given
    #[arg(long, value_name = "DIR", env = "FDK_ASSETS_DIR")]
    dir: Option<PathBuf>,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // As a cargo subcommand the first argument is the subcommand's own name.
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == "fdk") {
        arguments.remove(1);
    }
    if arguments.first().is_some_and(shim::is_called) {
        return told(shim::docker(&arguments[1..]));
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(help_or_error) => {
            let _ = help_or_error.print();
            return ExitCode::from(u8::try_from(help_or_error.exit_code()).unwrap_or(2));
        }
    };
    told(run(cli))
}

fn told(result: Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(anstream::stderr(), "error: {error}");
            ExitCode::from(if error.is_usage() { 2 } else { 1 })
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Assets(AssetsArgs { command }) => match command {
            AssetsCommand::Fetch(options) => fetch(&options),
            AssetsCommand::FitHead(options) => assets::fit_head::run(&options),
            AssetsCommand::Prepare(options) => prepare(&options),
        }
        .map(|()| ExitCode::SUCCESS),
        Command::New(options) => new::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Shim(options) => shim::run(&options),
        Command::Principal(options) => principal::run(&options),
        Command::Policy(options) => policy::run(&options),
        Command::Sign(options) => sign::run(&options),
        Command::Demo(options) => until_interrupted(demo::run(options)),
        Command::Invoke(options) => until_interrupted(invoke::run(options)),
        Command::Start(options) => in_the_foreground(start::run(options)),
        Command::Check(options) => until_interrupted(check::run(options)),
    }
}

fn fetch(options: &FetchOptions) -> Result<()> {
    match chosen(options)? {
        Some((folder, names)) => assets::fetch(&folder, &names),
        None => Ok(()),
    }
}

fn prepare(options: &PrepareOptions) -> Result<()> {
    let unknown = || Error::usage(format!("there is no precision '{}'", options.precision));
    let precision = fdk_inference::Precision::parse(&options.precision).ok_or_else(unknown)?;
    match chosen(&options.models)? {
        Some((folder, names)) => assets::prepare(&folder, &names, precision, options.only),
        None => Ok(()),
    }
}

/// The assets folder and the models; `None` when a function has none.
fn chosen(options: &FetchOptions) -> Result<Option<(PathBuf, Vec<String>)>> {
    let names = match &options.function {
        None => options.names.clone(),
        Some(folder) => match crate::function::Function::read(folder)?.model() {
            Some(model) => vec![model.to_owned()],
            None => return Ok(None),
        },
    };
    let folder = match (&options.dir, &options.function) {
        (Some(folder), _) => folder.clone(),
        (None, Some(function)) => assets::folder_for(function)?,
        (None, None) => assets::folder_for(&std::env::current_dir().unwrap_or_default())?,
    };
    Ok(Some((folder, names)))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    // One thread: functions die with the thread that started them.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failed(format!("cannot start: {error}")))
}

/// Runs what sees to signals by itself.
fn in_the_foreground(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let runtime = runtime()?;
    let ended = runtime.block_on(work);
    // A download may be on its way in a thread of its own.
    runtime.shutdown_background();
    ended
}

/// Ctrl-C, or SIGTERM, drops the work, and with it the processes and directories it made.
fn until_interrupted(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    runtime()?.block_on(async {
        let mut terminated = signal(SignalKind::terminate())
            .map_err(|error| Error::failed(format!("cannot listen for signals: {error}")))?;
        tokio::select! {
            // First: what blocks before its first await is then ended by the signal's default action.
            biased;
            ended = work => ended,
            _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
            _ = terminated.recv() => Ok(ExitCode::from(143)),
        }
    })
}
