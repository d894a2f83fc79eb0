//! Python packages that a test needs, in a virtual environment of their own beside the build's output.

use crate::not_run;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

/// The interpreter of an environment that has these packages (`name==version`), made once and kept; `None` when it cannot
/// be had, which is noted.
pub fn with(test: &str, packages: &[&str]) -> Option<PathBuf> {
    // Tests of one binary run at the same time and may want the same environment.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !not_run::have(test, "python3", &["--version"], "apt-get install python3 python3-venv") {
        return None;
    }
    let folder = crate::root().join("target/venvs").join(packages.join("+").replace("==", "-"));
    let python = folder.join("bin/python");
    // Written last: an environment without it is one whose making was interrupted.
    let complete = folder.join("complete");
    if !complete.is_file() {
        let venv = folder.display().to_string();
        if !not_run::have(test, "python3", &["-m", "venv", "--clear", &venv], "apt-get install python3-venv")
        {
            return None;
        }
        let install = [&["-m", "pip", "install", "--quiet"], packages].concat();
        let pip = python.display().to_string();
        if !not_run::have(test, &pip, &install, &format!("pip install {}", packages.join(" "))) {
            return None;
        }
        std::fs::write(&complete, "").unwrap();
    }
    Some(python)
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
