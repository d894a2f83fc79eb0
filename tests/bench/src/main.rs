//! Our runtime beside a bare hyper server and the Python FDK, interleaved in one run, so that another load on the
//! machine falls on all alike. From the root of the repository:
//!
//! ```text
//! cargo run --release --manifest-path tests/bench/Cargo.toml
//! ```
//!
//! It prints a table and writes `target/bench/contract.json`. `--quick` makes a tenth of the calls, to try it out.

mod bare;
mod client;
mod compile;
mod function;
mod machine;
mod measure;
mod peers;
mod python;
mod report;
mod stats;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Every failure here ends the bench; a sentence says what went wrong.
type Result<T> = std::result::Result<T, String>;

/// Puts what was tried before the system's reason.
fn because<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => bench(false),
        ["--quick"] => bench(true),
        // The bench starts itself as its own peer.
        ["serve", handler] => bare::serve(handler),
        _ => Err("usage: contract-bench [--quick]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("contract-bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn bench(quick: bool) -> Result<()> {
    let root = root()?;
    let output = root.join("target/bench");
    std::fs::create_dir_all(&output).map_err(because(output.display()))?;
    let peers = peers::all(&root, &output)?;
    let before = machine::load();
    let figures = measure::all(&peers, quick)?;
    let machine = machine::describe(&root, &peers, &before);
    report::table(&peers, &figures, &machine);
    let file = output.join("contract.json");
    let json = report::json(&peers, &figures, &machine, quick);
    std::fs::write(&file, format!("{json:#}\n")).map_err(because(file.display()))?;
    println!("\n{}", file.strip_prefix(&root).unwrap_or(&file).display());
    Ok(())
}

fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map(Path::to_path_buf).ok_or_else(|| "the bench is not in tests/bench".into())
}
