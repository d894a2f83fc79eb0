//! The command line: what can be asked, and the exit code of the answer (0 done, 1 failed, 2 asked wrongly).

use crate::stop::stopped;
use crate::{Error, Result, check, demo, invoke, model_tool, new, policy, principal, shim, sign, start};
use clap::{Args, Parser, Subcommand};
use fdk_models::cli::Command as Asked;
use std::ffi::OsString;
use std::io::Write as _;
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
    command: Asked,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // As a cargo subcommand the first argument is the subcommand's own name.
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == "fdk") {
        arguments.remove(1);
    }
    if arguments.first().is_some_and(shim::is_called) {
        return told(until_stopped(shim::docker(&arguments[1..])));
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(help_or_error) => {
            let _ = help_or_error.print();
            return ExitCode::from(u8::try_from(help_or_error.exit_code()).unwrap_or(2));
        }
    };
    told(run(cli, &arguments))
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

fn run(cli: Cli, arguments: &[OsString]) -> Result<ExitCode> {
    match cli.command {
        Command::Assets(AssetsArgs { command: Asked::Fetch(models) }) => {
            models.fetch().map(|()| ExitCode::SUCCESS)
        }
        // What follows the word `assets` is the tool's.
        Command::Assets(_) => until_stopped(model_tool::run(&arguments[2..])),
        Command::New(options) => new::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Shim(options) => shim::run(&options),
        Command::Principal(options) => principal::run(&options),
        Command::Policy(options) => policy::run(&options),
        Command::Sign(options) => sign::run(&options),
        Command::Demo(options) => until_stopped(demo::run(options)),
        Command::Invoke(options) => until_stopped(invoke::run(options)),
        Command::Start(options) => in_the_foreground(start::run(options)),
        Command::Check(options) => until_stopped(check::run(options)),
    }
}

/// Runs what sees to signals by itself.
fn in_the_foreground(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    // One thread: functions die with the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failed(format!("cannot start: {error}")))?;
    let ended = runtime.block_on(work);
    // A download may be on its way in a thread of its own.
    runtime.shutdown_background();
    ended
}

/// A signal drops the work, and with it the processes and directories it made. What would keep the thread from seeing the signal, such
/// as a build or a download, is therefore awaited.
fn until_stopped(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    in_the_foreground(async {
        let stopped = stopped()?;
        tokio::select! {
            ended = work => ended,
            code = stopped => Ok(code),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;

    /// What clap checks of a definition with debug assertions alone.
    #[test]
    fn the_commands_are_defined_without_a_clash() {
        Cli::command().debug_assert();
    }
}
