//! What accumulates: ten thousand calls, and a disk that is full.

use crate::served::{Served, directories, outside, runs, until};
use cargo_fdk::platform::Settings;
use cargo_fdk::sandbox::Sandbox;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use workspace_tests::not_run::{absent, rounds};

fn settings() -> Settings {
    Settings { sandbox: Some(Sandbox::strongest(false)), ..Settings::default() }
}

#[test]
fn thousands_of_calls_leave_nothing() {
    const CALLERS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start_alone(folder.path(), settings());
    let id = served.function("f", &json!({"timeout": 60}));
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    served.invoke(&id, "warm");
    let before = descriptors();
    let (pids, folders) = (Mutex::new(BTreeSet::<String>::new()), Mutex::new(BTreeSet::<PathBuf>::new()));
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (served, id, pids, folders) = (&served, &id, &pids, &folders);
            scope.spawn(move || {
                for call in 0..rounds(10_000) / CALLERS {
                    let text = match call {
                        // Now and then one that costs a container.
                        _ if call % 100 == 99 => "exit".to_owned(),
                        _ if call % 25 == 0 => "pid".to_owned(),
                        _ => format!("{caller} {call}"),
                    };
                    let answer = served.invoke(id, &text);
                    match text.as_str() {
                        "exit" => assert_eq!(answer.status, 502),
                        "pid" => {
                            // Another caller may have cost its container meanwhile.
                            pids.lock().unwrap().extend(outside(&answer.text));
                            folders.lock().unwrap().extend(directories("self"));
                        }
                        _ => assert_eq!((answer.status, answer.text), (200, text)),
                    }
                }
            });
        }
    });
    // The client keeps a connection for each caller, the platform its other end.
    until("descriptors are as before", || descriptors() <= before + 4 * CALLERS);
    served.stop();
    let pids = pids.into_inner().unwrap();
    let folders = folders.into_inner().unwrap();
    assert!(pids.len() > 1 && folders.len() > 1, "{pids:?} {folders:?}");
    until("every process has ended", || !pids.iter().any(|pid| runs(pid)));
    until("every directory is gone", || !folders.iter().any(|folder| folder.exists()));
}

/// A file system of a few MB, gone with this value.
pub(crate) struct Small(tempfile::TempDir);

impl Small {
    fn mount(megabytes: usize) -> Option<Self> {
        Self::mount_in(&std::env::temp_dir(), megabytes)
    }

    /// In a folder of that folder.
    pub(crate) fn mount_in(above: &Path, megabytes: usize) -> Option<Self> {
        let folder = tempfile::tempdir_in(above).unwrap();
        let size = format!("size={megabytes}m,mode=0755");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        absent("disk_full", "a file system of a few MB", "root, who may mount one");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_is_said_and_what_there_was_goes_on() {
    let Some(small) = Small::mount(24) else { return };
    let served = Served::start(small.path(), settings());
    let id = served.function("f", &Value::Null);
    assert_eq!(served.invoke(&id, "before").text, "before");
    let filler = small.path().join("filler");
    let _ = std::fs::write(&filler, vec![0; 64 << 20]);
    // The file has some room of its own: it is full when it must grow.
    let long = "x".repeat(60_000);
    let refused = (0..200).map(|number| {
        let wanted = json!({"name": format!("app{number}"), "config": {"long": long}});
        served.post("/v2/apps", &wanted)
    });
    let refused = refused.into_iter().find(|answer| answer.status != 200).expect("the disk is never full");
    let (status, message) = refused.error();
    // The platform's own log says why.
    assert_eq!((status, message.as_str()), (500, "internal server error"));
    // Calls need no disk, and what is known stays known.
    assert_eq!(served.invoke(&id, "during").text, "during");
    let before = served.get("/v2/apps?per_page=100").json()["items"].as_array().unwrap().len();
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(served.post("/v2/apps", &json!({"name": "after"})).status, 200);
    assert_eq!(served.get("/v2/apps?per_page=100").json()["items"].as_array().unwrap().len(), before + 1);
    served.stop();
}
