//! The socket, published the way the agent demands.
//!
//! The agent watches the directory and connects the moment `FN_LISTENER`'s name appears, once, without a retry
//! (`agent.go`, `inotifyAwait`). So everything is done under another name in the same directory (bind, listen,
//! chmod 0666) and the real name comes last, as a symlink to that bare name: the agent refuses any other target.

use crate::contract::temporary_name;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A bound socket and the names it goes by; both are removed on drop.
#[derive(Debug)]
pub(crate) struct Listener {
    published: PathBuf,
    bound: PathBuf,
}

/// Why a socket cannot be published; the message names the path and the system's reason.
#[derive(Debug)]
pub(crate) struct PublishError {
    message: String,
}

impl std::fmt::Display for PublishError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl Listener {
    /// Binds next to `path` without publishing it yet.
    pub(crate) fn bind(path: &Path) -> Result<(Self, UnixListener), PublishError> {
        let bound = path.with_file_name(temporary_name(path));
        let names = Self { published: path.into(), bound };
        // A predecessor that was killed leaves both names behind.
        remove_stale(path)?;
        remove_stale(&names.bound)?;
        let socket = UnixListener::bind(&names.bound).map_err(fails("bind", &names.bound))?;
        // The agent may run as another user, and connecting needs write permission.
        fs::set_permissions(&names.bound, fs::Permissions::from_mode(0o666))
            .map_err(fails("chmod", &names.bound))?;
        socket.set_nonblocking(true).map_err(fails("set non-blocking", &names.bound))?;
        Ok((names, socket))
    }

    /// Gives the socket the name that the agent waits for.
    pub(crate) fn publish(&self) -> Result<(), PublishError> {
        let target = self.bound.file_name().unwrap_or_default();
        symlink(target, &self.published).map_err(fails("symlink", &self.published))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Only our own link: a successor in the same directory may have replaced it.
        if fs::read_link(&self.published)
            .is_ok_and(|target| Some(target.as_os_str()) == self.bound.file_name())
        {
            let _ = fs::remove_file(&self.published);
        }
        let _ = fs::remove_file(&self.bound);
    }
}

fn remove_stale(path: &Path) -> Result<(), PublishError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_symlink() || found.file_type().is_socket() => {
            fs::remove_file(path).map_err(fails("remove the stale socket", path))
        }
        Ok(_) => Err(PublishError {
            message: format!(
                "FN_LISTENER: {} exists and is no socket: it is left as it is; remove it",
                path.display()
            ),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(fails("look at", path)(error)),
    }
}

fn fails(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> PublishError {
    move |error| PublishError { message: format!("FN_LISTENER: cannot {verb} {}: {error}", path.display()) }
}
