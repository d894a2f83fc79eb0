//! A test whose outside tool is absent says so, is counted, and fails where everything must run.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Whether the tool answers; if not, the caller returns, and [`absent`] has noted it.
pub fn have(test: &str, tool: &str, arguments: &[&str], install: &str) -> bool {
    let mut command = Command::new(tool);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let answers = command.status().is_ok_and(|status| status.success());
    if !answers {
        absent(test, tool, install);
    }
    answers
}

/// Counts the test as NOT RUN for want of a tool, or fails it under `FDK_REQUIRE_ALL=1`.
pub fn absent(test: &str, tool: &str, install: &str) {
    assert!(
        std::env::var("FDK_REQUIRE_ALL").as_deref() != Ok("1"),
        "NOT RUN: {tool}, install with {install}"
    );
    unasked(test, &format!("{tool}, install with {install}"));
}

/// Counts the test as NOT RUN for want of something that no package has, so that nobody can be required to have it.
pub fn unasked(test: &str, wanted: &str) {
    // Past the capture of the test harness, which shows a passing test's output to nobody.
    let _ = writeln!(std::io::stderr(), "NOT RUN: {wanted} ({test})");
    fs::create_dir_all(crate::root().join("target")).unwrap();
    let mut file = fs::OpenOptions::new().create(true).append(true).open(tally()).unwrap();
    file.write_all(format!("{test}: {wanted}\n").as_bytes()).unwrap();
}

/// Whether everything is asked for, the work of many minutes too, as `.ci/nightly` does with `FDK_NIGHTLY=1`.
pub fn is_nightly() -> bool {
    std::env::var_os("FDK_NIGHTLY").is_some_and(|value| value == "1")
}

/// How often a loop goes round that looks for what accumulates: so often at night, a tenth of it else.
pub fn rounds(nightly: usize) -> usize {
    if is_nightly() { nightly } else { nightly / 10 }
}

/// Where this `cargo test` counts what could not run.
pub fn tally() -> PathBuf {
    crate::root().join("target").join("not-run.txt")
}
