//! Between fork and exec: the one place of this crate where the compiler's rules do not suffice.

use super::{Enclosure, Sandbox};
use crate::agent::Spec;
use rustix::io::Errno;
use rustix::process::Signal;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// Lets a command's process close walls around itself before it runs its program; and die when this thread does, so that
/// nothing is left when this process is killed.
#[allow(unsafe_code, reason = "what runs between fork and exec")]
pub(crate) fn enter(command: &mut Command, walls: Option<Enclosure>) {
    let ready = move || {
        if let Some(walls) = &walls {
            let namespaces = walls.namespaces();
            if !namespaces.is_empty() {
                // SAFETY: the flags hold neither FILES nor FS, whose sharing other code could rely on; and this process
                // has one thread, so no other could see a namespace that is half changed.
                unsafe { rustix::thread::unshare_unsafe(namespaces) }?;
            }
            walls.close()?;
        }
        // Last: a change of user clears it.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(())
    };
    // SAFETY: the closure makes system calls on what was made ready before the fork. It neither allocates, locks nor
    // unwinds, so it cannot meet a lock that another thread held when this process was forked. The enclosure it owns is
    // dropped by the parent alone.
    unsafe { command.pre_exec(ready) };
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
    enter(&mut command, Some(sandbox.around(&spec, &io, &root)));
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
