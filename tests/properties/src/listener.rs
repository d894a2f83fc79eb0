//! Any text in `FN_LISTENER` and `FN_FORMAT` is a path that a socket can have, or a refusal that names the variable.

use fdk_runtime::contract::{MAX_SOCKET_PATH, check_format, socket_path};
use std::os::unix::net::SocketAddr;

/// Takes an input through; one that is no text is none.
pub fn run(input: &[u8]) {
    let Ok(value) = std::str::from_utf8(input) else { return };
    match socket_path(Some(value)) {
        Ok(path) => {
            assert!(path.is_absolute() && path.file_name().is_some());
            assert!(path.as_os_str().len() <= MAX_SOCKET_PATH);
            assert!(SocketAddr::from_pathname(&path).is_ok());
        }
        Err(refusal) => assert!(refusal.to_string().starts_with("FN_LISTENER ")),
    }
    if let Err(refusal) = check_format(Some(value)) {
        assert!(refusal.to_string().starts_with("FN_FORMAT "));
    }
}
