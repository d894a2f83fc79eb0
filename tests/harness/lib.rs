//! What the black-box tests share: functions built and run for real, a plain HTTP client, and honesty about what could
//! not run.

pub mod browser;
pub mod command_line;
#[cfg(doctest)]
mod documentation;
pub mod function;
pub mod http1;
pub mod not_run;
pub mod oci;
pub mod python;

use std::path::PathBuf;

/// The workspace's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}
