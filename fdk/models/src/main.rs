//! `fdk-models`: the model tool of an image build, and what `cargo fdk assets` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    fdk_models::cli::main()
}
