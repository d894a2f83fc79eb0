//! Names and rules of the Fn container contract ("http-stream" over a unix socket), with no I/O.
//!
//! The rules are those of the agent's own source (`fnproject/fn`, `api/agent`) and of `fn-format.md` in `fnproject/docs`.

use std::fmt;
use std::path::{Path, PathBuf};

/// Environment variables that the platform sets.
pub mod env {
    /// `unix:` and the absolute path of the socket to serve.
    pub const LISTENER: &str = "FN_LISTENER";
    /// Always `http-stream`, where it is set at all.
    pub const FORMAT: &str = "FN_FORMAT";
    /// The function's memory in MB.
    pub const MEMORY: &str = "FN_MEMORY";
    /// The application's id.
    pub const APP_ID: &str = "FN_APP_ID";
    /// The function's id.
    pub const FN_ID: &str = "FN_FN_ID";
    /// The application's name; set by OCI, not by the open-source server.
    pub const APP_NAME: &str = "FN_APP_NAME";
    /// The function's name; set by OCI, not by the open-source server.
    pub const FN_NAME: &str = "FN_FN_NAME";
    /// The name that a log frame prints.
    pub const LOGFRAME_NAME: &str = "FN_LOGFRAME_NAME";
    /// The request header whose value a log frame prints.
    pub const LOGFRAME_HDR: &str = "FN_LOGFRAME_HDR";
    /// Whether OCI traces calls.
    pub const TRACING_ENABLED: &str = "OCI_TRACING_ENABLED";
    /// Where spans go.
    pub const TRACE_COLLECTOR_URL: &str = "OCI_TRACE_COLLECTOR_URL";
}

/// Header names, lower-case as the `http` crate keeps them.
pub mod header {
    /// The call's id, set by the agent.
    pub const CALL_ID: &str = "fn-call-id";
    /// When the call must be answered, RFC 3339 in whole seconds.
    pub const DEADLINE: &str = "fn-deadline";
    /// `httprequest` for a trigger or gateway call, `cloudevent` for an event.
    pub const INTENT: &str = "fn-intent";
    /// The method of the HTTP request behind a gateway call.
    pub const HTTP_METHOD: &str = "fn-http-method";
    /// The absolute URL of the HTTP request behind a gateway call.
    pub const HTTP_REQUEST_URL: &str = "fn-http-request-url";
    /// The status a gateway caller gets.
    pub const HTTP_STATUS: &str = "fn-http-status";
    /// The prefix of each header of the HTTP request or reply behind a gateway call.
    pub const HTTP_HEADER_PREFIX: &str = "fn-http-h-";
    /// Which FDK answered.
    pub const FDK_VERSION: &str = "fn-fdk-version";
    /// Which language runtime answered.
    pub const FDK_RUNTIME: &str = "fn-fdk-runtime";
}

/// The longest socket path in bytes: `sun_path` less its terminator.
pub const MAX_SOCKET_PATH: usize = 107;

/// A body above this is refused by OCI and by a server configured as OCI is (6 MiB).
pub const PLATFORM_BODY_LIMIT: u64 = 6 * 1024 * 1024;

/// What a call came to, as the agent understands it. Every other status makes the agent kill the container, and the
/// loaded model with it (`agent.go`, `writeResp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 200: headers and body go to the caller.
    Ok,
    /// 502: the function failed; the body is thrown away and the container lives.
    Failed,
    /// 504: the function timed out; the container lives.
    TimedOut,
}

impl Outcome {
    /// The status on the wire.
    pub fn status(self) -> http::StatusCode {
        match self {
            Self::Ok => http::StatusCode::OK,
            Self::Failed => http::StatusCode::BAD_GATEWAY,
            Self::TimedOut => http::StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// Why the platform's variables cannot be served; the message names the variable and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractError(String);

impl fmt::Display for ContractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ContractError {}

/// The socket path in `FN_LISTENER`: `unix:/abs` or `unix:///abs`, at most 107 bytes.
pub fn socket_path(listener: Option<&str>) -> Result<PathBuf, ContractError> {
    let refuse = |why: String| Err(ContractError(why));
    let Some(listener) = listener.filter(|value| !value.is_empty()) else {
        return refuse(
            "FN_LISTENER is not set: the Fn platform sets it; on a laptop run the function with `cargo fdk invoke DIR`"
                .into(),
        );
    };
    let Some(path) = listener.strip_prefix("unix:") else {
        return refuse(format!(
            "FN_LISTENER is '{listener}': it must begin with 'unix:/', as in unix:/tmp/iofs/lsnr.sock"
        ));
    };
    // `unix:///a/b` is the URL spelling of the same path; `unix://host/a` is not a path at all.
    let path = match path.strip_prefix("//") {
        Some(rest) if rest.starts_with('/') => rest,
        Some(_) => {
            return refuse(format!(
                "FN_LISTENER is '{listener}': 'unix://' must be followed by an absolute path"
            ));
        }
        None => path,
    };
    if !path.starts_with('/') {
        return refuse(format!(
            "FN_LISTENER is '{listener}': the path must be absolute, as in unix:/tmp/iofs/lsnr.sock"
        ));
    }
    if path.contains('\0') {
        return refuse("FN_LISTENER holds a NUL byte: it cannot name a socket".into());
    }
    if path.len() > MAX_SOCKET_PATH {
        return refuse(format!(
            "FN_LISTENER names a path of {} bytes: a unix socket takes at most {MAX_SOCKET_PATH}",
            path.len()
        ));
    }
    let path = PathBuf::from(path);
    if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return refuse(format!("FN_LISTENER is '{listener}': it must name a file, not a directory"));
    }
    Ok(path)
}

/// Checks `FN_FORMAT`: unset, empty and `http-stream` serve.
pub fn check_format(format: Option<&str>) -> Result<(), ContractError> {
    match format {
        None | Some("" | "http-stream") => Ok(()),
        Some(other) => Err(ContractError(format!(
            "FN_FORMAT is '{other}': only 'http-stream' is supported; leave it unset"
        ))),
    }
}

/// A name in the same directory that is no longer than the socket's own, so that a path of exactly
/// [`MAX_SOCKET_PATH`] bytes still binds.
pub(crate) fn temporary_name(socket: &Path) -> &'static str {
    let name = socket.file_name().unwrap_or_default().as_encoded_bytes();
    match name {
        [b'f'] => "g",
        [_] => "f",
        b".f" => ".g",
        _ => ".f",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_spellings_of_an_absolute_path_are_accepted() {
        assert_eq!(socket_path(Some("unix:/tmp/iofs/lsnr.sock")).unwrap(), Path::new("/tmp/iofs/lsnr.sock"));
        assert_eq!(socket_path(Some("unix:///tmp/lsnr.sock")).unwrap(), Path::new("/tmp/lsnr.sock"));
    }

    #[test]
    fn refusals_name_the_variable_and_the_remedy() {
        let message = |value| socket_path(value).unwrap_err().to_string();
        assert_eq!(
            message(None),
            "FN_LISTENER is not set: the Fn platform sets it; on a laptop run the function with `cargo fdk invoke DIR`"
        );
        assert_eq!(message(Some("")), message(None));
        assert_eq!(
            message(Some("tcp:/x")),
            "FN_LISTENER is 'tcp:/x': it must begin with 'unix:/', as in unix:/tmp/iofs/lsnr.sock"
        );
        assert_eq!(
            message(Some("unix:lsnr.sock")),
            "FN_LISTENER is 'unix:lsnr.sock': the path must be absolute, as in unix:/tmp/iofs/lsnr.sock"
        );
        assert_eq!(
            message(Some("unix://tmp/x")),
            "FN_LISTENER is 'unix://tmp/x': 'unix://' must be followed by an absolute path"
        );
        assert_eq!(
            message(Some("unix:/tmp/")),
            "FN_LISTENER is 'unix:/tmp/': it must name a file, not a directory"
        );
        let long = format!("unix:/{}", "x".repeat(107));
        assert_eq!(
            message(Some(&long)),
            "FN_LISTENER names a path of 108 bytes: a unix socket takes at most 107"
        );
        assert!(socket_path(Some(&long[..long.len() - 1])).is_ok());
        assert_eq!(
            check_format(Some("json")).unwrap_err().to_string(),
            "FN_FORMAT is 'json': only 'http-stream' is supported; leave it unset"
        );
        assert!(
            check_format(None).is_ok()
                && check_format(Some("")).is_ok()
                && check_format(Some("HTTP")).is_err()
        );
    }

    proptest! {
        #[test]
        fn any_listener_is_a_path_or_a_refusal(value in ".{0,160}") {
            if let Ok(path) = socket_path(Some(&value)) {
                prop_assert!(path.is_absolute());
                prop_assert!(path.as_os_str().len() <= MAX_SOCKET_PATH);
                let temporary = temporary_name(&path);
                prop_assert_ne!(path.file_name().unwrap(), temporary);
                prop_assert!(temporary.len() <= path.file_name().unwrap().len());
            }
        }
    }
}
