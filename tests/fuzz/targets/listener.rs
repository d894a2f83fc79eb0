//! Any text in `FN_LISTENER` and `FN_FORMAT` is a path that a socket can have, or a refusal that names the variable.
#![no_main]

use fdk_runtime::contract::{MAX_SOCKET_PATH, check_format, socket_path};
use std::os::unix::net::SocketAddr;

libfuzzer_sys::fuzz_target!(|value: &str| {
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
});
