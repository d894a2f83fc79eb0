//! Start-up: what must not start, and says why (cases 6, 9 to 12, 15, 16, 18, 22).

use super::case::{Case, Stop, Verdict, ensure};
use super::launch::{Launch, Subject, make_folder, permit};
use super::startup::path_of_length;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(super) const CASES: &[Case] = &[
    Case::recommended(6, "listener-108", |subject| Box::pin(too_long(subject))),
    Case::required(9, "listener-missing", |subject| Box::pin(listener_missing(subject))),
    Case::required(10, "listener-empty", |subject| Box::pin(listener(subject, ""))),
    Case::required(11, "listener-tcp", |subject| Box::pin(listener_tcp(subject))),
    Case::required(12, "listener-relative", |subject| Box::pin(listener(subject, "unix:lsnr.sock"))),
    Case::required(15, "format-json", |subject| Box::pin(format(subject, "json"))),
    Case::required(16, "format-http", |subject| Box::pin(format(subject, "HTTP"))),
    Case::required(18, "dir-unwritable", |subject| Box::pin(unwritable(subject))),
    Case::recommended(22, "init-failure", |subject| Box::pin(init_failure(subject))).with_probe(),
];

/// Starts what must refuse: it ends with a failure and a message, and leaves no file. Returns the message.
async fn refused(launch: Launch) -> Verdict {
    let before = sockets_here();
    let mut function = launch.spawn()?;
    let status = function.ended(Duration::from_secs(10)).await;
    let stray: Vec<PathBuf> = sockets_here().difference(&before).cloned().collect();
    for path in &stray {
        let _ = std::fs::remove_file(path);
    }
    let status = status.map_err(|why| format!("expected a refusal to start, but {why}"))?;
    let message = function.stderr.text();
    ensure!(!status.success(), "expected an exit code that is not 0, got {status}");
    ensure!(!message.trim().is_empty(), "{status}, but nothing on stderr says why");
    let mut files = function.files();
    files.extend(stray.iter().map(|path| path.display().to_string()));
    ensure!(files.is_empty(), "expected no files, got {}", files.join(", "));
    Ok(message)
}

/// A relative listener's socket: it lands in the current directory, which is the user's.
const RELATIVE: &str = "lsnr.sock";

/// What there is of that name, and beside it where that is a link; any other socket there is somebody else's.
fn sockets_here() -> BTreeSet<PathBuf> {
    use std::os::unix::fs::FileTypeExt as _;
    let name = PathBuf::from(RELATIVE);
    let beside = std::fs::read_link(&name).ok().filter(|target| target.components().count() == 1);
    let mut found: BTreeSet<PathBuf> = beside.into_iter().chain([name]).collect();
    found.retain(|path| {
        let kind = path.symlink_metadata().map(|found| found.file_type());
        kind.is_ok_and(|kind| kind.is_socket() || kind.is_symlink())
    });
    found
}

/// What a refusal says: its last line, or the message in it where the log is JSON.
fn last_line(message: &str) -> String {
    let line = message.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let told = serde_json::from_str(line).ok().and_then(|line| message_in(&line));
    told.as_deref().unwrap_or(line).chars().take(100).collect()
}

fn message_in(log: &serde_json::Value) -> Option<String> {
    let fields = log.as_object()?;
    let message = ["message", "msg"].iter().find_map(|key| fields.get(*key)?.as_str());
    message.map(str::to_owned).or_else(|| fields.values().find_map(message_in))
}

async fn too_long(subject: &Subject) -> Verdict {
    let launch = subject.launch()?;
    let socket = path_of_length(&launch.io(), 108)?;
    let message = refused(launch.at(&socket)).await?;
    ensure!(
        message.contains("FN_LISTENER"),
        "expected FN_LISTENER to be named, got {:?}",
        last_line(&message)
    );
    Ok(last_line(&message))
}

async fn listener_missing(subject: &Subject) -> Verdict {
    Ok(last_line(&refused(subject.launch()?.without("FN_LISTENER")).await?))
}

async fn listener(subject: &Subject, value: &str) -> Verdict {
    Ok(last_line(&refused(subject.launch()?.env("FN_LISTENER", value)).await?))
}

async fn listener_tcp(subject: &Subject) -> Verdict {
    let launch = subject.launch()?;
    // A place that it could use, should it take this for a path.
    let value = format!("tcp:{}", launch.io().join("lsnr.sock").display());
    Ok(last_line(&refused(launch.env("FN_LISTENER", value)).await?))
}

async fn format(subject: &Subject, value: &str) -> Verdict {
    Ok(last_line(&refused(subject.launch()?.env("FN_FORMAT", value)).await?))
}

async fn unwritable(subject: &Subject) -> Verdict {
    let launch = subject.launch()?;
    // Nothing but the kernel's own file system is closed to root.
    let folder = if rustix::process::getuid().is_root() {
        PathBuf::from("/proc")
    } else {
        let folder = launch.io().join("closed");
        make_folder(&folder)?;
        permit(&folder, 0o555)?;
        folder
    };
    let message = refused(launch.at(&folder.join("lsnr.sock"))).await?;
    let path = folder.display().to_string();
    ensure!(message.contains(&path), "expected {path} in the message, got {:?}", last_line(&message));
    let lower = message.to_lowercase();
    let reasons = [
        "errno",
        "os error",
        "denied",
        "not permitted",
        "no such file",
        "read-only",
        "eacces",
        "enoent",
        "eperm",
    ];
    ensure!(
        reasons.iter().any(|reason| lower.contains(reason)),
        "expected the system's reason in the message, got {:?}",
        last_line(&message)
    );
    Ok(format!("in {path}: {}", last_line(&message)))
}

const REASON: &str = "no weights";

fn loading(subject: &Subject) -> Verdict<Launch> {
    Ok(subject.launch()?.env("PROBE_INIT_SLEEP_MS", "2000").env("PROBE_INIT_FAIL", REASON))
}

/// The loader fails: before there is a socket, which is a refusal like any other, or while a call waits for it.
async fn init_failure(subject: &Subject) -> Verdict {
    const LIMIT: Duration = Duration::from_millis(50);
    let mut best = Duration::MAX;
    let mut lost = 0;
    // Time and again: the machine's own load is not the function's.
    for _ in 0..20 {
        let mut function = match loading(subject)?.serve().await {
            Err(Stop::Fail(_)) => {
                let message = refused(loading(subject)?).await?;
                ensure!(
                    message.contains(REASON),
                    "expected the reason on stderr, got {:?}",
                    last_line(&message)
                );
                return Ok("ended before its socket".into());
            }
            served => served?,
        };
        let reply = match function.call(&subject.request()).await {
            Ok(reply) => reply,
            // The loader may have failed before the call was there to wait.
            Err(_) if lost < 3 => {
                lost += 1;
                continue;
            }
            Err(why) => return Err(Stop::Fail(format!("the waiting call: {why}"))),
        };
        let answered = Instant::now();
        ensure!(reply.status == 502, "expected 502 for the waiting call, got {}", reply.status);
        let status = function.ended(Duration::from_secs(5)).await?;
        best = best.min(answered.elapsed());
        ensure!(!status.success(), "expected an exit code that is not 0, got {status}");
        let message = function.stderr.text();
        ensure!(message.contains(REASON), "expected the reason on stderr, got {:?}", last_line(&message));
        if best <= LIMIT {
            break;
        }
    }
    ensure!(
        best <= LIMIT,
        "expected its end within 50 ms of the 502, the best of 20 took {} ms",
        best.as_millis()
    );
    let launch = subject.launch()?.env("PROBE_INIT_FAIL", REASON);
    // With nobody waiting it ends at once; it may, or may not, have published its socket first.
    let mut function = launch.spawn()?;
    let status =
        function.ended(Duration::from_secs(5)).await.map_err(|why| format!("with no call: {why}"))?;
    if status.success() {
        return Err(Stop::Fail(format!("with no call: expected an exit code that is not 0, got {status}")));
    }
    Ok(format!("ended {} ms after the 502", best.as_millis()))
}
