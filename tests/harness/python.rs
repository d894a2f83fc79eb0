//! Python packages that a test needs, in a virtual environment of their own beside the build's output.

use crate::not_run;
use std::path::PathBuf;
use std::process::Command;

/// The interpreter of an environment that has these packages (`name==version`), made once and kept; `None` when it cannot
/// be had, which is noted.
pub fn with(test: &str, packages: &[&str]) -> Option<PathBuf> {
    let listed = std::fs::read_to_string(crate::root().join("tests/venvs.txt")).unwrap();
    let line = packages.join(" ");
    assert!(
        listed.lines().any(|listed| listed == line),
        "tests/venvs.txt, of which .ci/run makes all, lacks {line}"
    );
    let made = Command::new(crate::root().join("tests/venv")).args(packages).output().unwrap();
    if made.status.success() {
        return Some(String::from_utf8(made.stdout).unwrap().trim().into());
    }
    let why = String::from_utf8_lossy(&made.stderr).trim().to_owned();
    not_run::absent(test, &format!("python3 with {line} ({why})"), "apt-get install python3 python3-venv");
    None
}

/// Runs a script of the tests and returns what it printed; a failure shows what it said.
pub fn run(python: &PathBuf, script: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = Command::new(python)
        .arg("-I")
        .arg(crate::root().join("tests").join(script))
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
