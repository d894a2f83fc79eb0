//! Waits for a function's socket exactly as the agent does.
//!
//! The agent (`agent.go`, `inotifyAwait`) watches the directory before the container starts, acts on the first creation
//! of the exact name, checks it once and never again: a symlink must name a bare file in the same directory, and what
//! it leads to must be a socket.

use notify::event::{EventKind, ModifyKind, RenameMode};
use notify::{RecursiveMode, Watcher as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// The file name of every function's socket.
pub(crate) const NAME: &str = "lsnr.sock";

/// A watch on a directory, set up before the function starts.
pub(crate) struct SocketWatch {
    path: PathBuf,
    created: mpsc::UnboundedReceiver<()>,
    _watcher: notify::RecommendedWatcher,
}

impl SocketWatch {
    pub(crate) fn new(directory: &Path) -> notify::Result<Self> {
        let path = directory.join(NAME);
        let (sender, created) = mpsc::unbounded_channel();
        let awaited = path.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let appears = matches!(
                event.kind,
                EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Any))
            );
            if appears && event.paths.contains(&awaited) {
                let _ = sender.send(());
            }
        })?;
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        Ok(Self { path, created, _watcher: watcher })
    }

    /// Waits for the name, then checks it once. The error says which rule is broken.
    pub(crate) async fn published(mut self) -> Result<PathBuf, String> {
        if self.created.recv().await.is_none() {
            return Err("the directory is gone".into());
        }
        check(&self.path).map(|()| self.path)
    }
}

fn check(path: &Path) -> Result<(), String> {
    let found = std::fs::symlink_metadata(path).map_err(|error| format!("{NAME}: {error}"))?;
    if found.file_type().is_symlink() {
        let target = std::fs::read_link(path).map_err(|error| format!("{NAME}: {error}"))?;
        let parent = target.parent().unwrap_or(Path::new(""));
        if parent != Path::new("") && parent != Path::new(".") {
            return Err(format!(
                "{NAME} is a symlink to {}: a symlink must name a bare file in the socket's own directory",
                target.display()
            ));
        }
    }
    let target = std::fs::metadata(path).map_err(|error| format!("{NAME} leads nowhere: {error}"))?;
    if !target.file_type().is_socket() {
        return Err(format!("{NAME} is not a socket"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn the_rules_of_the_agent_hold() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let _socket = UnixListener::bind(at("real")).unwrap();
        symlink("real", at("bare")).unwrap();
        assert_eq!(check(&at("bare")), Ok(()));
        assert_eq!(check(&at("real")), Ok(()));
        symlink(at("real"), at("absolute")).unwrap();
        assert!(check(&at("absolute")).unwrap_err().contains("must name a bare file"));
        symlink("nowhere", at("dangling")).unwrap();
        assert!(check(&at("dangling")).unwrap_err().starts_with("lsnr.sock leads nowhere"));
        std::fs::write(at("file"), "").unwrap();
        assert_eq!(check(&at("file")).unwrap_err(), "lsnr.sock is not a socket");
    }
}
