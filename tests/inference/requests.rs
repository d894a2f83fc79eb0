//! Hostile requests to the example functions, as the platform runs them: none takes more than the function's memory, each ends
//! in a reply or a 504, and the next call is served by the same process. For a minute, or at night for twenty, when each is also
//! to end before its deadline.

mod hostile;

use cargo_fdk::agent::{Container, Spec};
use hostile::{Random, Request, Task, known};
use std::fs;
use std::time::{Duration, Instant, SystemTime};
use workspace_tests::http1::{self, Connection};
use workspace_tests::not_run::is_nightly;
use workspace_tests::{function, root};

/// What each request has until its deadline, which is in whole seconds: a second less at worst.
const LEFT: Duration = Duration::from_secs(3);
/// How long a test waits for a reply at most: one that never comes is a failure and no stalled test.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running function, and a request that it answers.
struct Target {
    task: Task,
    container: Container,
    granted: u64,
    good: Request,
    files: Vec<Vec<u8>>,
}

impl Target {
    async fn start(name: &'static str, task: Task, spec: Spec, good: Request, files: &str) -> Self {
        let folder = root().join("tests/inference").join(files);
        let files = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|kind| kind != "md"));
        let mut files: Vec<_> = files.filter(|path| path.is_file()).collect();
        files.sort();
        let container = Container::start(&spec).await;
        let container = container.unwrap_or_else(|fault| panic!("{name} does not start: {fault}"));
        let files = files.iter().map(|path| fs::read(path).unwrap()).collect();
        Self { task, container, granted: spec.memory, good, files }
    }

    /// An example with the model of its own.
    async fn example(name: &'static str, task: Task, good: Request, files: &str) -> Self {
        Self::start(name, task, function::spec(name), good, files).await
    }

    /// The function without code, with one of the checkpoints of these tests.
    async fn checkpoint(model: &'static str, task: Task, good: Request) -> Self {
        let folder = root().join("tests/inference/checkpoints");
        let mut spec = function::spec("serve");
        spec.config.push(("FDK_ASSETS_DIR".into(), folder.display().to_string()));
        spec.config.push(("FDK_MODEL".into(), model.into()));
        spec.visible.push(folder);
        Self::start(model, task, spec, good, "none").await
    }

    /// The most memory that the process has had, in MB.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.container.pid().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap().div_ceil(1024)
    }

    /// Sends a request, and the good one after it; the error says what went wrong.
    async fn survives(&mut self, request: &Request) -> Result<(), String> {
        let began = SystemTime::now();
        let reply = self.call(request, LEFT).await?;
        let took = began.elapsed().unwrap_or_default();
        match reply.status {
            200 | 504 => {}
            // What the platform would not take either.
            502 if reply.text().contains("FDK_MAX_REPLY allows") => {}
            other => return Err(format!("status {other}: {}", short(&reply.text()))),
        }
        let told = reply.header("fn-http-status").unwrap_or("200");
        if reply.status == 200 && !matches!(told, "200" | "400" | "404" | "413" | "422") {
            return Err(format!("told {told}: {}", short(&reply.text())));
        }
        if self.container.has_ended() {
            return Err("the process has ended".into());
        }
        let peak = self.peak();
        if peak > self.granted {
            return Err(format!("it has taken {peak} MB, and {} are granted", self.granted));
        }
        if is_nightly() && took > LEFT {
            return Err(format!("it took {took:?}"));
        }
        let next = self.call(&self.good, PATIENCE).await?;
        match (next.status, next.header("fn-http-status").unwrap_or("200")) {
            (200, "200") => Ok(()),
            (status, told) => Err(format!("the next call: {status}, {told}: {}", short(&next.text()))),
        }
    }

    async fn call(&self, request: &Request, left: Duration) -> Result<http1::Response, String> {
        let (deadline, url) = (http1::deadline(left), format!("http://h/t/app{}", request.path));
        let headers = [
            ("Fn-Intent", "httprequest"),
            ("Fn-Http-Method", "POST"),
            ("Fn-Http-Request-Url", url.as_str()),
            ("Content-Type", request.content_type.as_str()),
            ("Fn-Http-H-Content-Type", request.content_type.as_str()),
            ("Fn-Deadline", deadline.as_str()),
        ];
        let mut connection = Connection::open(&self.container.directory().join("lsnr.sock")).await;
        let exchange = async {
            // It may be refused before it is read to its end.
            connection.try_send(&http1::request(&headers, &request.body)).await;
            connection.response().await
        };
        let streamed = String::from_utf8_lossy(&request.body).contains("\"stream\":true");
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Ok(response)) => Ok(response),
            // A stream breaks off at the deadline, so that nobody takes a part of it for the whole.
            Ok(Err(why)) if streamed => {
                Ok(http1::Response { status: 504, headers: Vec::new(), body: why.into_bytes() })
            }
            Ok(Err(why)) => Err(why),
            Err(_) => Err(format!("no reply within {PATIENCE:?}")),
        }
    }
}

fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(400)]
}

fn good(path: &'static str, body: &str) -> Request {
    Request { path, content_type: "application/json".into(), body: body.into() }
}

/// The functions, and one for each task that no example's own model has.
const FUNCTIONS: [&str; 9] =
    ["serve", "rerank", "classify", "generate", "vision", "transcribe", "cross", "mood", "names"];

async fn target(name: &'static str) -> Target {
    let ranked = good("/rerank", r#"{"query": "a", "documents": ["b"]}"#);
    let texts = good("/serve", r#"{"inputs": ["a"]}"#);
    match name {
        "serve" => Target::example(name, Task::Embed, texts, "none").await,
        "rerank" => Target::example(name, Task::Rerank, ranked, "none").await,
        "classify" => {
            let labelled = good("/classify", r#"{"inputs": "a", "labels": ["b"]}"#);
            Target::example(name, Task::Classify, labelled, "none").await
        }
        "generate" => {
            let said = good("/generate", r#"{"prompt": "a", "max_tokens": 1}"#);
            Target::example(name, Task::Generate, said, "none").await
        }
        "vision" => {
            let body = fs::read(root().join("tests/inference/pictures/cat.jpg")).unwrap();
            let picture = Request { path: "/vision", content_type: "image/jpeg".into(), body };
            Target::example(name, Task::Vision, picture, "pictures").await
        }
        "transcribe" => {
            // A quarter of a second: it is sent after each request.
            let whole = fs::read(root().join("tests/inference/recordings/sentence.wav")).unwrap();
            // The file has a chunk of its own between the form and the samples.
            let (riff, form, samples) =
                (b"RIFF\x64\x1f\0\0WAVE", &whole[12..36], &whole[whole.len() - 8000..]);
            let body = [riff, form, b"data\x40\x1f\0\0", samples].concat();
            let recording = Request { path: "/transcribe", content_type: "audio/wav".into(), body };
            Target::example(name, Task::Transcribe, recording, "recordings").await
        }
        "cross" => Target::checkpoint(name, Task::Rerank, ranked).await,
        "mood" => Target::checkpoint(name, Task::Predict, texts).await,
        _ => Target::checkpoint(name, Task::Tokens, texts).await,
    }
}

#[tokio::test]
async fn hostile_requests_cost_no_container() {
    let seed = std::env::var("FDK_SEED").ok().map(|seed| seed.parse().expect("FDK_SEED is a number"));
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let seed: u64 = seed.unwrap_or_else(|| if is_nightly() { clock() } else { 0x9e37_79b9 });
    eprintln!("FDK_SEED={seed}");
    let whole = Duration::from_secs(if is_nightly() { 20 * 60 } else { 45 });
    let each = whole / u32::try_from(FUNCTIONS.len()).unwrap();
    let mut faults = Vec::new();
    for name in FUNCTIONS {
        let mut target = target(name).await;
        let began = Instant::now();
        let mut random = Random::new(seed);
        let mut known = known(target.task).into_iter();
        let mut round = 0;
        while began.elapsed() < each || known.len() > 0 {
            let request = known.next().unwrap_or_else(|| random.request(target.task, &target.files));
            if let Err(why) = target.survives(&request).await {
                let kept = root().join(format!("target/hostile-{name}-{round}"));
                fs::write(&kept, &request.body).unwrap();
                let path = request.path;
                faults.push(format!(
                    "FDK_SEED={seed}, {name} at {path}, request {round}: {why}; the body is in {}",
                    kept.display()
                ));
                // What follows may be its fault.
                break;
            }
            round += 1;
        }
        eprintln!("{name}: {round} requests, {} of {} MB", target.peak(), target.granted);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
