//! The walls around a function, as the platform builds them (`drivers/docker/cookie.go`), as far as this machine allows.
//!
//! A function sees a root file system of its own, read-only, put together from the system's folders, its executable and
//! what it may read; `/tmp` is its own, of the size that OCI grants. It is user 1000, without capabilities and without a
//! way to new ones.

mod enclosure;
mod enter;
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
        static FOUND: OnceLock<Means> = OnceLock::new();
        let means = FOUND.get_or_init(|| {
            let first = if rustix::process::geteuid().is_root() { Means::Root } else { Means::UserNamespace };
            let works = |means: &Means| enter::works(Self { means: *means, network: false });
            [first, Means::UserNamespace].into_iter().find(works).unwrap_or(Means::Limits)
        });
        Self { means: *means, network }
    }

    /// The same, with the machine's network.
    #[must_use]
    pub fn with_network(self) -> Self {
        Self { network: true, ..self }
    }

    /// What stands.
    pub fn walls(self) -> Vec<&'static str> {
        let mut walls = Vec::new();
        if self.means != Means::Limits {
            walls.extend(["read-only root", "private /tmp", "uid 1000", "no capabilities"]);
            if !self.network {
                walls.push("no network");
            }
        }
        walls.extend(["no new privileges", "nofile 350"]);
        if self.means != Means::Limits {
            walls.push("50 pids");
        }
        walls.push("memory (by RLIMIT_DATA)");
        walls
    }

    /// What is missing here, and would be there.
    pub fn missing(self) -> Vec<&'static str> {
        match self.means {
            Means::Limits => {
                vec!["read-only root", "private /tmp", "uid 1000", "no capabilities", "no network", "50 pids"]
            }
            _ if self.network => vec!["no network"],
            _ => vec![],
        }
    }

    /// The walls for one container.
    pub(crate) fn around(self, spec: &Spec, io: &Path, root: &Path) -> Enclosure {
        Enclosure::new(self, spec, io, root)
    }
}
