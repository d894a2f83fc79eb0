//! The signals that stop a command, and its exit code then.

use crate::{Error, Result};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// A signal to stop, as the exit code that tells it. From the call on, no signal ends the process by itself.
pub(crate) fn stopped() -> Result<impl Future<Output = ExitCode>> {
    let unable = |error| Error::failed(format!("cannot listen for signals: {error}"));
    let mut interrupted = signal(SignalKind::interrupt()).map_err(unable)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(unable)?;
    let mut hung_up = signal(SignalKind::hangup()).map_err(unable)?;
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => ExitCode::from(130),
            _ = terminated.recv() => ExitCode::from(143),
            _ = hung_up.recv() => ExitCode::from(129),
        }
    })
}
