//! `fn deploy --local` without an engine: a `docker` for one command, which builds functions and keeps them as images.
//!
//! The Fn CLI asks `docker version`, and then runs `docker build -t IMAGE -f DIR/Dockerfile … .` in the function's folder.

use crate::function::Function;
use crate::images::{self, Images};
use crate::{Error, Result, compile, invoke, register};
use clap::Args;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The name by which the shim is called.
const DOCKER: &str = "docker";
/// The CLI wants 17.5 or later.
const VERSION: &str = "27.0.0";

#[derive(Args)]
pub(crate) struct Options {
    /// The folder of the platform's state, as cargo fdk start has it
    #[arg(long, value_name = "DIR", env = "FDK_STATE_DIR")]
    state: Option<PathBuf>,
    /// The command, such as fn deploy --app app --local
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs a command that finds this program where it looks for docker.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let failed = |error: std::io::Error| Error::failed(format!("no place for the shim: {error}"));
    let folder = tempfile::Builder::new().prefix("fdk-shim").tempdir().map_err(failed)?;
    symlink(std::env::current_exe().map_err(failed)?, folder.path().join(DOCKER)).map_err(failed)?;
    let before = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths(std::iter::once(folder.path().to_owned()).chain(std::env::split_paths(&before)))
            .map_err(|error| Error::failed(format!("PATH: {error}")))?;
    let (program, arguments) = options.command.split_first().ok_or_else(|| Error::usage("no command"))?;
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path);
    if let Some(state) = &options.state {
        command.env("FDK_STATE_DIR", state);
    }
    let status = command.status().map_err(|error| Error::usage(format!("{}: {error}", program.display())))?;
    let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Whether this process was called as docker.
pub(crate) fn is_called(program: &OsString) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == DOCKER)
}

/// What docker would do, as far as the Fn CLI needs it.
pub(crate) async fn docker(arguments: &[OsString]) -> Result<ExitCode> {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    match words.first().copied() {
        Some("version") => {
            writeln!(std::io::stdout(), "{VERSION}").map_err(|error| Error::failed(error.to_string()))?;
        }
        Some("build") => build(&words[1..]).await?,
        Some("push") => {
            return Err(Error::usage("there is no registry here: deploy with --local"));
        }
        other => {
            return Err(Error::usage(format!(
                "cargo fdk shim stands for docker version and docker build alone, not for docker {}",
                other.unwrap_or_default()
            )));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn build(words: &[&str]) -> Result<()> {
    let after = |flag: &str| {
        let place = words.iter().position(|word| *word == flag)?;
        words.get(place + 1).copied()
    };
    let name = after("-t").or_else(|| after("--tag"));
    let name = name.ok_or_else(|| Error::usage("docker build: no -t IMAGE"))?;
    // The CLI runs it in the function's folder and names its Dockerfile in full.
    let file = after("-f").or_else(|| after("--file")).map(Path::new);
    let folder = file.and_then(Path::parent).filter(|folder| folder.join("func.yaml").is_file());
    let function = Function::read(folder.unwrap_or(Path::new(".")))?;
    let assets = invoke::assets(&function).await?;
    let executable = compile::build_while_serving(&function).await?;
    let mut image = register::image(&function, executable, assets);
    name.clone_into(&mut image.name);
    let state = std::env::var_os("FDK_STATE_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let state = state.map_or_else(images::state_folder, Ok)?;
    Images::at(images::folder(&state)).keep(&image)?;
    let _ = writeln!(anstream::stderr(), "{name} is built for the platform of this machine");
    Ok(())
}
