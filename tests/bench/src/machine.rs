//! Where and with what it was measured: a figure without that is none.

use crate::peers::Peer;
use serde_json::{Map, Value, json};
use std::fs::read_to_string;
use std::path::Path;
use std::process::Command;

pub(crate) fn load() -> String {
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// `load_before` is from before the first measurement; what the machine is now is mostly the bench itself.
pub(crate) fn describe(root: &Path, peers: &[Peer], load_before: &str) -> Map<String, Value> {
    let cpu = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let ours = read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let bench = include_str!("../Cargo.lock");
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let both = |name| format!("{} (ours), {} (bare)", locked(&ours, name), locked(bench, name));
    let python = peers.iter().find(|peer| peer.id == "python_fdk").map(|peer| peer.version.clone());
    let facts = [
        ("measured", json!(jiff::Timestamp::now().to_string())),
        ("cpu", json!(cpu.map(|(_, model)| model))),
        ("cores", json!(std::thread::available_parallelism().map(std::num::NonZero::get).ok())),
        (
            "kernel",
            json!(read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned())),
        ),
        ("load before", json!(load_before)),
        ("load after", json!(load())),
        ("rustc", json!(rustc.ok())),
        ("fdk", json!(locked(&ours, "fdk"))),
        ("hyper", json!(both("hyper"))),
        ("tokio", json!(both("tokio"))),
        ("python fdk", json!(python)),
    ];
    facts.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// A package's version in the text of a lock file.
fn locked<'a>(lock: &'a str, name: &str) -> &'a str {
    let entry = format!("[[package]]\nname = \"{name}\"\nversion = \"");
    lock.split_once(&entry).and_then(|(_, rest)| rest.split_once('"')).map_or("?", |(version, _)| version)
}
