//! Between fork and exec: the one place of this crate where the compiler's rules do not suffice.

use super::{Enclosure, Sandbox};
use crate::agent::Spec;
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, set_parent_process_death_signal};
use std::ffi::CStr;
use std::io::{PipeReader, PipeWriter, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// Tells the id of the process that runs the program, where it is not the command's own child.
#[derive(Debug)]
pub(crate) struct FirstProcess(PipeReader);

impl FirstProcess {
    /// Its id, once the command has been spawned.
    pub(crate) fn pid(mut self) -> std::io::Result<Pid> {
        let mut id = [0; 4];
        self.0.read_exact(&mut id)?;
        Pid::from_raw(i32::from_ne_bytes(id)).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
    }
}

/// Lets a command's process close walls around itself before it runs its program; and die when this thread does, so that
/// nothing is left when this process is killed.
#[allow(unsafe_code, reason = "what runs between fork and exec")]
pub(crate) fn enter(
    command: &mut Command,
    walls: Option<Enclosure>,
) -> std::io::Result<Option<FirstProcess>> {
    let walls = walls.map(|walls| (walls.namespaces(), walls));
    let has_namespaces = walls.as_ref().is_some_and(|(namespaces, _)| !namespaces.is_empty());
    let (first, tell) = if has_namespaces {
        let (first, tell) = std::io::pipe()?;
        (Some(FirstProcess(first)), Some(tell))
    } else {
        (None, None)
    };
    let ready = move || {
        if let Some((namespaces, walls)) = &walls {
            if let Some(tell) = &tell {
                // SAFETY: the flags hold neither FILES nor FS, whose sharing other code could rely on; and this process
                // has one thread, so no other could see a namespace that is half changed.
                unsafe { rustix::thread::unshare_unsafe(*namespaces) }?;
                walls.map_ids()?;
                become_first(tell)?;
            }
            walls.close()?;
        }
        // Last: a change of user clears it.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(())
    };
    // SAFETY: the closure makes system calls on what was made ready before the fork. It neither allocates, locks nor
    // unwinds, so it cannot meet a lock that another thread held when this process was forked. The enclosure it owns is
    // dropped by the parent alone.
    unsafe { command.pre_exec(ready) };
    Ok(first)
}

/// Goes on as the first process of the new PID namespace, and the leader of a group of its own. Who called stays outside
/// and stands for it: it tells its id, and ends as it ends.
#[allow(unsafe_code, reason = "no process enters a PID namespace but by a fork, which rustix does not offer")]
fn become_first(tell: &PipeWriter) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // SAFETY: this process is itself a fork with one thread, whose C library has no lock that is held.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error()),
        0 => Ok(rustix::process::setpgid(None, None)?),
        first => stand_for(first, tell),
    }
}

/// Waits for the process and ends as it did. Allocates nothing.
#[allow(unsafe_code, reason = "to end without what a Rust process does at its end")]
fn stand_for(first: i32, tell: &PipeWriter) -> ! {
    let _ = rustix::io::write(tell, &first.to_ne_bytes());
    // It has a copy of all that this program knows: no dump, no debugger.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // SAFETY: nothing uses a file from here on; an open one would keep from its end what waits for it.
    unsafe { libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0) };
    let ended = loop {
        match rustix::process::waitpid(Pid::from_raw(first), WaitOptions::empty()) {
            Ok(Some((_, status))) => break status,
            Err(Errno::INTR) | Ok(None) => {}
            // SAFETY: ends this process at once.
            Err(_) => unsafe { libc::_exit(1) },
        }
    };
    if let Some(signal) = ended.terminating_signal() {
        // SAFETY: the signal's default action ends this process, in which nothing else runs.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::kill(libc::getpid(), signal);
        }
    }
    // SAFETY: as above.
    unsafe { libc::_exit(ended.exit_status().unwrap_or(1)) }
}

/// Makes a mount read-only, and all that is mounted beneath it.
#[allow(unsafe_code, reason = "a system call that rustix does not offer")]
pub(super) fn make_read_only(at: &CStr) -> Result<(), Errno> {
    let read_only =
        libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the path ends with a zero byte and the size is the structure's; the kernel reads both and keeps neither.
    let made = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            at.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const read_only,
            size_of_val(&read_only),
        )
    };
    if made == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}

/// Whether these walls can be closed here: tries, in a process that then ends.
#[allow(unsafe_code, reason = "what runs between fork and exec")]
pub(super) fn works(sandbox: Sandbox) -> bool {
    // Nothing fails so by itself.
    const CLOSED: Errno = Errno::XFULL;
    let Ok(directory) = tempfile::Builder::new().prefix("fdk-probe").tempdir_in("/tmp") else { return false };
    let (io, root) = (directory.path().join("io"), directory.path().join("root"));
    if std::fs::create_dir(&io).and_then(|()| std::fs::create_dir(&root)).is_err() {
        return false;
    }
    let Ok(itself) = std::env::current_exe() else { return false };
    let spec = Spec::new("probe", itself.clone());
    let mut command = Command::new(itself);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(_first) = enter(&mut command, Some(sandbox.around(&spec, &io, &root))) else { return false };
    // SAFETY: as above; it does nothing at all.
    unsafe { command.pre_exec(|| Err(CLOSED.into())) };
    match command.spawn() {
        Err(error) => error.raw_os_error() == Some(CLOSED.raw_os_error()),
        Ok(mut child) => {
            let _ = child.kill();
            let _ = child.wait();
            false
        }
    }
}
