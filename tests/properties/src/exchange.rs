//! Any bytes on the socket of a running function: the next caller is answered all the same.

use bytes::Bytes;
use fdk_runtime::Context;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

const WELL_FORMED: &[u8] =
    b"POST /call HTTP/1.1\r\nHost: x\r\nFn-Call-Id: c\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";

fn socket() -> PathBuf {
    std::env::temp_dir().join(format!("fdk-fuzz-{}", std::process::id())).join("lsnr.sock")
}

/// The runtime reads its variables from the process, so the process starts again with them: under the same id, and
/// without changing an environment that other threads may be reading.
pub fn with_listener() {
    let listener = format!("unix:{}", socket().display());
    if std::env::var("FN_LISTENER").is_ok_and(|value| value == listener) {
        return;
    }
    let mut command = Command::new(std::env::current_exe().expect("our own path"));
    command.args(std::env::args_os().skip(1)).env("FN_LISTENER", listener).env_remove("FN_FORMAT");
    panic!("cannot start again: {}", command.exec());
}

/// Starts the function at the first input: libFuzzer has its signal handlers by then, and the runtime's come on top.
fn serving() -> &'static PathBuf {
    static SOCKET: OnceLock<PathBuf> = OnceLock::new();
    SOCKET.get_or_init(|| {
        let socket = socket();
        std::fs::create_dir_all(socket.parent().expect("a directory")).expect("a directory");
        crate::log_to_nowhere();
        std::thread::spawn(|| {
            fdk_runtime::run(async |_: Context, body: Bytes| -> fdk_runtime::Result<Bytes> { Ok(body) })
        });
        for _ in 0..500 {
            if socket.exists() {
                return socket;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no socket after 5 s");
    })
}

fn connect() -> UnixStream {
    let stream = UnixStream::connect(serving()).expect("the function accepts");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    stream.set_write_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    stream
}

/// Takes an input through.
pub fn run(input: &[u8]) {
    let mut hostile = connect();
    crate::assert_no_hang(hostile.write_all(input));

    // While the server may still wait for more of that.
    let (mut next, mut reply) = (connect(), Vec::new());
    crate::assert_no_hang(next.write_all(WELL_FORMED));
    crate::assert_no_hang(next.read_to_end(&mut reply).map(drop));
    let text = String::from_utf8_lossy(&reply);
    assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("\r\n\r\nhello"), "the next call: {text:?}");

    reply.clear();
    crate::assert_no_hang(hostile.shutdown(Shutdown::Write));
    crate::assert_no_hang(hostile.read_to_end(&mut reply).map(drop));
    assert!(reply.is_empty() || reply.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&reply));
}
