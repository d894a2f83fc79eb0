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

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}
