//! What the processes of one function share, and no other has: even those that left its group, or outlived its platform.
//! In a PID namespace all die with the first, so it is for those without one, and for what a killed platform left.

use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;

pub(super) enum Mark {
    /// The socket's address in its environment.
    Listener(String),
    /// The container's directory: the socket is beneath it, or it is among the mounts.
    Directory(PathBuf),
}

impl Mark {
    /// Kills every process that has it.
    pub(super) fn kill(&self) {
        let own = std::process::id();
        // A process that forks while it is killed may need another look.
        for _ in 0..10 {
            let left: Vec<Pid> = std::fs::read_dir("/proc")
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
                .filter(|pid| pid.cast_unsigned() != own && self.is_on(*pid))
                .filter_map(Pid::from_raw)
                .collect();
            if left.is_empty() {
                return;
            }
            for pid in left {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    fn is_on(&self, pid: i32) -> bool {
        match self {
            Self::Listener(listener) => {
                let wanted = format!("FN_LISTENER={listener}");
                has_variable(pid, |variable| variable == wanted.as_bytes())
            }
            Self::Directory(directory) => {
                let beneath = format!("FN_LISTENER=unix:{}/", directory.display());
                has_variable(pid, |variable| variable.starts_with(beneath.as_bytes()))
                    || directory.file_name().is_some_and(|name| has_mount(pid, &name.to_string_lossy()))
            }
        }
    }
}

fn has_variable(pid: i32, wanted: impl Fn(&[u8]) -> bool) -> bool {
    std::fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(wanted))
}

/// Whether the socket's folder in a container's directory is mounted where the process is.
fn has_mount(pid: i32, container: &str) -> bool {
    let folder = format!("/{container}/io");
    std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).is_ok_and(|mounts| {
        // The fourth field is the path that is mounted, within its file system.
        mounts.lines().any(|mount| mount.split(' ').nth(3).is_some_and(|path| path.ends_with(&folder)))
    })
}
