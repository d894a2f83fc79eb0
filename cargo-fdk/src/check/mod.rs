//! `cargo fdk check`: judges any Fn function, in any language, by the container contract.
//!
//! It starts the function as the agent would, talks to it over its socket byte by byte, and knows nothing of how it was
//! made. A case is required (M) where the agent or the documented contract demands it, else recommended (R).

mod case;
mod connection;
mod container;
mod function;
mod gateway;
mod launch;
mod lifecycle;
mod output;
mod process;
mod refusal;
mod request;
mod response;
mod runner;
mod sandbox;
mod startup;
mod table;
mod telemetry;
mod watch;
mod wire;

use crate::{Error, Result};
use clap::Args;
use container::Image;
use indicatif::ProgressBar;
use launch::Subject;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use table::Table;

#[derive(Args)]
pub(crate) struct Options {
    /// The function speaks the request format of examples/probe: judge what it does when asked to, too
    #[arg(long)]
    probe: bool,
    /// Print an object: cases, each with its number, name, level, result and detail, and a summary
    #[arg(long)]
    json: bool,
    /// Only these cases
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=i64::from(runner::LAST)))]
    only: Vec<u8>,
    /// Wait less in the cases that wait, and repeat less in those that repeat
    #[arg(long)]
    quick: bool,
    /// Judge an image instead of a command: its containers, inside the walls that the agent puts up
    #[arg(long, value_name = "NAME", conflicts_with = "command")]
    image: Option<String>,
    /// The container engine's command
    #[arg(long, value_name = "CMD", default_value = "docker", requires = "image")]
    engine: String,
    /// What the image's function may use, in MB, as its func.yaml says
    #[arg(long, value_name = "MB", default_value_t = 128, requires = "image")]
    memory: u64,
    /// What the image's function finds in its environment, as the config of its func.yaml says
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = pair, requires = "image")]
    env: Vec<(String, String)>,
    /// What starts the function, run in the current directory
    #[arg(last = true, required_unless_present = "image", value_name = "CMD")]
    command: Vec<OsString>,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let Options { engine, memory, env: config, .. } = options;
    let image = options.image.map(|name| Image { engine, name, memory, config });
    if let Some(image) = &image {
        if let Some(fault) = image.fault() {
            return Err(Error::usage(fault));
        }
    } else {
        let program = options.command.first().map_or(Path::new(""), Path::new);
        if sandbox::which(program).is_none() {
            return Err(Error::usage(format!("{} is no program that can be run", program.display())));
        }
    }
    let mut cases = runner::cases();
    if !options.only.is_empty() {
        cases.retain(|case| options.only.contains(&case.number));
    }
    let subject = Subject { command: options.command, image, probe: options.probe, quick: options.quick };
    let progress = ProgressBar::new_spinner();
    let rows = runner::run(&subject, cases, |case| {
        progress.set_message(format!("{} {}", case.number, case.name));
        progress.tick();
    })
    .await;
    progress.finish_and_clear();
    let table = Table { rows };
    let text = if options.json { format!("{:#}\n", table.to_json()) } else { table.to_string() };
    let _ = anstream::stdout().write_all(text.as_bytes());
    Ok(if table.required_failed() > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it is not of the form KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
