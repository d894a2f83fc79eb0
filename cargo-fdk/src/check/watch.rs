//! The creation of the socket's name, as the agent's own watch on the directory sees it.

use super::case::{Stop, Verdict};
use notify::event::{EventKind, ModifyKind, RenameMode};
use notify::{RecursiveMode, Watcher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use tokio::sync::mpsc;

/// What the socket was at the very moment its name appeared.
#[derive(Debug)]
pub(super) struct Appeared {
    /// Its mode, behind a symlink.
    pub(super) mode: Option<u32>,
    /// Whether it could be connected to; untried unless asked for.
    pub(super) connected: Option<std::io::Result<()>>,
}

/// A watch on the socket's directory, set up before the function starts.
pub(super) struct Watch {
    events: mpsc::UnboundedReceiver<Appeared>,
    _watcher: notify::RecommendedWatcher,
}

impl Watch {
    pub(super) fn new(socket: &Path, connect: bool) -> Verdict<Self> {
        let directory = socket.parent().unwrap_or(Path::new("/"));
        let unable = |error: notify::Error| Stop::Skip(format!("cannot watch a directory: {error}"));
        let (sender, events) = mpsc::unbounded_channel();
        let awaited = socket.to_path_buf();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // IN_CREATE and IN_MOVED_TO; a rename inside the directory is told in two ways, and counts once.
            let appears = matches!(
                event.kind,
                EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Any))
            );
            if appears && event.paths.contains(&awaited) {
                // Here, and not where the event is received: the agent connects at once.
                let connected = connect.then(|| UnixStream::connect(&awaited).map(drop));
                let mode = std::fs::metadata(&awaited).ok().map(|found| found.permissions().mode());
                let _ = sender.send(Appeared { mode, connected });
            }
        })
        .map_err(unable)?;
        watcher.watch(directory, RecursiveMode::NonRecursive).map_err(unable)?;
        Ok(Self { events, _watcher: watcher })
    }

    pub(super) async fn next(&mut self) -> Option<Appeared> {
        self.events.recv().await
    }

    /// How many more times the name has appeared since.
    pub(super) fn more(&mut self) -> usize {
        std::iter::from_fn(|| self.events.try_recv().ok()).count()
    }
}
