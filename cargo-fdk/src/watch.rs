//! Sees when a function's sources change: those that its last build read, its `func.yaml` and its `Cargo.toml`.

use crate::function::Function;
use crate::{Error, Result};
use notify::{EventKind, RecursiveMode, Watcher as _};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;

/// An editor writes a file in several steps, and a person several files.
const QUIET: Duration = Duration::from_millis(100);

/// A watch on several functions.
pub(crate) struct Watch {
    watcher: notify::RecommendedWatcher,
    changed: mpsc::UnboundedReceiver<PathBuf>,
    /// Which functions, by their folders, have a file among their sources.
    files: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    pub(crate) fn new() -> Result<Self> {
        let (sender, changed) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_)) {
                event.paths.into_iter().for_each(|path| drop(sender.send(path)));
            }
        })
        .map_err(unable)?;
        Ok(Self { watcher, changed, files: BTreeMap::new(), folders: BTreeSet::new() })
    }

    /// Watches what a function was built from.
    pub(crate) fn add(&mut self, function: &Function, executable: &Path) -> Result<()> {
        let owner = function.folder().to_owned();
        let whole = |path: PathBuf| path.canonicalize().unwrap_or(path);
        let own = ["func.yaml", "Cargo.toml"].map(|name| owner.join(name));
        for file in sources(executable).into_iter().chain(own).map(whole) {
            // Its folder: an editor may put another file in its place.
            let Some(folder) = file.parent().map(Path::to_owned) else { continue };
            if folder.is_dir() && !self.folders.contains(&folder) {
                self.watcher.watch(&folder, RecursiveMode::NonRecursive).map_err(unable)?;
                self.folders.insert(folder);
            }
            self.files.entry(file).or_default().insert(owner.clone());
        }
        Ok(())
    }

    /// The folders of the functions whose sources have changed, after a moment of quiet.
    pub(crate) async fn next(&mut self) -> BTreeSet<PathBuf> {
        let mut owners = BTreeSet::new();
        loop {
            let path = if owners.is_empty() {
                self.changed.recv().await
            } else {
                match tokio::time::timeout(QUIET, self.changed.recv()).await {
                    Ok(path) => path,
                    Err(_) => return owners,
                }
            };
            match path {
                Some(path) => owners.extend(self.files.get(&path).into_iter().flatten().cloned()),
                None => std::future::pending().await,
            }
        }
    }
}

/// The files of this machine's own packages that an executable was built from, as cargo notes them beside it.
fn sources(executable: &Path) -> Vec<PathBuf> {
    std::fs::read_to_string(executable.with_extension("d"))
        .map(|text| prerequisites(&text))
        .unwrap_or_default()
}

/// What stands behind the colon of a make rule; a blank in a name has a backslash before it.
fn prerequisites(text: &str) -> Vec<PathBuf> {
    let Some((_, names)) = text.lines().next().and_then(|line| line.split_once(": ")) else {
        return Vec::new();
    };
    let names = names.replace("\\ ", "\0");
    names.split_whitespace().map(|name| name.replace('\0', " ").into()).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "it is a mapper of errors")]
fn unable(error: notify::Error) -> Error {
    Error::failed(format!("cannot watch for changes: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_beside_an_executable_is_read() {
        let found = prerequisites("/t/f: /s/src/main.rs /s/a\\ b/lib.rs\n\n/s/src/main.rs:\n");
        assert_eq!(found, [PathBuf::from("/s/src/main.rs"), PathBuf::from("/s/a b/lib.rs")]);
    }

    #[tokio::test]
    async fn a_changed_source_names_its_function() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("src")).unwrap();
        for (name, text) in [
            ("func.yaml", "name: f\n".to_owned()),
            ("Cargo.toml", "[package]\nname = \"f\"\n".to_owned()),
            ("src/main.rs", String::new()),
            ("f.d", format!("f: {}\n", root.join("src/main.rs").display())),
        ] {
            std::fs::write(root.join(name), text).unwrap();
        }
        let mut watch = Watch::new().unwrap();
        watch.add(&Function::read(&root).unwrap(), &root.join("f")).unwrap();
        std::fs::write(root.join("src/other.rs"), "").unwrap();
        std::fs::write(root.join("src/main.rs"), "fn main() {}").unwrap();
        let changed = tokio::time::timeout(Duration::from_secs(10), watch.next()).await.unwrap();
        assert_eq!(changed, BTreeSet::from([root]));
    }
}
