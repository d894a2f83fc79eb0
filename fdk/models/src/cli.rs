//! How the model tool is called: as `fdk-models …`, and as `cargo fdk assets …`.

use crate::{Result, fetch, func_yaml};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What it can be asked for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fetch the files of models: all that models.toml lists, the named ones, or what a function needs
    Fetch(Models),
    /// Teach an embedding model labels of your own: fit a linear head on examples, and show how good it is
    FitHead(FitHead),
    /// Compile fetched models into the file that a function maps at start: packed weights, and the tokenizer without JSON
    Prepare(Prepare),
}

/// Which models, and where they are.
#[derive(Debug, Args)]
pub struct Models {
    /// The models, by their names in models.toml; all when none is named
    names: Vec<String>,
    /// Only the model that this function folder's func.yaml names in its config; nothing when it names none
    #[arg(long = "for", value_name = "DIR", conflicts_with = "names")]
    function: Option<PathBuf>,
    /// The folder that holds models.toml; found from here upwards when not given
    #[arg(long, value_name = "DIR", env = "FDK_ASSETS_DIR")]
    dir: Option<PathBuf>,
}

/// How models are prepared.
#[derive(Debug, Args)]
pub struct Prepare {
    /// Which, and where.
    #[command(flatten)]
    pub models: Models,
    /// How weights are kept: f32 as they are; f16 in half the space, int8 in a quarter, for vectors with a cosine of about
    /// 0.9999 and 0.999 to those of f32; a model of pictures has f16 for int8
    #[arg(long, value_name = "KIND", default_value = "f16", value_parser = ["f32", "f16", "int8"])]
    pub precision: String,
    /// Remove the files that the prepared one stands for, as an image does
    #[arg(long)]
    pub only: bool,
    /// Leave the folder as it is, and prepare in the folder .prepared within it, where cargo fdk keeps what it serves
    #[arg(long, conflicts_with = "only")]
    pub beside: bool,
}

/// How a head is fitted.
#[derive(Debug, Args)]
pub struct FitHead {
    /// The embedding model, by its name in models.toml
    pub model: String,
    /// The examples: a JSON object {"text", "label"} on each line, at least two of each label
    pub data: PathBuf,
    /// The folder that holds models.toml; found from here upwards when not given
    #[arg(long, value_name = "DIR", env = "FDK_ASSETS_DIR")]
    pub dir: Option<PathBuf>,
    /// The file to write; MODEL.head.safetensors beside models.toml when not given
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

impl Models {
    /// Fetches them.
    pub fn fetch(&self) -> Result<()> {
        match self.chosen()? {
            Some((folder, names)) => fetch::fetch(&folder, &names),
            None => Ok(()),
        }
    }

    /// The assets folder and the models; `None` when a function has none.
    pub(crate) fn chosen(&self) -> Result<Option<(PathBuf, Vec<String>)>> {
        let names = match &self.function {
            None => self.names.clone(),
            Some(folder) => match func_yaml::model(folder)? {
                Some(model) => vec![model],
                None => return Ok(None),
            },
        };
        let here = || std::env::current_dir().unwrap_or_default();
        let folder = match (&self.dir, &self.function) {
            (Some(folder), _) => folder.clone(),
            (None, Some(function)) => fetch::folder_for(function)?,
            (None, None) => fetch::folder_for(&here())?,
        };
        Ok(Some((folder, names)))
    }
}

#[cfg(feature = "tool")]
mod tool {
    use super::Command;
    use crate::{Result, fit_head, prepare};
    use clap::Parser;
    use std::io::Write as _;
    use std::process::ExitCode;

    #[derive(Parser)]
    #[command(
        name = "fdk-models",
        version,
        about = "Fetches, prepares and fits models for functions of the Rust FDK"
    )]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    /// Runs the tool on this process's arguments.
    pub fn main() -> ExitCode {
        let cli = match Cli::try_parse() {
            Ok(cli) => cli,
            Err(help_or_error) => {
                let _ = help_or_error.print();
                return ExitCode::from(u8::try_from(help_or_error.exit_code()).unwrap_or(2));
            }
        };
        match run(&cli.command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(anstream::stderr(), "error: {error}");
                ExitCode::from(if error.is_usage() { 2 } else { 1 })
            }
        }
    }

    fn run(command: &Command) -> Result<()> {
        match command {
            Command::Fetch(models) => models.fetch(),
            Command::FitHead(options) => fit_head::run(options),
            Command::Prepare(options) => prepare::run(options),
        }
    }
}
#[cfg(feature = "tool")]
pub use tool::main;
