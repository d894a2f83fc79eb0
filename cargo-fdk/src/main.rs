//! The command `cargo fdk`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cargo_fdk::cli::main()
}
