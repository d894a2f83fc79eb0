//! Log frames, byte for byte: once for each call, before all that is said of it, also where no handler ran.

use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use workspace_tests::function;
use workspace_tests::http1::{Connection, deadline, request};

/// The probe with each of its streams in a file.
struct Probe {
    folder: tempfile::TempDir,
    child: Child,
}

impl Probe {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| std::fs::File::create(folder.path().join(name)).unwrap();
        let listener = format!("unix:{}", folder.path().join("lsnr.sock").display());
        let child = Command::new(function::spec("probe").executable)
            .env_clear()
            .env("FN_LISTENER", listener)
            .env("FN_LOGFRAME_NAME", "foo")
            .env("FN_LOGFRAME_HDR", "X-Frame")
            .env("FDK_LOG", "fdk::call=info")
            .env("FDK_LOG_FORMAT", "json")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let probe = Self { folder, child };
        for _ in 0..1000 {
            if tokio::net::UnixStream::connect(probe.folder.path().join("lsnr.sock")).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        probe
    }

    async fn connect(&self) -> Connection {
        Connection::open(&self.folder.path().join("lsnr.sock")).await
    }

    fn printed(&self, stream: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(stream)).unwrap()
    }

    async fn until(&self, stream: &str, text: &str) {
        for _ in 0..1000 {
            if self.printed(stream).contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no {text:?} within 10 s: {}", self.printed(stream));
    }

    /// What is on stderr, with the outcome in place of each log line.
    fn outline(&self) -> String {
        let cut = |line: &str| match serde_json::from_str::<Value>(line) {
            Ok(line) => format!("<{}>\n", line["fields"]["outcome"].as_str().unwrap()),
            Err(_) => line.to_owned(),
        };
        self.printed("stderr").split_inclusive('\n').map(cut).collect()
    }
}

#[tokio::test]
async fn every_line_of_a_call_stands_below_its_own_frame() {
    let probe = Probe::start(&[("FDK_MAX_REQUEST", "100")]).await;
    let mut connection = probe.connect().await;
    assert_eq!(connection.call(&[("X-Frame", "answered")], b"x").await.status, 200);
    assert_eq!(connection.call(&[("X-Frame", "large")], &[b'x'; 101]).await.status, 502);
    let past = deadline(Duration::ZERO);
    assert_eq!(connection.call(&[("X-Frame", "late"), ("Fn-Deadline", &past)], b"x").await.status, 504);
    // One waits behind another until its own deadline.
    let blocks = json!({"log": "begun", "block_ms": 6_000}).to_string();
    connection.send(&request(&[("X-Frame", "blocks")], blocks.as_bytes())).await;
    probe.until("stderr", "begun").await;
    let soon = deadline(Duration::from_secs(2));
    let queued = probe.connect().await.call(&[("X-Frame", "queued"), ("Fn-Deadline", &soon)], b"x").await;
    assert_eq!(queued.status, 504);
    assert_eq!(connection.response().await.unwrap().status, 200);
    let mut broken = probe.connect().await;
    broken
        .send(
            b"POST /call HTTP/1.1\r\nHost: x\r\nX-Frame: broken\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        )
        .await;
    drop(broken);
    probe.until("stderr", "the request broke off").await;
    assert_eq!(
        probe.outline(),
        "\nfoo=answered\n<ok>\n\nfoo=large\n<caller_fault>\n\nfoo=late\n<timed_out>\n\nfoo=blocks\nbegun\n\
         \nfoo=queued\n<timed_out>\n<ok>\n\nfoo=broken\n<failed>\n"
    );
    assert_eq!(
        probe.printed("stdout"),
        "\nfoo=answered\n\nfoo=large\n\nfoo=late\n\nfoo=blocks\nbegun\n\nfoo=queued\n\nfoo=broken\n"
    );
}

#[tokio::test]
async fn a_call_that_met_no_state_has_its_frame() {
    let failing = [("PROBE_INIT_SLEEP_MS", "2000"), ("PROBE_INIT_FAIL", "no weights")];
    let mut probe = Probe::start(&failing).await;
    assert_eq!(probe.connect().await.call(&[("X-Frame", "waited")], b"x").await.status, 502);
    assert_eq!(probe.child.wait().await.unwrap().code(), Some(5));
    assert!(probe.outline().ends_with("no weights\n\nfoo=waited\n<failed>\n"), "{}", probe.outline());
    assert_eq!(probe.printed("stdout"), "\nfoo=waited\n");
}
