//! `cargo fdk`, built in the profile of the test that runs it.

use cargo_fdk::compile::{self, Package};
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

/// The program, as cargo runs an installed subcommand.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let manifest = crate::root().join("Cargo.toml");
    let package = Package { name: "cargo-fdk", manifest, features: "", release: false, target: None };
    compile::package(&package).unwrap_or_else(|error| panic!("{error}"))
});

/// The command in the workspace's root, ready for its arguments.
pub fn fdk() -> Command {
    let mut command = Command::new(program());
    command.current_dir(crate::root());
    command
}

/// Where it is.
pub fn program() -> PathBuf {
    PROGRAM.clone()
}
