//! The sandbox that a platform runs functions in (cases 19 and 76), as far as this machine can build it.

use super::case::{Case, Stop, Verdict};
use super::function::Function;
use super::launch::{Launch, Subject};
use super::process;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

pub(super) const CASES: &[Case] = &[
    Case::required(19, "sandbox", |subject| Box::pin(confined(subject))),
    Case::required(76, "pid-1", |subject| Box::pin(first_process(subject))),
];

/// The user that functions run as.
const USER: u32 = 1000;
/// Read-only but for /tmp, as the platform mounts it; then the rest of the arguments.
const READ_ONLY: &str = "mount --bind /tmp /tmp && mount -o remount,bind,ro / && exec \"$@\"";

/// What a sandbox has.
const ALL: [&str; 4] = ["read-only root", "nofile 350", "uid 1000", "50 pids"];

async fn confined(subject: &Subject) -> Verdict {
    if subject.image.is_some() {
        return serves(subject, subject.launch()?, &ALL).await;
    }
    if !works("prlimit", &["--nofile=350", "true"]).await {
        return Err(Stop::Skip("needs prlimit (util-linux)".into()));
    }
    let root = rustix::process::getuid().is_root();
    let mut done = vec!["nofile 350"];
    let mut wrapper: Vec<String> = Vec::new();
    let mut wrap = |words: &[&str]| wrapper.extend(words.iter().map(|word| (*word).to_owned()));
    if root && works("unshare", &["--mount", "sh", "-c", READ_ONLY, "sh", "true"]).await {
        wrap(&["unshare", "--mount", "sh", "-c", READ_ONLY, "sh"]);
        done.push("read-only root");
    }
    wrap(&["prlimit", "--nofile=350"]);
    if root && works("setpriv", &["--no-new-privs", "true"]).await {
        // The limit counts all that the user runs on this machine.
        let tasks = format!("--nproc={}", crate::usage::tasks_of_user(USER) + 50);
        wrap(&[
            "--memlock=65536",
            &tasks,
            "setpriv",
            "--no-new-privs",
            "--bounding-set=-all",
            "--inh-caps=-all",
        ]);
        if runnable_by_user(subject).await {
            wrap(&["--reuid=1000", "--regid=1000", "--clear-groups"]);
            done.extend(["uid 1000", "50 pids"]);
        }
    }
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    serves(subject, subject.launch()?.under(&wrapper), &done).await
}

/// Judges a function in a sandbox that has so much.
async fn serves(subject: &Subject, launch: Launch, done: &[&str]) -> Verdict {
    let mut function = launch.serve().await?;
    let status = function.call(&subject.request()).await?.status;
    function.still_serves(subject, status).await?;
    let threads = function.pid().and_then(process::threads).unwrap_or_default();
    let many = if threads > 16 { "; at most 16 are recommended" } else { "" };
    let left: Vec<&str> = ALL.into_iter().filter(|part| !done.contains(part)).collect();
    let left = if left.is_empty() { String::new() } else { format!("; not here: {}", left.join(", ")) };
    Ok(format!("{}: {threads} threads{many}{left}", done.join(", ")))
}

async fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.status().await.is_ok_and(|status| status.success())
}

/// Whether the platform's user may read and run the files that the command names.
async fn runnable_by_user(subject: &Subject) -> bool {
    let program = subject.command.first().and_then(|program| which(Path::new(program)));
    let Some(program) = program else { return false };
    let arguments = subject.command.iter().skip(1).map(PathBuf::from).filter(|path| path.exists());
    for (test, path) in std::iter::once(("-x", program)).chain(arguments.map(|path| ("-r", path))) {
        let path = path.display().to_string();
        let user = ["--reuid=1000", "--regid=1000", "--clear-groups", "test", test, &path];
        if !works("setpriv", &user).await {
            return false;
        }
    }
    true
}

/// The file that a command's first word runs.
pub(super) fn which(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

async fn first_process(subject: &Subject) -> Verdict {
    if subject.image.is_some() {
        let mut function = subject.launch()?.serve().await?;
        let status = function.call(&subject.request()).await?.status;
        function.still_serves(subject, status).await?;
        function.signal(Signal::TERM);
        return stopped(function).await;
    }
    let spaces: &[&str] = &["--pid", "--fork", "--kill-child", "--mount-proc"];
    let as_user = [&["--user", "--map-root-user"], spaces].concat();
    let spaces = if works("unshare", &[spaces, &["true"]].concat()).await {
        spaces
    } else if works("unshare", &[&as_user, &["true"][..]].concat()).await {
        &as_user
    } else {
        return Err(Stop::Skip(
            "needs a PID namespace: unshare (util-linux), and the right to use it".into(),
        ));
    };
    let mut function = subject.launch()?.under(&[&["unshare"], spaces].concat()).serve().await?;
    let status = function.call(&subject.request()).await?.status;
    function.still_serves(subject, status).await?;
    let inner = function.pid().and_then(process::child).and_then(|pid| Pid::from_raw(pid.cast_signed()));
    let Some(inner) = inner else { return Ok("serves; its process was not found to be stopped".into()) };
    kill_process(inner, Signal::TERM).map_err(|error| format!("SIGTERM: {error}"))?;
    stopped(function).await
}

/// Judges one that was asked to stop.
async fn stopped(mut function: Function) -> Verdict {
    let began = Instant::now();
    match function.ended(Duration::from_secs(3)).await {
        Ok(_) => Ok(format!("serves, and ends {} ms after SIGTERM", began.elapsed().as_millis())),
        Err(_) => Ok("serves, but ignores SIGTERM there: a handler for it is recommended".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_looked_up() {
        assert!(which(Path::new("sh")).is_some_and(|file| file.is_absolute()));
        assert_eq!(which(Path::new("no-such-program-anywhere")), None);
        assert_eq!(which(Path::new("./no-such-file")), None);
    }
}
