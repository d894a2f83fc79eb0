//! How the socket is published, and what refuses to start.

use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use workspace_tests::function;
use workspace_tests::http1::Connection;

/// Runs hello with just these variables until it ends; it must end.
fn refused(variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(function::spec("hello").executable);
    command.env_clear().envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

fn hello() -> tokio::process::Command {
    tokio::process::Command::new(function::spec("hello").executable)
}

/// Runs a command that is hello with its socket at `path`, and calls it there.
async fn serves(mut command: tokio::process::Command, path: &str, more: &[(&str, &str)]) {
    command.env_clear().env("FN_LISTENER", format!("unix:{path}")).envs(more.iter().copied());
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let socket = Path::new(path);
    // A stale name is there from the start, and leads nowhere until it is replaced.
    for _ in 0..1000 {
        if tokio::net::UnixStream::connect(socket).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let reply = Connection::open(socket).await.call(&[], b"{\"name\":\"Fn\"}").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "{\"message\":\"Hello Fn\"}"), "{path}");
    child.kill().await.unwrap();
}

#[tokio::test]
async fn it_is_a_bare_symlink_to_a_socket_that_anyone_may_use() {
    let container = function::start("hello", &[]).await;
    let published = container.directory().join("lsnr.sock");
    let target = std::fs::read_link(&published).unwrap();
    assert_eq!(target.parent(), Some(Path::new("")), "{}", target.display());
    let metadata = std::fs::metadata(&published).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o666, 0o666);
}

#[tokio::test]
async fn it_answers_the_moment_it_appears() {
    // The agent connects at once and does not retry; `start` returns at the file system's event.
    for _ in 0..50 {
        let container = function::start("hello", &[]).await;
        let reply = function::connect(&container).await.call(&[], b"{\"name\":\"x\"}").await;
        assert_eq!(reply.status, 200);
    }
}

#[tokio::test]
async fn a_path_of_107_bytes_works_and_a_stale_one_is_replaced() {
    let folder = tempfile::Builder::new().prefix("s").tempdir_in("/tmp").unwrap();
    let nested = folder.path().join("d".repeat(107 - folder.path().as_os_str().len() - "//lsnr.sock".len()));
    std::fs::create_dir(&nested).unwrap();
    let path = nested.join("lsnr.sock");
    assert_eq!(path.as_os_str().len(), 107);
    let path = path.to_str().unwrap();
    serves(hello(), path, &[]).await;
    // Killed, it left both of its names behind.
    assert!(std::fs::symlink_metadata(path).is_ok());
    serves(hello(), path, &[("FN_FORMAT", "")]).await;
    serves(hello(), path, &[("FN_FORMAT", "http-stream")]).await;
}

#[tokio::test]
async fn it_serves_with_its_streams_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lsnr.sock");
    // A log frame, which is written to both of the last two.
    let frame = [("FN_LOGFRAME_NAME", "foo"), ("FN_LOGFRAME_HDR", "Fn-Call-Id")];
    for closed in ["<&-", "<&- >&-", "<&- >&- 2>&-"] {
        let mut shell = tokio::process::Command::new("/bin/sh");
        shell.arg("-c").arg(format!("exec \"$0\" {closed}")).arg(function::spec("hello").executable);
        serves(shell, path.to_str().unwrap(), &frame).await;
    }
}

#[tokio::test]
async fn a_successors_socket_stays_when_the_first_function_drains() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lsnr.sock");
    let start = || {
        let mut command = hello();
        command.env_clear().env("FN_LISTENER", format!("unix:{}", path.display()));
        command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap()
    };
    let published = async |before: Option<u64>| {
        for _ in 0..1000 {
            let inode = std::fs::metadata(&path).ok().map(|found| found.ino());
            if inode.is_some() && inode != before {
                return inode;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no socket within 10 s");
    };
    let mut first = start();
    let inode = published(None).await;
    let _second = start();
    let inode = published(inode).await;
    let pid = Pid::from_raw(first.id().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(first.wait().await.unwrap().success());
    assert_eq!(std::fs::metadata(&path).ok().map(|found| found.ino()), inode, "it is still the second one's");
    let reply = Connection::open(&path).await.call(&[], b"{\"name\":\"Fn\"}").await;
    assert_eq!(reply.status, 200);
}

/// Variables, the exit code they end with, and what is said.
type Case<'a> = (&'a [(&'a str, &'a str)], i32, &'a str);

#[test]
fn what_cannot_be_served_ends_with_a_reason_and_no_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("lsnr.sock");
    let listener = format!("unix:{}", socket.display());
    let long = format!("unix:/{}", "x".repeat(107));
    let cases: &[Case<'_>] = &[
        (&[], 2, "FN_LISTENER is not set"),
        (&[("FN_LISTENER", "")], 2, "FN_LISTENER is not set"),
        (&[("FN_LISTENER", "tcp:/x")], 2, "it must begin with 'unix:/'"),
        (&[("FN_LISTENER", "unix:lsnr.sock")], 2, "the path must be absolute"),
        (&[("FN_LISTENER", &long)], 2, "at most 107"),
        (&[("FN_LISTENER", "unix:/proc/lsnr.sock")], 2, "FN_LISTENER: cannot bind /proc/"),
        (&[("FN_LISTENER", &listener), ("FN_FORMAT", "json")], 2, "FN_FORMAT is 'json'"),
        (&[("FN_LISTENER", &listener), ("FN_FORMAT", "HTTP")], 2, "FN_FORMAT is 'HTTP'"),
        (&[("FN_LISTENER", &listener), ("FDK_LOG", "loud=very")], 2, "FDK_LOG is 'loud=very'"),
        (&[("FN_LISTENER", &listener), ("FDK_MAX_REPLY", "6MB")], 2, "FDK_MAX_REPLY is '6MB'"),
        (&[("FN_LISTENER", &listener), ("FDK_THREADS", "0")], 2, "FDK_THREADS is '0'"),
        (&[("FN_LISTENER", &listener), ("FDK_PRINCIPAL", "required")], 3, "OCI_RESOURCE_PRINCIPAL_VERSION"),
        (&[("FN_LISTENER", &listener), ("OCI_RESOURCE_PRINCIPAL_VERSION", "1.1")], 3, "version_unsupported"),
    ];
    for (variables, code, message) in cases {
        let output = refused(variables);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{variables:?}: {said}");
        assert!(said.contains(message), "{variables:?}: {said}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{variables:?} left a file");
    }
}

#[test]
fn kernels_that_do_not_exist_are_refused_before_there_is_a_socket() {
    let folder = tempfile::tempdir().unwrap();
    let listener = format!("unix:{}", folder.path().join("lsnr.sock").display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_witness"));
    command.env_clear().env("FN_LISTENER", listener).env("FDK_KERNELS", "avx-512");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("FDK_KERNELS is 'avx-512': use candle, avx2, avx512 or avx512_bf16"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
