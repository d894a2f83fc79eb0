//! `cargo fdk check`: it passes what keeps the contract, and fails what breaks it, for the rule that is broken.

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use workspace_tests::command_line::fdk;
use workspace_tests::{function, not_run, python, root};

/// Times the machine as much as the function.
const LATENCY: u64 = 20;

/// The command to run; it is built before, so that what is timed is not the compiler.
fn check(arguments: &[&str], command: &[&str]) -> Command {
    let mut check = fdk();
    check.arg("check").args(arguments).arg("--").args(command);
    check.env("NO_COLOR", "1").stdin(Stdio::null());
    check
}

/// The cases with this result.
fn cases(report: &Value, result: &str) -> BTreeSet<u64> {
    let rows = report["cases"].as_array().unwrap().iter().filter(|row| row["result"] == result);
    rows.map(|row| row["case"].as_u64().unwrap()).collect()
}

/// Judges with `--json`; the exit code must be what the report says.
fn judged(arguments: &[&str], command: &[&str]) -> Value {
    let output: Output = check(&[&["--json"], arguments].concat(), command).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let expected = i32::from(report["summary"]["required_failed"] != 0);
    assert_eq!(output.status.code(), Some(expected), "{}", report["summary"]);
    report
}

/// What failed, apart from the start's latency, for a message and to compare.
fn failed(report: &Value) -> BTreeSet<u64> {
    let mut failed = cases(report, "FAIL");
    failed.remove(&LATENCY);
    failed
}

/// The interpreter itself: what is on the path may be a script that starts it, slowly.
fn interpreter(test: &str) -> Option<String> {
    if !not_run::have(test, "python3", &["--version"], "apt-get install python3") {
        return None;
    }
    let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn server(name: &str) -> String {
    root().join("tests/platform/servers").join(name).display().to_string()
}

#[test]
fn the_probe_passes_every_case() {
    let executable = function::spec("probe").executable.display().to_string();
    let report = judged(&["--probe", "--quick"], &[&executable]);
    assert_eq!(report["cases"].as_array().unwrap().len(), 88);
    assert_eq!(failed(&report), BTreeSet::new(), "{report:#}");
    // A sandbox is what the machine allows.
    assert!(cases(&report, "SKIP").is_subset(&BTreeSet::from([19, 76])), "{report:#}");
}

#[test]
fn each_broken_server_fails_its_own_cases() {
    let Some(python) = interpreter("each_broken_server_fails_its_own_cases") else { return };
    let script = server("function.py");
    let all: &[(&str, &[u64])] = &[
        ("none", &[]),
        ("absolute-symlink", &[2]),
        ("late-listen", &[3]),
        ("status-500", &[52]),
        ("close-each", &[43, 44, 45, 47, 58, 77, 88]),
        ("early-reply", &[41, 42, 46, 56]),
    ];
    let some: &[(&str, &[u64])] = &[
        ("private-socket", &[1, 3]),
        ("call-id-echo", &[57]),
        ("framed-twice", &[79]),
        ("starts-anyway", &[9]),
    ];
    let ask = |fault: &str, expected: &[u64], more: &[&str]| {
        let report = judged(&[&["--quick"], more].concat(), &[&python, &script, fault]);
        assert_eq!(failed(&report), expected.iter().copied().collect(), "{fault}: {report:#}");
        assert!(!cases(&report, "PASS").is_empty(), "{fault}");
    };
    // One at a time: what is judged is time as well.
    for (fault, expected) in all {
        ask(fault, expected, &[]);
    }
    for (fault, expected) in some {
        ask(fault, expected, &["--only", "1,2,3,4,9,43,52,56,57,58,79,80,81"]);
    }
}

#[test]
fn the_python_fdk_shows_its_known_faults() {
    let test = "the_python_fdk_shows_its_known_faults";
    let Some(python) = python::with(test, &["fdk==0.1.128"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    // Where importing it leaves nothing in the sources.
    let handler = folder.path().join("handler.py");
    std::fs::copy(server("python_fdk.py"), &handler).unwrap();
    let fdk = python.with_file_name("fdk").display().to_string();
    let report = judged(
        &["--probe", "--quick", "--only", "1,2,5,13,23,24,29,43,53,66,79"],
        &[&fdk, handler.to_str().unwrap(), "handler"],
    );
    assert_eq!(failed(&report), BTreeSet::from([5, 13, 29, 53, 66, 79]), "{report:#}");
    let detail = |case: u64| {
        let rows = report["cases"].as_array().unwrap();
        rows.iter().find(|row| row["case"] == case).unwrap()["detail"].as_str().unwrap().to_owned()
    };
    assert!(detail(5).contains("AF_UNIX path too long"), "{}", detail(5));
    assert!(detail(13).contains("incompatible function format"), "{}", detail(13));
    assert!(detail(29).contains("expected [\"a\", \"b\"], got [\"b\"]"), "{}", detail(29));
}

#[test]
fn what_is_asked_wrongly_is_refused() {
    for (arguments, command) in [
        (&["--quick"][..], &[][..]),
        (&[], &["./no-such-function"]),
        (&["--only", "89"], &["true"]),
        (&["--only", "1,x"], &["true"]),
    ] {
        let output = check(arguments, command).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {command:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?} {command:?}");
    }
}

#[test]
fn a_person_reads_a_table() {
    let output = check(&["--only", "1,53"], &["true"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(
        lines[0],
        " 1  listener-created  M  FAIL  it ended before its socket was there: exit status: 0, with nothing on stderr"
    );
    assert!(lines[1].starts_with("53  user-error        M  SKIP  needs --probe"), "{text}");
    assert_eq!(lines[2..], ["", "0 passed, 1 failed (1 of them required), 1 skipped"], "{text}");
}

#[test]
fn an_interrupted_check_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("note");
    // A function that tells where it is, and never has a socket.
    let script = format!("echo $$ $HOME > {0}.new; mv {0}.new {0}; exec sleep 600", note.display());
    let mut checking = check(&["--only", "1"], &["sh", "-c", &script])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let told = eventually(|| std::fs::read_to_string(&note).ok());
    let (pid, home) = told.trim().split_once(' ').unwrap();
    let function = Path::new("/proc").join(pid);
    assert!(function.exists() && Path::new(home).exists());
    let group = Pid::from_raw(checking.id().cast_signed()).unwrap();
    kill_process_group(group, Signal::INT).unwrap();
    assert_eq!(checking.wait().unwrap().code(), Some(130));
    let directory: PathBuf = Path::new(home).parent().unwrap().into();
    assert!(!directory.exists(), "{} is still there", directory.display());
    eventually(|| (!function.exists()).then_some(()));
}

fn eventually<T>(mut there: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "it did not happen within a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}
