//! `docker build` of the real Dockerfile, and containers inside the walls the agent puts up: the engine, not a likeness.

mod engine;
mod folders;
mod offline;
mod scaffold;

use engine::{Container, Engine, file_of, told};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use workspace_tests::command_line::fdk;
use workspace_tests::not_run::{have, is_nightly, unasked};
use workspace_tests::root;

const MIB: u64 = 1024 * 1024;

/// The engine, looked for once.
fn engine() -> Option<&'static Engine> {
    static ENGINE: OnceLock<Option<Engine>> = OnceLock::new();
    ENGINE.get_or_init(Engine::find).as_ref()
}

/// Whether the builds are asked for that compile candle, or a whole project, in an image: each takes minutes.
fn thorough(test: &str) -> bool {
    if !is_nightly() {
        unasked(test, "FDK_NIGHTLY=1 runs it, as .ci/nightly does");
    }
    is_nightly()
}

#[tokio::test]
async fn hello_is_a_small_image_that_answers_and_stops() {
    let Some(engine) = engine() else { return };
    let hello = engine.build_from_source("hello", &auditable());
    let config: Value = serde_json::from_str(&told(&["inspect", "-f", "{{json .Config}}", &hello])).unwrap();
    assert_eq!((&config["User"], &config["Volumes"]), (&json!("1000:1000"), &Value::Null));
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].clone();
    assert_eq!(
        ["title", "version", "revision", "licenses"].map(label),
        ["hello", "unknown", "unknown", "Apache-2.0"]
    );
    let beyond = engine.beyond_base(&hello);
    assert!(beyond <= 10 * MIB, "{beyond} bytes beyond the base");

    let container = Container::start(&hello, 128, &[]);
    assert_eq!(container.call("{\"name\":\"image\"}").await["message"], "Hello image");
    eprintln!("hello: {} ms from docker run to the first reply", container.age().as_millis());
    // As PID 1 a signal without a handler would be ignored.
    assert_eq!(container.stop(), "0");
    assert_eq!(left(container.directory.path()), 0, "the socket outlived the function");
    if is_nightly() {
        lists_its_crates(&hello);
    }
}

/// The tool that lists a binary's crates takes a minute to build, so it is done at night.
fn auditable() -> Vec<&'static str> {
    if is_nightly() { Vec::new() } else { vec!["--build-arg", "AUDITABLE="] }
}

#[tokio::test]
async fn a_static_one_needs_no_base() {
    if !thorough("a_static_one_needs_no_base") {
        return;
    }
    let Some(engine) = engine() else { return };
    // After the engine's own arguments, so they win.
    let more = ["--build-arg", "FUNCTION=hello", "--build-arg", "STATIC=1", "--build-arg", "RUNTIME=scratch"];
    let image = engine.build_in(&root(), "fdk-test-static", &more);
    let container = Container::start(&image, 128, &[]);
    assert_eq!(container.call("{\"name\":\"scratch\"}").await["message"], "Hello scratch");
    assert_eq!(container.stop(), "0");
}

#[tokio::test]
async fn embed_answers_the_same_after_a_pause() {
    let Some(engine) = engine() else { return };
    embed_answers(&engine.build("embed")).await;
}

/// The same, compiled in the image, for the CPUs that images are for.
#[tokio::test]
async fn embed_is_built_from_source() {
    // .ci/run asks for it where the last night's images were made of something else.
    let asked = std::env::var_os("FDK_IMAGE_FROM_SOURCE").is_some();
    if !asked && !thorough("embed_is_built_from_source") {
        return;
    }
    let Some(engine) = engine() else { return };
    // Without an argument it is this one.
    let embed = engine.build_in(&root(), "fdk-test-embed-source", &[]);
    embed_answers(&embed).await;
    lists_its_crates(&embed);
}

async fn embed_answers(embed: &str) {
    let engine = engine().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let size = |path: &str| std::fs::metadata(file_of(embed, path, folder.path())).unwrap().len();
    let (binary, beyond) = (size("/function/func"), engine.beyond_base(embed));
    let weights = folder_size(&file_of(embed, "/function/model-assets", folder.path()));
    assert!(beyond <= binary + weights + 5 * MIB, "{beyond} bytes beyond the base: {binary} + {weights}");

    let container = Container::start(embed, 256, &["FDK_MODEL=minilm"]);
    let ask = json!({"inputs": ["a cat sits on the mat", "the cat is on the rug", "shares fell on Monday"]})
        .to_string();
    let reply = container.call(&ask).await;
    eprintln!("embed: {} ms from docker run to the first reply", container.age().as_millis());
    let vectors: Vec<Vec<f64>> = serde_json::from_value(reply["embeddings"].clone()).unwrap();
    assert!(vectors.iter().all(|vector| vector.len() == 384));
    let cosine =
        |one: usize, two: usize| -> f64 { vectors[one].iter().zip(&vectors[two]).map(|(a, b)| a * b).sum() };
    assert!(cosine(0, 1) > 0.6 && cosine(0, 2) < 0.2, "{} {}", cosine(0, 1), cosine(0, 2));

    container.engine("pause");
    tokio::time::sleep(Duration::from_secs(3)).await;
    container.engine("unpause");
    assert_eq!(container.call(&ask).await["embeddings"], reply["embeddings"]);
    // Its files keep the time of the build that verified them, so that no start hashes them.
    let logs = container.logs();
    assert!(logs.contains("\"model_verified\":\"at build\""), "{logs}");
    assert_eq!(container.stop(), "0");
}

#[tokio::test]
async fn a_model_that_is_not_in_the_context_is_fetched_and_goes_alone() {
    if !thorough("a_model_that_is_not_in_the_context_is_fetched_and_goes_alone") {
        return;
    }
    let Some(engine) = engine() else { return };
    let context = tempfile::tempdir().unwrap();
    offline::copy_workspace(context.path());
    let generate =
        engine.build_in(context.path(), "fdk-test-generate", &["--build-arg", "FUNCTION=generate"]);
    let folder = tempfile::tempdir().unwrap();
    let assets = file_of(&generate, "/function/model-assets", folder.path());
    let mut held: Vec<_> =
        std::fs::read_dir(assets).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    held.sort();
    assert_eq!(held, ["models.toml", "smollm2"]);
    let container = Container::start(&generate, 512, &["FDK_MODEL=smollm2"]);
    let reply = container.call("{\"prompt\":\"One, two, three,\",\"max_tokens\":4}").await;
    assert!(reply["text"].as_str().unwrap().contains("four"), "{reply}");
    assert_eq!(container.stop(), "0");
}

#[tokio::test]
async fn memory_that_runs_out_ends_one_container() {
    let Some(engine) = engine() else { return };
    let probe = engine.build("probe");
    let container = Container::start(&probe, 64, &[]);
    container.call("{\"allocate_mb\": 16}").await;
    let ended = container.attempt("{\"allocate_mb\": 200}").await.unwrap_err();
    // What the agent makes of an end without a reply is 502, and the next call gets a new container.
    assert_eq!(container.wait(), "137", "{ended}");
    // A busy engine learns of the reason after the end.
    for _ in 0..100 {
        if container.state("OOMKilled") == "true" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(container.state("OOMKilled"), "true", "{ended}");
    let next = Container::start(&probe, 64, &[]);
    next.call("{\"allocate_mb\": 16}").await;
}

#[tokio::test]
async fn images_keep_the_contract() {
    let Some(engine) = engine() else { return };
    let probe = engine.build("probe");
    judge(&["--image", &probe, "--probe"]);
    let embed = engine.build("embed");
    // Start-up, sandbox, connections and lifecycle: what a model could spoil.
    let only = "1,2,3,4,17,19,23,43,45,48,74,76,77";
    judge(&["--image", &embed, "--memory", "256", "--env", "FDK_MODEL=minilm", "--only", only]);
}

/// `cargo fdk check` finds nothing that breaks the contract.
fn judge(arguments: &[&str]) {
    let mut check = fdk();
    check.args(["check", "--quick", "--json"]).args(arguments);
    let output = check.output().unwrap();
    let said = engine::text(&output.stderr);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let rows = report["cases"].as_array().unwrap();
    let failed: Vec<&Value> =
        rows.iter().filter(|row| row["result"] == "FAIL" && row["level"] == "M").collect();
    assert!(failed.is_empty(), "{failed:?}");
    let passed = rows.iter().filter(|row| row["result"] == "PASS").count();
    assert!(passed * 10 >= rows.len() * 9, "too little was judged: {rows:?}");
}

#[test]
fn an_image_that_is_not_there_is_said() {
    if engine().is_none() {
        return;
    }
    let mut check = fdk();
    check.args(["check", "--image", "fdk-test-nowhere"]);
    let output = check.output().unwrap();
    let said = engine::text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let remedy = "the engine has no image fdk-test-nowhere: docker build -t fdk-test-nowhere .";
    assert!(said.contains(remedy), "{said}");
}

/// A scanner finds the crates in the binary: the section that `cargo auditable` writes, deflated JSON.
fn lists_its_crates(image: &str) {
    const INFLATE: &str = "import sys, zlib; print(zlib.decompress(open(sys.argv[1], 'rb').read()).decode())";
    let tools = have("image", "objcopy", &["--version"], "apt-get install binutils")
        && have("image", "python3", &["--version"], "apt-get install python3");
    if !tools {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let binary = file_of(image, "/function/func", folder.path());
    let section = folder.path().join("crates");
    let mut objcopy = Command::new("objcopy");
    objcopy.args(["-O", "binary", "--only-section=.dep-v0", "--set-section-flags", ".dep-v0=alloc"]);
    assert!(objcopy.arg(&binary).arg(&section).status().unwrap().success());
    let output = Command::new("python3").args(["-c", INFLATE]).arg(&section).output().unwrap();
    assert!(output.status.success(), "{}", engine::text(&output.stderr));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> =
        list["packages"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    // It may name more than is linked: what any feature of the crates would bring, since the workspace shares them.
    assert!(names.contains(&"hyper") && names.contains(&"fdk-runtime"), "{names:?}");
}

fn left(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

fn folder_size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let size = |entry: std::fs::DirEntry| {
        if entry.path().is_dir() { folder_size(&entry.path()) } else { entry.metadata().unwrap().len() }
    };
    entries.map(size).sum()
}
