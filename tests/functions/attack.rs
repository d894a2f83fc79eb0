//! What a function may try on its neighbour and on the platform, by every way that needs no privilege.

use rustix::process::{Pid, Signal, kill_process, pidfd_getfd, pidfd_open, test_kill_process};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;

/// Which attempts succeed. The attacker knows of everything where it is.
pub(crate) fn on(target: &Value) -> Value {
    let text = |name: &str| target[name].as_str().unwrap();
    let pid = |name: &str| Pid::from_raw(text(name).parse().unwrap()).unwrap();
    let (victim, platform) = (pid("victim"), pid("platform"));
    // A file at its own path, and where the process that has it sees it.
    let reads = |process: Pid, path: &str| {
        [path.to_owned(), format!("/proc/{process}/root{path}")]
            .iter()
            .any(|path| std::fs::read(path).is_ok())
    };
    let sockets = [text("socket").to_owned(), format!("/proc/{victim}/root/tmp/iofs/lsnr.sock")];
    let debugs = |process: Pid| {
        let file = pidfd_open(process, rustix::process::PidfdFlags::empty())
            .and_then(|process| pidfd_getfd(process, 1, rustix::process::PidfdGetfdFlags::empty()));
        file.is_ok() || std::fs::File::open(format!("/proc/{process}/mem")).is_ok()
    };
    json!({
        "environment": environments().any(|environment| environment.contains(text("secret"))),
        "platform's environment": std::fs::read(format!("/proc/{platform}/environ")).is_ok(),
        "key": reads(victim, text("key")),
        "stop": kill_process(victim, Signal::STOP).is_ok() && kill_process(victim, Signal::CONT).is_ok(),
        "platform's signals": test_kill_process(platform).is_ok(),
        "debug": debugs(victim),
        "debug the platform": debugs(platform),
        "socket": sockets.iter().any(|socket| UnixStream::connect(socket).is_ok()),
        "port": TcpStream::connect(text("port")).is_ok(),
        "state": reads(platform, text("state")),
        "namespaces": Command::new("unshare").args(["--user", "true"]).status().is_ok_and(|ended| ended.success()),
    })
}

/// The environments of all processes that can be seen.
fn environments() -> impl Iterator<Item = String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let environments = processes.filter_map(|process| std::fs::read(process.path().join("environ")).ok());
    environments.map(|environment| String::from_utf8_lossy(&environment).into_owned())
}
