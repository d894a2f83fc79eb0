//! What a process uses, from `/proc`; `None` where there is none.

use serde::Serialize;

/// Memory of a process, in KiB.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    /// The most that was ever resident.
    pub peak_kib: u64,
    /// Resident now, with pages shared between processes counted in part.
    pub pss_kib: u64,
    /// Private to the process: what another container does not share.
    pub private_kib: u64,
}

pub(crate) fn memory(pid: u32) -> Option<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    Some(Memory {
        peak_kib: field(&status, "VmHWM:")?,
        pss_kib: field(&rollup, "Pss:")?,
        private_kib: field(&rollup, "Private_Clean:")? + field(&rollup, "Private_Dirty:")?,
    })
}

/// How many processes and threads a user has.
pub(crate) fn tasks_of_user(uid: u32) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        (entry.metadata().ok()?.uid() == uid).then_some(pid)
    });
    let status = |pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok();
    pids.filter_map(|pid| field(&status(pid)?, "Threads:")).sum()
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}
