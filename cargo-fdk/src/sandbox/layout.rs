//! The function's root file system, as steps that need no memory of their own: they are taken between fork and exec.

use super::enter::make_read_only;
use crate::agent::Spec;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// Where the executable is, as in the images that the Dockerfile makes.
pub(super) const PROGRAM: &str = "/function/func";
/// Where the agent mounts the socket's directory.
pub(super) const IO: &str = "/tmp/iofs";

/// The system's folders that programs need.
const SYSTEM: [&str; 10] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/nix", "/opt"];
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// What stands for `/proc` where none can be mounted: the function's first process, and no other.
const PROC: [&str; 5] = ["/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys"];

#[derive(Debug)]
pub(super) struct Layout {
    root: CString,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Folder(CString),
    File(CString),
    Link {
        target: CString,
        at: CString,
    },
    /// What is at the first path is at the second too, read-only if so.
    Bind {
        from: CString,
        to: CString,
        read_only: bool,
    },
    Temporary {
        at: CString,
        options: CString,
    },
    /// The processes of the PID namespace.
    Processes(CString),
}

impl Layout {
    pub(super) fn new(spec: &Spec, io: &Path, root: &Path, proc: bool) -> Self {
        let mut layout = Self { root: c(root), steps: Vec::new() };
        let temporary = |at: &Path, options: String| Step::Temporary {
            at: c(at),
            options: CString::new(options).unwrap_or_default(),
        };
        layout.steps.push(temporary(root, "size=1m,mode=755".into()));
        for path in SYSTEM.map(Path::new) {
            match std::fs::read_link(path) {
                Ok(target) => layout.steps.push(Step::Link { target: c(&target), at: c(&under(root, path)) }),
                Err(_) if path.is_dir() => layout.bind(root, path, path, true),
                Err(_) => {}
            }
        }
        if proc {
            let at = c(&root.join("proc"));
            layout.steps.extend([Step::Folder(at.clone()), Step::Processes(at)]);
        }
        let seen: &[&str] = if proc { &[] } else { &PROC };
        for path in seen.iter().chain(&["/sys"]).map(Path::new).filter(|path| path.exists()) {
            layout.bind(root, path, path, path != Path::new("/proc/self"));
        }
        for device in DEVICES.map(Path::new).into_iter().filter(|path| path.exists()) {
            layout.bind(root, device, device, false);
        }
        // OCI Functions grants a quarter of the memory, and eight files for each of its megabytes.
        let (size, files) = ((spec.memory / 4).max(1), spec.memory.saturating_mul(8));
        layout.steps.push(Step::Folder(c(&root.join("tmp"))));
        layout.steps.push(temporary(&root.join("tmp"), format!("size={size}m,nr_inodes={files},mode=1777")));
        layout.bind(root, io, Path::new(IO), false);
        layout.bind(root, &spec.executable, Path::new(PROGRAM), true);
        for path in &spec.visible {
            // What is in a system folder is there already.
            if !SYSTEM.iter().any(|system| path.starts_with(system)) {
                layout.bind(root, path, path, true);
            }
        }
        layout
    }

    fn bind(&mut self, root: &Path, from: &Path, to: &Path, read_only: bool) {
        let at = under(root, to);
        let is_folder = from.is_dir();
        let above: Vec<PathBuf> = at
            .ancestors()
            .skip(usize::from(!is_folder))
            .take_while(|path| *path != root)
            .map(Path::to_owned)
            .collect();
        self.steps.extend(above.iter().rev().map(|path| Step::Folder(c(path))));
        if !is_folder {
            self.steps.push(Step::File(c(&at)));
        }
        self.steps.push(Step::Bind { from: c(from), to: c(&at), read_only });
    }

    /// Builds it, in a mount namespace of the process's own, and makes it the root. Allocates nothing.
    pub(super) fn build(&self) -> Result<(), Errno> {
        mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        for step in &self.steps {
            match step {
                Step::Folder(path) => match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
                    Err(Errno::EXIST) => {}
                    made => made?,
                },
                Step::File(path) => {
                    rustix::fs::open(path, OFlags::CREATE | OFlags::CLOEXEC, Mode::from_raw_mode(0o644))?;
                }
                Step::Link { target, at } => rustix::fs::symlink(target, at)?,
                Step::Bind { from, to, read_only } => {
                    mount_bind_recursive(from, to)?;
                    if *read_only {
                        make_read_only(to)?;
                    }
                }
                Step::Temporary { at, options } => {
                    let flags = MountFlags::NOSUID | MountFlags::NODEV;
                    mount(c"tmpfs", at, c"tmpfs", flags, options.as_c_str())?;
                }
                Step::Processes(at) => {
                    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
                    mount(c"proc", at, c"proc", flags, c"")?;
                }
            }
        }
        rustix::process::chdir(&self.root)?;
        rustix::process::pivot_root(c".", c".")?;
        unmount(c".", UnmountFlags::DETACH)?;
        let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        mount_remount(c"/", flags, c"")?;
        rustix::process::chdir(c"/function")
    }
}

/// A path within another root.
fn under(root: &Path, path: &Path) -> PathBuf {
    let names = path.components().filter(|part| matches!(part, Component::Normal(_)));
    names.fold(root.to_owned(), |at, name| at.join(name))
}

/// A path for the kernel. One with a zero byte in it is none, and fails there.
fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}
