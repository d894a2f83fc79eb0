//! A platform in this process, served on a port of its own.

use crate::turn::Turn;
use cargo_fdk::images::{Image, Images};
use cargo_fdk::platform::{Platform, Settings, Surroundings};
use cargo_fdk::{server, store::Store};
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

pub(crate) struct Served {
    pub(crate) url: String,
    pub(crate) platform: Arc<Platform>,
    agent: ureq::Agent,
    stop: Option<oneshot::Sender<()>>,
    /// Ends with the number of its panics.
    thread: Option<JoinHandle<usize>>,
    _turn: Turn,
}

/// A status, headers by name in lower case, and a body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Status and message of an error.
    pub(crate) fn error(&self) -> (u16, String) {
        (self.status, self.json()["message"].as_str().unwrap().to_owned())
    }
}

impl Served {
    /// With its state in a folder; `misbehave:1` is an image there.
    pub(crate) fn start(state: &Path, settings: Settings) -> Self {
        Self::start_in(Turn::beside_others(), state, settings, None)
    }

    /// As [`Served::start`], with something of each function's own.
    pub(crate) fn start_with(state: &Path, settings: Settings, surroundings: Arc<dyn Surroundings>) -> Self {
        Self::start_in(Turn::beside_others(), state, settings, Some(surroundings))
    }

    /// As [`Served::start`], while no other test has a platform.
    pub(crate) fn start_alone(state: &Path, settings: Settings) -> Self {
        Self::start_in(Turn::alone(), state, settings, None)
    }

    fn start_in(
        turn: Turn,
        state: &Path,
        settings: Settings,
        surroundings: Option<Arc<dyn Surroundings>>,
    ) -> Self {
        let store = Store::open(&state.join("state.redb")).unwrap();
        let images = Images::at(state.join("images"));
        let visible = state.join("visible");
        std::fs::write(&visible, "seen").unwrap();
        let image = Image {
            name: "misbehave:1".into(),
            source: state.into(),
            executable: PathBuf::from(env!("CARGO_BIN_EXE_misbehave")),
            config: vec![("VISIBLE".into(), visible.display().to_string())],
            visible: vec![visible],
        };
        images.keep(&image).unwrap();
        let platform = Platform::new(store, images, settings);
        let platform = Arc::new(surroundings.into_iter().fold(platform, Platform::with));
        count_panics();
        let (stop, stopped) = oneshot::channel();
        let (told, port) = std::sync::mpsc::channel();
        let served = platform.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap().port()).unwrap();
                let stopped = async { drop(stopped.await) };
                server::serve(listener, served.clone(), server::Doors::default(), stopped).await;
                served.close().await;
            });
            drop(runtime);
            PANICS.get()
        });
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_mins(1)))
            .max_idle_connections_per_host(200)
            .build();
        let url = format!("http://127.0.0.1:{}", port.recv().unwrap());
        Self { url, platform, agent: agent.into(), stop: Some(stop), thread: Some(thread), _turn: turn }
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.agent.run(request.body(body.to_owned()).unwrap()).unwrap();
        let (head, body) = response.into_parts();
        let mut body = body;
        let text = body.with_config().limit(64 << 20).read_to_string().unwrap();
        Answer { status: head.status.as_u16(), headers: head.headers, text }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let request = ureq::http::Request::get(format!("{}{path}", self.url)).body(()).unwrap();
        let (head, mut body) = self.agent.run(request).unwrap().into_parts();
        Answer { status: head.status.as_u16(), headers: head.headers, text: body.read_to_string().unwrap() }
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[], &body.to_string())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], &body.to_string())
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        let request = ureq::http::Request::delete(format!("{}{path}", self.url)).body(()).unwrap();
        let (head, mut body) = self.agent.run(request).unwrap().into_parts();
        Answer { status: head.status.as_u16(), headers: head.headers, text: body.read_to_string().unwrap() }
    }

    /// Creates a function of the image in the application `app`, and returns its id.
    pub(crate) fn function(&self, name: &str, more: &Value) -> String {
        let app = self.post("/v2/apps", &json!({"name": "app"}));
        let app = if app.status == 409 {
            self.get("/v2/apps?name=app").json()["items"][0].clone()
        } else {
            app.json()
        };
        let mut wanted = json!({"name": name, "app_id": app["id"], "image": "misbehave:1"});
        for (key, value) in more.as_object().into_iter().flatten() {
            wanted[key] = value.clone();
        }
        let created = self.post("/v2/fns", &wanted);
        assert_eq!(created.status, 200, "{}", created.text);
        created.json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn invoke(&self, function: &str, body: &str) -> Answer {
        self.send("POST", &format!("/invoke/{function}"), &[], body)
    }

    /// Asks a function of the image for a process, its own with `pid` or a child's with `fork`: its id on this machine.
    pub(crate) fn process(&self, function: &str, which: &str) -> String {
        let told = self.invoke(function, which).text;
        outside(&told).unwrap_or_else(|| panic!("no process: {told}"))
    }

    /// Stops it, and waits until nothing of it runs.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let panics = thread.join().unwrap();
            assert!(panics == 0 || std::thread::panicking(), "the platform panicked {panics} times");
        }
    }
}

thread_local! {
    /// A task's panic costs its connection alone: to a caller it looks like an end, and nobody would notice.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

fn count_panics() {
    static COUNTED: Once = Once::new();
    COUNTED.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            usual(panic);
        }));
    });
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until something holds; for half a minute, since the machine may be busy.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The id on this machine of a process that told its PID namespace and its id there, while it runs.
pub(crate) fn outside(told: &str) -> Option<String> {
    let (namespace, id) = told.rsplit_once(' ')?;
    let is_it = |process: &PathBuf| {
        let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        ids.split_whitespace().last() == Some(id)
            && std::fs::read_link(process.join("ns/pid")).is_ok_and(|found| found.as_os_str() == namespace)
    };
    let found = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path()).find(is_it)?;
    Some(found.file_name()?.to_str()?.to_owned())
}

/// The process that started a process, or has taken it over.
pub(crate) fn parent(process: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned()
}

/// The processes that a process has started, and those that these have.
pub(crate) fn descendants(process: &str) -> Vec<String> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.unwrap_or_default();
    children
        .split_whitespace()
        .flat_map(|child| [vec![child.to_owned()], descendants(child)].concat())
        .collect()
}

/// Whether a process is there and no zombie.
pub(crate) fn runs(pid: &str) -> bool {
    // The first thread of a killed process is dead before the others are, and only then has it ended.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let threads: Vec<_> = threads.into_iter().flatten().flatten().collect();
    threads.len() > 1 || state(pid).is_some_and(|state| state != 'Z')
}

/// The directories of a process's containers, and of its state where that is not kept: it holds a lock in each.
pub(crate) fn directories(process: &str) -> Vec<PathBuf> {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter(|path| path.file_name().is_some_and(|name| name == "lock"))
        .filter_map(|path| Some(path.parent()?.to_owned()))
        .filter(|path| path.starts_with("/tmp"))
        .collect()
}

/// A process's state, as `/proc` has it.
pub(crate) fn state(pid: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}
