//! The command line: what can be asked, and the exit code of the answer (0 done, 1 failed, 2 asked wrongly).

use crate::{Error, Result, assets, check, demo, invoke, principal, sign};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

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
    /// Judge any Fn function, in any language, by the container contract: 88 cases
    Check(check::Options),
    /// The resource principal that the environment describes
    Principal(principal::Options),
    /// Sign a request as OCI services check it, and print the headers to send
    Sign(sign::Options),
    /// Models: fetch what models.toml lists, verified
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
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(help_or_error) => {
            let _ = help_or_error.print();
            return ExitCode::from(u8::try_from(help_or_error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(anstream::stderr(), "error: {error}");
            ExitCode::from(if error.is_usage() { 2 } else { 1 })
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Assets(AssetsArgs { command: AssetsCommand::Fetch(options) }) => {
            fetch(&options).map(|()| ExitCode::SUCCESS)
        }
        Command::Principal(options) => Ok(principal::run(&options)),
        Command::Sign(options) => sign::run(&options),
        Command::Demo(options) => until_interrupted(demo::run(options)),
        Command::Invoke(options) => until_interrupted(invoke::run(options)),
        Command::Check(options) => until_interrupted(check::run(options)),
    }
}

fn fetch(options: &FetchOptions) -> Result<()> {
    let names = match &options.function {
        None => options.names.clone(),
        Some(folder) => match crate::function::Function::read(folder)?.model() {
            Some(model) => vec![model.to_owned()],
            None => return Ok(()),
        },
    };
    let folder = match (&options.dir, &options.function) {
        (Some(folder), _) => folder.clone(),
        (None, Some(function)) => assets::folder_for(function)?,
        (None, None) => assets::folder_for(&std::env::current_dir().unwrap_or_default())?,
    };
    assets::fetch(&folder, &names)
}

/// Ctrl-C drops the work, and with it the processes and directories it made.
fn until_interrupted(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failed(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        tokio::select! {
            // First: what blocks before its first await is then ended by the signal's default action.
            biased;
            ended = work => ended,
            _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
        }
    })
}
