//! What a process uses, from `/proc`.

use std::time::Duration;

/// The kernel counts CPU time in hundredths of a second on every architecture that Linux containers run on.
const TICKS_PER_SECOND: u32 = 100;

pub(super) fn threads(pid: u32) -> Option<u64> {
    field(pid, "Threads:")
}

/// Resident memory in KiB.
pub(super) fn resident(pid: u32) -> Option<u64> {
    field(pid, "VmRSS:")
}

pub(super) fn descriptors(pid: u32) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// The CPU time used so far.
pub(super) fn cpu(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the numbers after it are fields 3 and on.
    let (_, numbers) = stat.rsplit_once(')')?;
    let ticks: u32 = numbers.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u32>().ok()).sum();
    Some(Duration::from_secs(1) * ticks / TICKS_PER_SECOND)
}

/// The first child of a process.
pub(super) fn child(pid: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

fn field(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}
