//! One function attacks another and the platform: with walls between them nothing succeeds that does without.

use crate::endurance::Small;
use crate::served::Served;
use crate::turn::Turn;
use cargo_fdk::agent::{Fault, Spec};
use cargo_fdk::platform::{Settings, Surroundings};
use cargo_fdk::sandbox::Sandbox;
use cargo_fdk::store::model::{App, Func};
use serde_json::{Value, json};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use workspace_tests::not_run::{absent, have};

const SECRET: &str = "the-victims-secret";

/// Gives a file to one function and not to others, as identities are given.
struct Given(PathBuf);

impl Surroundings for Given {
    fn furnish(&self, _app: &App, func: &Func, spec: &mut Spec) -> Result<(), Fault> {
        if func.name == "victim" {
            spec.visible.push(self.0.clone());
        }
        Ok(())
    }
}

/// A key that the functions' user alone may read.
fn key(folder: &Path) -> PathBuf {
    let (above, key) = (folder.join("identity"), folder.join("identity/private.pem"));
    std::fs::DirBuilder::new().mode(0o700).create(&above).unwrap();
    std::fs::write(&key, "a key").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    if rustix::process::geteuid().is_root() {
        for path in [&above, &key] {
            std::os::unix::fs::chown(path, Some(1000), Some(1000)).unwrap();
        }
    }
    key
}

/// Where a function's socket is on this machine: its container's folder is among its mounts, or in its environment.
fn socket(process: &str) -> PathBuf {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}")).unwrap();
    let seen = read("mountinfo") + &read("environ");
    let container = seen.split('/').find(|name| name.starts_with("fdk-container-")).unwrap();
    Path::new("/tmp").join(container).join("io/lsnr.sock")
}

/// What an attack achieves, by name.
fn attack(sandbox: Option<Sandbox>) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let key = key(folder.path());
    let settings = Settings { sandbox, ..Settings::default() };
    let served = Served::start_with(folder.path(), settings, Arc::new(Given(key.clone())));
    let victim = served.function("victim", &json!({"config": {"SECRET": SECRET}}));
    let attacker = served.function("attacker", &Value::Null);
    let read = format!("read {}", key.display());
    assert_eq!(served.invoke(&victim, &read).text, "a key");
    let process = served.process(&victim, "pid");
    let socket = socket(&process);
    assert!(socket.exists(), "{}", socket.display());
    let target = json!({
        "victim": process, "secret": SECRET, "key": key, "socket": socket,
        "platform": std::process::id().to_string(),
        "port": served.url.strip_prefix("http://").unwrap(),
        "state": folder.path().join("state.redb"),
    });
    let achieved = served.invoke(&attacker, &format!("attack {target}")).json();
    assert_eq!(served.invoke(&victim, &read).text, "a key", "the victim answers on");
    achieved
}

fn succeeded(achieved: &Value) -> Vec<&str> {
    let achieved = achieved.as_object().unwrap().iter();
    achieved.filter(|(_, success)| **success == true).map(|(name, _)| name.as_str()).collect()
}

#[test]
fn one_function_reaches_neither_another_nor_the_platform() {
    let sandbox = Sandbox::strongest(false);
    let missing = sandbox.missing();
    println!("missing: {missing:?}");
    if missing.contains(&"PID namespace") {
        absent("neighbours", "user namespaces", "root, or sysctl kernel.unprivileged_userns_clone=1");
        return;
    }
    // Without walls each attempt succeeds, so that the test says something.
    let mut without = attack(None);
    let yama = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if !rustix::process::geteuid().is_root() && !matches!(yama.trim(), "" | "0") {
        // To debug what is no child is root's alone on such a system.
        for name in ["debug", "debug the platform"] {
            without[name] = true.into();
        }
    }
    assert_eq!(succeeded(&without).len(), without.as_object().unwrap().len(), "{without}");
    let calls: &[&str] = if missing.contains(&"seccomp filter") { &["namespaces"] } else { &[] };
    assert_eq!(succeeded(&attack(Some(sandbox))), calls);
}

/// The test above in a process of its own, started by another command; what it printed.
fn again_under(command: &[&str]) -> Option<String> {
    if !rustix::process::geteuid().is_root() || !have("neighbours", command[0], &["--version"], "util-linux")
    {
        return None;
    }
    // It counts the processes of functions as other tests do.
    let _turn = Turn::beside_others();
    let itself = std::env::current_exe().unwrap();
    let test = "neighbours::one_function_reaches_neither_another_nor_the_platform";
    let mut again = Command::new(command[0]);
    again.args(&command[1..]).arg(itself).args(["--exact", test, "--nocapture"]);
    let output = again.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    Some(told)
}

const AS_ANYBODY: [&str; 4] = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"];

#[test]
fn nor_does_one_where_the_platform_is_not_roots() {
    let Some(told) = again_under(&AS_ANYBODY) else { return };
    assert!(told.contains("missing: []"), "{told}");
}

#[test]
fn nor_does_one_where_no_proc_can_be_mounted() {
    // As in a container of Docker's: a part of /proc is covered, and who is not root may not see beneath.
    let covered = "mount --bind /dev/null /proc/version && exec \"$@\"";
    let command = [&["unshare", "--mount", "sh", "-c", covered, "sh"][..], &AS_ANYBODY[..]].concat();
    let Some(told) = again_under(&command) else { return };
    assert!(told.contains("missing: [\"private /proc\"]"), "{told}");
}

#[test]
fn what_is_mounted_beneath_what_a_function_sees_is_read_only_too() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let Some(beneath) = Small::mount_in(&shared, 1) else { return };
    std::fs::set_permissions(beneath.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let write = format!("write {}", beneath.path().join("file").display());
    for (sandbox, written) in [(Some(Sandbox::strongest(false)), "Err(ReadOnlyFilesystem)"), (None, "Ok(())")]
    {
        let settings = Settings { sandbox, ..Settings::default() };
        let state = tempfile::tempdir().unwrap();
        let served = Served::start_with(state.path(), settings, Arc::new(Given(shared.clone())));
        let victim = served.function("victim", &Value::Null);
        assert_eq!(served.invoke(&victim, &write).text, written);
    }
}
