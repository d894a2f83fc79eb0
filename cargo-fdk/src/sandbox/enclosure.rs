//! One container's walls, made ready before its process is.

use super::layout::{self, Layout};
use super::{Means, Sandbox, filter};
use crate::agent::Spec;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::UnshareFlags;
use seccompiler::BpfProgram;
use std::ffi::{CStr, CString};
use std::path::Path;

/// The user and the group that functions run as.
pub(crate) const USER: u32 = 1000;
/// Untouched pages count in `RLIMIT_DATA`, as the stacks of threads have them; so much is granted beside the memory.
const UNTOUCHED: u64 = 32 << 20;

/// The walls.
#[derive(Debug)]
pub struct Enclosure {
    sandbox: Sandbox,
    layout: Option<Layout>,
    filter: &'static [BpfProgram],
    memory: u64,
    tasks: u64,
    user_map: CString,
    group_map: CString,
}

/// Where things are for who is within the walls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inside {
    pub(crate) program: &'static str,
    pub(crate) listener: &'static str,
}

impl Enclosure {
    pub(super) fn new(sandbox: Sandbox, spec: &Spec, io: &Path, root: &Path) -> Self {
        let map = |id: u32| CString::new(format!("{USER} {id} 1")).unwrap_or_default();
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        // Within a user namespace its processes alone count; else all that the user runs on this machine.
        // Beside the function there is one more, which waits for it.
        let others = if sandbox.means == Means::Root { crate::usage::tasks_of_user(USER) } else { 1 };
        Self {
            sandbox,
            layout: (sandbox.means != Means::Limits).then(|| Layout::new(spec, io, root, sandbox.proc)),
            filter: if sandbox.filter { filter::programs() } else { &[] },
            memory: spec.memory.saturating_mul(1 << 20).saturating_add(UNTOUCHED),
            tasks: others + 50,
            user_map: map(user),
            group_map: map(group),
        }
    }

    /// Nothing when there is no root file system of its own.
    pub(crate) fn inside(&self) -> Option<Inside> {
        let inside = Inside { program: layout::PROGRAM, listener: "unix:/tmp/iofs/lsnr.sock" };
        self.layout.as_ref().map(|_| inside)
    }

    /// Which namespaces the process must leave, and its child be in, before [`Enclosure::close`].
    pub(super) fn namespaces(&self) -> UnshareFlags {
        let mut flags = UnshareFlags::NEWPID | UnshareFlags::NEWNS | UnshareFlags::NEWIPC;
        match self.sandbox.means {
            Means::Limits => return UnshareFlags::empty(),
            Means::Root => {}
            Means::UserNamespace => flags |= UnshareFlags::NEWUSER,
        }
        if !self.sandbox.network {
            flags |= UnshareFlags::NEWNET;
        }
        flags
    }

    /// Says who the user is in a new user namespace, if there is one. Allocates nothing.
    pub(super) fn map_ids(&self) -> Result<(), Errno> {
        if self.sandbox.means == Means::UserNamespace {
            write(c"/proc/self/setgroups", c"deny")?;
            write(c"/proc/self/uid_map", &self.user_map)?;
            write(c"/proc/self/gid_map", &self.group_map)?;
        }
        Ok(())
    }

    /// Closes the walls around the process that calls it, which is to exec next. Allocates nothing.
    pub(super) fn close(&self) -> Result<(), Errno> {
        let limit =
            |resource, most: u64| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
        if let Some(layout) = &self.layout {
            layout.build()?;
            limit(Resource::Nproc, self.tasks)?;
        }
        limit(Resource::Nofile, 350)?;
        limit(Resource::Memlock, 65_536)?;
        limit(Resource::Core, 0)?;
        limit(Resource::Data, self.memory)?;
        if self.sandbox.means == Means::Root {
            use rustix::thread::{
                CapabilitySet, remove_capability_from_bounding_set, set_thread_groups, set_thread_res_gid,
                set_thread_res_uid,
            };
            for capability in CapabilitySet::all().iter() {
                match remove_capability_from_bounding_set(capability) {
                    // One that this kernel does not know.
                    Err(Errno::INVAL) => {}
                    removed => removed?,
                }
            }
            set_thread_groups(&[])?;
            let (group, user) = (rustix::fs::Gid::from_raw(USER), rustix::fs::Uid::from_raw(USER));
            set_thread_res_gid(group, group, group)?;
            set_thread_res_uid(user, user, user)?;
        }
        // With a user that is not root, exec leaves no capability.
        rustix::thread::set_no_new_privs(true)?;
        self.filter.iter().try_for_each(|part| seccompiler::apply_filter(part).map_err(|_| Errno::NOSYS))
    }
}

fn write(path: &CStr, text: &CStr) -> Result<(), Errno> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text.to_bytes()).map(drop)
}
