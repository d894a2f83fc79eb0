//! Start-up: how the socket is published (cases 1 to 8, 13, 14, 17, 20, 21).

use super::case::{Case, Stop, Verdict, ensure};
use super::function::Function;
use super::launch::{START_LIMIT, Subject, make_folder};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

pub(super) const CASES: &[Case] = &[
    Case::required(1, "listener-created", |subject| Box::pin(created(subject))),
    Case::required(2, "listener-symlink-bare", |subject| Box::pin(symlink_bare(subject))),
    Case::required(3, "listener-ready-on-create", |subject| Box::pin(ready_on_create(subject))),
    Case::required(4, "single-create-event", |subject| Box::pin(single_event(subject))),
    Case::required(5, "listener-107", |subject| Box::pin(longest_path(subject))),
    Case::required(7, "listener-nested", |subject| Box::pin(nested(subject))),
    Case::recommended(8, "listener-triple-slash", |subject| Box::pin(triple_slash(subject))),
    Case::recommended(13, "format-unset", |subject| Box::pin(format_unset(subject))),
    Case::recommended(14, "format-empty", |subject| Box::pin(format_empty(subject))),
    Case::required(17, "stale-files", |subject| Box::pin(stale_files(subject))),
    Case::recommended(20, "startup-latency", |subject| Box::pin(latency(subject))),
    Case::recommended(21, "non-utf8-env", |subject| Box::pin(non_utf8(subject))),
];

async fn created(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let found = std::fs::metadata(&function.socket).map_err(|error| format!("it leads nowhere: {error}"))?;
    ensure!(found.file_type().is_socket(), "{} is not a socket", function.socket.display());
    let mode = found.permissions().mode() & 0o777;
    ensure!(mode & 0o666 == 0o666, "expected mode 666 on the socket, got {mode:o}");
    Ok(format!("after {} ms", function.ready_after.as_millis()))
}

async fn symlink_bare(subject: &Subject) -> Verdict {
    let function = subject.launch()?.serve().await?;
    let Ok(target) = std::fs::read_link(&function.socket) else { return Ok("no symlink".into()) };
    let parent = target.parent().unwrap_or(Path::new(""));
    ensure!(
        parent == Path::new("") || parent == Path::new("."),
        "expected a bare file name behind the symlink, got {}",
        target.display()
    );
    ensure!(function.socket.exists(), "the symlink's target {} does not exist", target.display());
    Ok(format!("to {}", target.display()))
}

async fn ready_on_create(subject: &Subject) -> Verdict {
    let (wanted, limit) = if subject.quick { (20, 15) } else { (200, 120) };
    let began = Instant::now();
    let mut starts = 0;
    while starts < wanted && began.elapsed() < Duration::from_secs(limit) {
        let function = subject.launch()?.connecting().serve().await?;
        starts += 1;
        let appeared = function.appeared.as_ref().ok_or_else(|| "the directory is gone".to_owned())?;
        if let Some(Err(error)) = &appeared.connected {
            return Err(Stop::Fail(format!("start {starts}: connecting as the name appeared: {error}")));
        }
        let mode = appeared.mode.unwrap_or_default() & 0o777;
        ensure!(
            mode & 0o222 == 0o222,
            "start {starts}: as the name appeared its mode was {mode:o}, another user cannot connect"
        );
    }
    Ok(format!(
        "{starts} starts of {wanted}, {}",
        if subject.quick { "fewer under --quick" } else { "in a row" }
    ))
}

async fn single_event(subject: &Subject) -> Verdict {
    let mut function = subject.launch()?.serve().await?;
    function.call(&subject.request()).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let more = function.watch.as_mut().map_or(0, super::watch::Watch::more);
    ensure!(more == 0, "expected lsnr.sock to appear once, it appeared {} times", more + 1);
    Ok(String::new())
}

/// Calls a function that was just started: any whole reply will do.
async fn answers(subject: &Subject, function: &Function) -> Verdict<()> {
    function.call(&subject.request()).await?;
    Ok(())
}

async fn longest_path(subject: &Subject) -> Verdict {
    let launch = subject.launch()?;
    let socket = path_of_length(&launch.io(), 107)?;
    let function = launch.at(&socket).serve().await?;
    answers(subject, &function).await?;
    Ok(String::new())
}

/// A socket's path of exactly so many bytes.
pub(super) fn path_of_length(io: &Path, bytes: usize) -> Verdict<std::path::PathBuf> {
    let fill = bytes.saturating_sub(io.as_os_str().len() + "//lsnr.sock".len());
    let folder = io.join("d".repeat(fill));
    make_folder(&folder)?;
    Ok(folder.join("lsnr.sock"))
}

async fn nested(subject: &Subject) -> Verdict {
    let launch = subject.launch()?;
    let folder = launch.io().join("iofs123");
    make_folder(&folder)?;
    let function = launch.at(&folder.join("lsnr.sock")).serve().await?;
    answers(subject, &function).await?;
    let files = function.files();
    ensure!(
        files.iter().all(|file| file.starts_with("iofs123/")),
        "expected its files beside the socket only, got {files:?}"
    );
    Ok(files.join(", "))
}

async fn triple_slash(subject: &Subject) -> Verdict {
    let launch = subject.launch()?;
    let listener = format!("unix://{}", launch.io().join("lsnr.sock").display());
    let function = launch.env("FN_LISTENER", listener).serve().await?;
    answers(subject, &function).await?;
    Ok(String::new())
}

async fn format_unset(subject: &Subject) -> Verdict {
    let function = subject.launch()?.without("FN_FORMAT").serve().await?;
    answers(subject, &function).await?;
    Ok(String::new())
}

async fn format_empty(subject: &Subject) -> Verdict {
    let function = subject.launch()?.env("FN_FORMAT", "").serve().await?;
    answers(subject, &function).await?;
    Ok(String::new())
}

async fn stale_files(subject: &Subject) -> Verdict {
    let first = subject.launch()?.serve().await?;
    answers(subject, &first).await?;
    let left = first.files();
    let directory = first.kill().await?;
    let again = subject.launch_in(directory).serve().await;
    let again = again.map_err(|stop| match stop {
        Stop::Fail(why) => Stop::Fail(format!("with {} left by a killed one: {why}", left.join(", "))),
        skip @ Stop::Skip(_) => skip,
    })?;
    answers(subject, &again).await?;
    Ok(format!("over {}", left.join(", ")))
}

/// The best of several: the machine's own load is not the function's.
async fn latency(subject: &Subject) -> Verdict {
    const LIMIT: Duration = Duration::from_millis(50);
    if subject.image.is_some() {
        return Err(Stop::Skip("the engine's own start is in it".into()));
    }
    let mut best = START_LIMIT;
    let mut starts = 0;
    while starts < 5 || (starts < 10 && best > LIMIT) {
        best = best.min(subject.launch()?.serve().await?.ready_after);
        starts += 1;
    }
    let best_ms = best.as_secs_f64() * 1e3;
    ensure!(
        best <= LIMIT,
        "expected the socket within 50 ms, the best of {starts} starts took {best_ms:.1} ms"
    );
    Ok(format!("{best_ms:.1} ms, the best of {starts}"))
}

async fn non_utf8(subject: &Subject) -> Verdict {
    let function = subject.launch()?.env("X", std::ffi::OsStr::from_bytes(b"\xff")).serve().await?;
    answers(subject, &function).await?;
    Ok(String::new())
}
