//! What the memory check says of a model against what a function had resident at most, mapped pages included, over the largest
//! requests that are allowed: `cargo test --workspace --test inference -- memory --nocapture` prints the table, and with
//! `FDK_NIGHTLY=1` that of models which no package carries, and of candle where it is slow.

mod largest;
mod shaped;

use bytes::Bytes;
use cargo_fdk::agent::{Call, Container, Spec};
use fdk_inference::{Assets, Precision, prepare};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use workspace_tests::function;
use workspace_tests::not_run::is_nightly;

/// What the estimate may be above the peak: a part of it, and so many MB.
const ABOVE: (u64, u64) = (15, 16);
/// More than any of the models takes, in MB.
const PLENTY: u64 = 16 * 1024;
/// Tokens of a conversation where the memory does not say: the fewest that are served.
const CONTEXT: usize = 512;

/// A model's folder, and a function that serves it.
struct Subject<'s> {
    spec: Spec,
    assets: &'s Path,
    model: &'s str,
    /// What its file is: `own`, or the precision it is prepared at.
    file: &'s str,
    candle: bool,
}

/// One row of the table, in KiB, but for the estimate.
#[derive(Debug)]
struct Row {
    what: String,
    estimated_mb: u64,
    /// After the start, and after each request.
    peaks: Vec<u64>,
}

impl Row {
    fn peak(&self) -> u64 {
        self.peaks.last().copied().unwrap()
    }

    fn holds(&self) -> bool {
        let (estimated, peak) = (self.estimated_mb * 1024, self.peak());
        // Of the tiny checkpoints most is what any process may take.
        let is_tiny =
            ["cross", "mood", "topic", "names", "qwen"].iter().any(|name| self.what.starts_with(name));
        let more = if is_tiny { 24 } else { ABOVE.1 };
        // The estimate is told in whole MB.
        estimated >= peak && estimated <= peak * (100 + ABOVE.0) / 100 + (more + 1) * 1024
    }

    fn print(&self) {
        let peaks: Vec<String> = self.peaks.iter().map(|kib| kib.div_ceil(1024).to_string()).collect();
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let ratio = (self.estimated_mb * 1024) as f64 / self.peak() as f64;
        let verdict = if self.holds() { "" } else { "  <- not within the bounds" };
        println!(
            "| {} | {} | {} | {ratio:.2} | {} |{verdict}",
            self.what,
            self.estimated_mb,
            self.peak().div_ceil(1024),
            peaks.join(" ")
        );
    }
}

impl Subject<'_> {
    /// Starts the function, has it answer, and reads what it took. With `granted` that is what the estimate is: a decoder's
    /// context fills it.
    async fn measure(&self, granted: Option<u64>, requests: impl FnOnce(&str) -> Vec<(u16, Bytes)>) -> Row {
        let mut spec = self.spec.clone();
        let config = [("FDK_ASSETS_DIR", self.assets.to_str().unwrap()), ("FDK_MODEL", self.model)];
        spec.config.extend(config.map(|(key, value)| (key.into(), value.into())));
        // A larger reply is refused, but made.
        spec.config.push(("FDK_MAX_REPLY".into(), String::new()));
        if self.candle {
            spec.config.push(("FDK_KERNELS".into(), "candle".into()));
        }
        if granted.is_none() {
            spec.config.push(("FDK_CONTEXT".into(), CONTEXT.to_string()));
        }
        spec.memory = granted.unwrap_or(PLENTY);
        spec.timeout = Duration::from_mins(15);
        let path = if self.candle { "candle" } else { "kernels" };
        let what = format!("{} | {} | {path}", self.model, self.file);
        let mut container =
            Container::start(&spec).await.unwrap_or_else(|fault| panic!("{what} does not start: {fault}"));
        let ready = ready(&container).await;
        let peak = |container: &Container| container.memory().unwrap().peak_kib;
        let mut peaks = vec![peak(&container)];
        for (status, body) in requests(&ready) {
            let reply = match container.call(Call { body, ..Call::default() }).await {
                // On a direct invoke the caller's fault is a 502.
                Err(_) if status == 422 => {
                    peaks.push(peak(&container));
                    continue;
                }
                reply => reply.unwrap_or_else(|fault| panic!("{what}: {fault}")),
            };
            let found = reply.headers.get("fn-http-status").and_then(|status| status.to_str().ok());
            let text = String::from_utf8_lossy(&reply.body[..reply.body.len().min(300)]);
            assert_eq!(found.unwrap_or("200"), status.to_string(), "{what}: {text}");
            peaks.push(peak(&container));
        }
        let estimated_mb = granted.unwrap_or_else(|| number(&ready, "memory_needed_mb"));
        let row = Row { what, estimated_mb, peaks };
        row.print();
        row
    }
}

/// The line that tells how the function started.
async fn ready(container: &Container) -> String {
    for _ in 0..6000 {
        let lines = container.logs().lines();
        if let Some(line) = lines.into_iter().find(|line| line.contains("\"memory_needed_mb\"")) {
            return line;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it is not ready: {:#?}", container.logs().lines());
}

fn number(ready: &str, name: &str) -> u64 {
    let value: Value = serde_json::from_str(ready).unwrap();
    find(&value, name).unwrap_or_else(|| panic!("no {name} in {ready}"))
}

fn find(value: &Value, name: &str) -> Option<u64> {
    let fields = value.as_object()?;
    fields.get(name).and_then(Value::as_u64).or_else(|| fields.values().find_map(|value| find(value, name)))
}

/// A copy of a listed model's folder, prepared, without what the prepared file stands for unless `whole`.
fn prepared(name: &str, precision: Precision, whole: bool) -> TempDir {
    let from = fdk_models::obtain(name).unwrap();
    let assets = Assets::open(&from, Some(name)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(from.join("models.toml"), folder.path().join("models.toml")).unwrap();
    for file in assets.model().files.iter().map(|file| &file.path) {
        let to = folder.path().join(name).join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(assets.path(file), to).unwrap();
    }
    let assets = Assets::open(folder.path(), Some(name)).unwrap();
    let report = prepare(&assets, precision).unwrap().unwrap();
    for file in report.replaced.iter().filter(|_| !whole) {
        fs::remove_file(assets.path(file)).unwrap();
    }
    // So that the file is read at the start, all of it.
    fs::remove_file(assets.path(".verified")).unwrap();
    folder
}

fn all_well(bodies: Vec<Bytes>) -> Vec<(u16, Bytes)> {
    bodies.into_iter().map(|body| (200, body)).collect()
}

/// What a decoder is asked, the first of it too long.
fn prompts(ready: &str) -> Vec<(u16, Bytes)> {
    let context = usize::try_from(number(ready, "context_tokens")).unwrap();
    [422, 200, 200].into_iter().zip(largest::prompts(context)).collect()
}

fn within(rows: &[Row]) {
    let beyond: Vec<&Row> = rows.iter().filter(|row| !row.holds()).collect();
    assert!(beyond.is_empty(), "{beyond:#?}");
}

fn head() {
    println!(
        "| model | file | path | estimated, MB | peak, MB | ratio | peak after the start and each request |"
    );
    println!("|---|---|---|---|---|---|---|");
}

const CHECKPOINTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/inference/checkpoints");

#[tokio::test]
async fn memory_of_texts() {
    head();
    let mut rows = Vec::new();
    let minilm = fdk_models::obtain("minilm").unwrap();
    let folders = [Precision::F32, Precision::F16, Precision::Int8]
        .map(|precision| (precision.name(), prepared("minilm", precision, false)));
    let mut subjects = vec![("own", minilm.as_path(), false)];
    subjects.extend(folders.iter().map(|(name, folder)| (*name, folder.path(), false)));
    let whole = prepared("minilm", Precision::F16, true);
    if is_nightly() {
        subjects.push(("own", minilm.as_path(), true));
        subjects.push(("f16", whole.path(), true));
    }
    for (file, assets, candle) in subjects {
        let subject = Subject { spec: function::spec("serve"), assets, model: "minilm", file, candle };
        let texts = |_: &str| all_well(largest::texts("inputs", &json!({})));
        rows.push(subject.measure(None, texts).await);
    }
    for (model, field, beside) in [
        ("cross", "documents", json!({"query": "a"})),
        ("mood", "inputs", json!({})),
        ("topic", "inputs", json!({})),
        ("names", "inputs", json!({})),
    ] {
        for candle in [false, true] {
            // The largest texts take candle a minute.
            if candle && !is_nightly() {
                continue;
            }
            let assets = Path::new(CHECKPOINTS);
            let subject = Subject { spec: function::spec("serve"), assets, model, file: "own", candle };
            rows.push(subject.measure(None, |_| all_well(largest::texts(field, &beside))).await);
        }
    }
    within(&rows);
}

#[tokio::test]
async fn memory_of_decoders() {
    head();
    let mut rows = Vec::new();
    let smollm2 = fdk_models::obtain("smollm2").unwrap();
    let prepared = prepared("smollm2", Precision::F16, false);
    for (file, assets, candle) in [
        ("Q4_1", smollm2.as_path(), false),
        ("prepared", prepared.path(), false),
        ("Q4_1", smollm2.as_path(), true),
        ("prepared", prepared.path(), true),
    ] {
        // candle has no vector instructions for this type.
        if candle && !is_nightly() {
            continue;
        }
        let subject = Subject { spec: function::spec("serve"), assets, model: "smollm2", file, candle };
        rows.push(subject.measure(None, prompts).await);
        // Thousands of tokens fill what is granted.
        if !candle && is_nightly() {
            rows.push(subject.measure(Some(256), prompts).await);
        }
    }
    for model in ["qwen2", "qwen2-q8_0", "qwen3", "qwen3-q8_0"] {
        if !is_nightly() {
            continue;
        }
        let assets = Path::new(CHECKPOINTS);
        let subject = Subject { spec: function::spec("serve"), assets, model, file: "own", candle: true };
        let prompts = |ready: &str| {
            let context = usize::try_from(number(ready, "context_tokens")).unwrap();
            [422, 200].into_iter().zip(largest::prompts(context)).collect()
        };
        rows.push(subject.measure(None, prompts).await);
    }
    within(&rows);
}

#[tokio::test]
async fn memory_of_real_shapes() {
    if !is_nightly() {
        return;
    }
    head();
    let mut rows = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    for shape in [
        shaped::llama_1b("Q4_K_M"),
        shaped::llama_1b("Q5_K_M"),
        shaped::llama_1b("Q8_0"),
        shaped::llama_1b("Q4_0"),
        shaped::qwen2_half_b("Q4_K_M"),
        shaped::qwen3_half_b("Q4_K_M"),
        shaped::qwen3_half_b("Q8_0"),
        shaped::qwen3_half_b("F16"),
    ] {
        shape.write(folder.path());
        let name = shape.name();
        let candle = shape.architecture != "llama" || shape.precision.contains('K');
        let subject = Subject {
            spec: function::spec("serve"),
            assets: folder.path(),
            model: &name,
            file: "own",
            candle,
        };
        rows.push(subject.measure(None, prompts).await);
    }
    within(&rows);
}

#[tokio::test]
async fn memory_of_pictures_and_recordings() {
    head();
    let mut rows = Vec::new();
    let model = "efficientnet-lite0";
    let own = fdk_models::obtain(model).unwrap();
    let folders = [Precision::F32, Precision::F16]
        .map(|precision| (precision.name(), prepared(model, precision, false)));
    let mut subjects = vec![("own", own.as_path())];
    subjects.extend(folders.iter().map(|(name, folder)| (*name, folder.path())));
    for (file, assets) in subjects {
        let subject = Subject { spec: function::spec("vision"), assets, model, file, candle: false };
        rows.push(subject.measure(None, |_| vec![(200, largest::picture())]).await);
    }
    let sentence = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("inference/recordings/sentence.wav");
    let detector = Spec::new("detector", env!("CARGO_BIN_EXE_detector").into());
    for (spec, model) in [(detector, "silero-vad"), (function::spec("transcribe"), "whisper-tiny-en")] {
        let assets = fdk_models::obtain(model).unwrap();
        let subject = Subject { spec, assets: &assets, model, file: "own", candle: false };
        rows.push(subject.measure(None, |_| vec![(200, largest::recording(&sentence))]).await);
    }
    within(&rows);
}
