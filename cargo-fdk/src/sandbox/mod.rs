//! The walls around a function, as the platform builds them (`drivers/docker/cookie.go`), as far as this machine allows.
//!
//! A function sees a root file system of its own, read-only, put together from the system's folders, its executable and
//! what it may read; `/tmp` is its own, of the size that OCI grants. It is user 1000, without capabilities and without a
//! way to new ones, and the first process of a PID namespace: it sees no process but those that it starts.

mod enclosure;
mod enter;
mod filter;
mod layout;

pub use enclosure::Enclosure;
pub(crate) use enclosure::USER;
pub(crate) use enter::enter;

use crate::agent::Spec;
use std::path::Path;
use std::sync::OnceLock;

/// Which walls are wanted and can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sandbox {
    means: Means,
    /// Whether a `/proc` can be mounted: the system may refuse it to a user namespace, as in a container of Docker's.
    proc: bool,
    /// Whether system calls can be refused.
    filter: bool,
    network: bool,
}

/// By what right walls are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// As root.
    Root,
    /// As anybody, in a user namespace.
    UserNamespace,
    /// By limits alone.
    Limits,
}

impl Sandbox {
    /// The strongest that this machine allows, found by trying once; with or without the machine's network.
    pub fn strongest(network: bool) -> Self {
        static FOUND: OnceLock<Sandbox> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            let first = if rustix::process::geteuid().is_root() { Means::Root } else { Means::UserNamespace };
            let mut wanted = [first, Means::UserNamespace].into_iter().flat_map(|means| {
                [true, false].map(|proc| Self { means, proc, filter: false, network: false })
            });
            let limits = Self { means: Means::Limits, proc: false, filter: false, network: false };
            let found = wanted.find(|sandbox| enter::works(*sandbox)).unwrap_or(limits);
            let filtered = Self { filter: filter::exists(), ..found };
            if enter::works(filtered) { filtered } else { found }
        });
        Self { network, ..*found }
    }

    /// The same, with the machine's network.
    #[must_use]
    pub fn with_network(self) -> Self {
        Self { network: true, ..self }
    }

    /// Every wall, and whether it stands.
    fn all(self) -> [(&'static str, bool); 12] {
        let has_namespaces = self.means != Means::Limits;
        [
            ("read-only root", has_namespaces),
            ("private /tmp", has_namespaces),
            ("PID namespace", has_namespaces),
            ("private /proc", self.proc),
            ("uid 1000", has_namespaces),
            ("no capabilities", has_namespaces),
            ("no network", has_namespaces && !self.network),
            ("no new privileges", true),
            ("seccomp filter", self.filter),
            ("nofile 350", true),
            ("50 pids", has_namespaces),
            ("memory (by RLIMIT_DATA)", true),
        ]
    }

    /// What stands.
    pub fn walls(self) -> Vec<&'static str> {
        self.all().into_iter().filter_map(|(wall, stands)| stands.then_some(wall)).collect()
    }

    /// What is missing here, and would be there.
    pub fn missing(self) -> Vec<&'static str> {
        self.all().into_iter().filter_map(|(wall, stands)| (!stands).then_some(wall)).collect()
    }

    /// The walls for one container.
    pub(crate) fn around(self, spec: &Spec, io: &Path, root: &Path) -> Enclosure {
        Enclosure::new(self, spec, io, root)
    }
}
