//! The socket, published the way the agent demands.
//!
//! The agent watches the directory and connects the moment `FN_LISTENER`'s name appears, once, without a retry
//! (`agent.go`, `inotifyAwait`). So everything is done under another name in the same directory (bind, listen,
//! chmod 0666) and the real name comes last, as a symlink to that bare name: the agent refuses any other target.

use crate::contract::temporary_name;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// A socket and the names it goes by. They are dropped in this order: once a socket is closed, another may get its inode.
#[derive(Debug)]
pub(crate) struct Listener {
    names: Names,
    socket: UnixListener,
}

/// The names of a socket; both are removed on drop, unless they are another socket's by then.
#[derive(Debug)]
struct Names {
    published: PathBuf,
    bound: PathBuf,
    /// The device and the inode of the socket.
    socket: (u64, u64),
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
    pub(crate) fn bind(path: &Path) -> Result<Self, PublishError> {
        let bound = path.with_file_name(temporary_name(path));
        // A predecessor that was killed leaves both names behind.
        remove_stale(path)?;
        remove_stale(&bound)?;
        let socket = std::os::unix::net::UnixListener::bind(&bound).map_err(fails("bind", &bound))?;
        let inode = inode(&bound).map_err(fails("look at", &bound))?;
        let names = Names { published: path.into(), bound, socket: inode };
        // The agent may run as another user, and connecting needs write permission.
        fs::set_permissions(&names.bound, fs::Permissions::from_mode(0o666))
            .map_err(fails("chmod", &names.bound))?;
        socket.set_nonblocking(true).map_err(fails("set non-blocking", &names.bound))?;
        let socket = UnixListener::from_std(socket).map_err(fails("wait for", &names.bound))?;
        Ok(Self { names, socket })
    }

    /// Gives the socket the name that the agent waits for.
    pub(crate) fn publish(&self) -> Result<(), PublishError> {
        let Names { published, bound, .. } = &self.names;
        symlink(bound.file_name().unwrap_or_default(), published).map_err(fails("symlink", published))
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.socket.accept().await?.0)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        // A successor in the same directory has other names of the same spelling.
        if inode(&self.bound).is_ok_and(|found| found == self.socket) {
            if fs::read_link(&self.published).is_ok_and(|to| Some(to.as_os_str()) == self.bound.file_name()) {
                let _ = fs::remove_file(&self.published);
            }
            let _ = fs::remove_file(&self.bound);
        }
    }
}

/// The device and the inode of what has this name, not of what it may link to.
fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_successors_names_stay_when_the_first_one_ends() {
        let folder = std::env::temp_dir().join(format!("fdk-listener-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("lsnr.sock");
        let count = || fs::read_dir(&folder).unwrap().count();
        let publish = || {
            let listener = Listener::bind(&path).unwrap();
            listener.publish().unwrap();
            listener
        };
        let first = publish();
        let second = publish();
        drop(first);
        let (met, came) = tokio::join!(second.accept(), UnixStream::connect(&path));
        assert!(met.is_ok() && came.is_ok());
        drop(second);
        assert_eq!(count(), 0, "both of its own names are gone");

        // What is no socket is nobody's to remove, under either name.
        for name in ["lsnr.sock", ".f"] {
            fs::write(folder.join(name), "mine").unwrap();
            assert!(Listener::bind(&path).unwrap_err().to_string().contains("is no socket"), "{name}");
            assert_eq!(count(), 1, "{name}");
            fs::remove_file(folder.join(name)).unwrap();
        }
        // The name that was bound has become a file.
        let third = publish();
        fs::remove_file(folder.join(".f")).unwrap();
        fs::write(folder.join(".f"), "mine").unwrap();
        drop(third);
        assert_eq!(count(), 2);
        fs::remove_dir_all(&folder).unwrap();
    }
}
