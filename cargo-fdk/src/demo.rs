//! `cargo fdk demo`: the main job, end to end, and what happened.

use crate::agent::{Call, Container, Reply, Spec};
use crate::function::Function;
use crate::invoke::prepare;
use crate::issuer::{Claims, Issuer};
use crate::logs::Logs;
use crate::report::{Report, Start};
use crate::{Error, Result};
use bytes::Bytes;
use clap::Args;
use serde::Deserialize;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// The demo's sentences: two pairs of like meaning, and one that is like none.
const SENTENCES: [&str; 5] = [
    "The cat dozes on the warm windowsill.",
    "A kitten is sleeping in the sun.",
    "Interest rates were raised by the central bank.",
    "Monetary policy has become tighter this year.",
    "Bake the bread for forty minutes.",
];
/// Calls of one sentence for the latency figure, after the first.
const REPEATS: usize = 20;
/// How long a principal issued for the demo is good; as long as OCI's are.
const ISSUED_FOR: Duration = Duration::from_mins(20);

#[derive(Args)]
pub(crate) struct Options {
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
    /// Give the function a resource principal of a local issuer, made for this run, and show who it then is
    #[arg(long)]
    principal: bool,
}

/// What the function answers.
#[derive(Deserialize)]
pub(crate) struct Embeddings {
    pub(crate) embeddings: Vec<Vec<f32>>,
    pub(crate) model: String,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let function = Function::read(&example("embed")?)?;
    let mut spec = prepare(&function).await?;
    // The start report is read from the log.
    spec.config.retain(|(key, _)| key != "FDK_LOG_FORMAT" && key != "FDK_LOG");
    spec.config.push(("FDK_LOG_FORMAT".into(), "json".into()));
    // Removed with its keys when the demo ends, or is interrupted.
    let issued = if options.principal { Some(issue(&mut spec)?) } else { None };
    let logs = Logs::default();
    let failed = |logs: &Logs, why: String| Error::failed(format!("{why}\n{}", logs.lines().join("\n")));
    let mut container = match Container::start_with_logs(&spec, &logs).await {
        Ok(container) => container,
        Err(fault) => {
            if let Some(code) = refused_principal(&logs).filter(|_| options.json) {
                let report = serde_json::json!({"start": {"principal": format!("refused {code}")}});
                let _ = writeln!(std::io::stdout(), "{report}");
            }
            return Err(failed(&logs, fault.to_string()));
        }
    };
    let first = call(&mut container, &SENTENCES).await.map_err(|why| failed(&logs, why))?;
    let cold = container.started().elapsed();
    let reply: Embeddings = serde_json::from_slice(&first.body)
        .map_err(|error| failed(&logs, format!("the reply is of another shape: {error}")))?;
    let mut latencies = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        latencies.push(call(&mut container, &SENTENCES[..1]).await.map_err(|why| failed(&logs, why))?.took);
    }
    let report = Report {
        function: function.name().to_owned(),
        sentences: SENTENCES.map(str::to_owned).to_vec(),
        similarity: similarity(&reply.embeddings),
        width: reply.embeddings.first().map_or(0, Vec::len),
        model: reply.model,
        start: Start::from_logs(&logs.lines()),
        socket: container.socket_after(),
        cold,
        first: first.took,
        latencies,
        memory: container.memory(),
        granted_mb: function.memory(),
    };
    drop(issued);
    let code = container.terminate().await.map_err(|error| Error::failed(format!("SIGTERM: {error}")))?;
    if code != Some(0) {
        return Err(failed(&logs, format!("the function did not stop as asked: exit code {code:?}")));
    }
    let _ = if options.json {
        writeln!(std::io::stdout(), "{}", report.to_json())
    } else {
        write!(anstream::stdout(), "{report}")
    };
    Ok(ExitCode::SUCCESS)
}

/// A principal in a folder of its own, in place of any that this environment has.
fn issue(spec: &mut Spec) -> Result<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("fdk-principal")
        .tempdir()
        .map_err(|error| Error::failed(format!("no temporary folder: {error}")))?;
    let issuer = Issuer::open(folder.path())?;
    issuer.rotate(&Claims { ttl: ISSUED_FOR, others: serde_json::Map::new() }, SystemTime::now())?;
    let ours = |key: &str| {
        key.starts_with("OCI_RESOURCE_PRINCIPAL_")
            || key.starts_with("FDK_PRINCIPAL")
            || key == "FDK_ISSUER_KEYS"
    };
    spec.config.retain(|(key, _)| !ours(key) && key != "OCI_REGION_METADATA");
    spec.config.extend(issuer.variables());
    spec.config.push(("FDK_PRINCIPAL".into(), "required".into()));
    Ok(folder)
}

/// The code with which the function refused its principal, where it did.
fn refused_principal(logs: &Logs) -> Option<String> {
    let told = |line: &String| Some(line.split_once("principal refused (")?.1.split_once(')')?.0.to_owned());
    logs.lines().iter().find_map(told)
}

async fn call(container: &mut Container, sentences: &[&str]) -> Result<Reply, String> {
    let body = serde_json::json!({ "inputs": sentences }).to_string();
    let call = Call { body: Bytes::from(body), ..Call::default() };
    match container.call(call).await {
        Ok(reply) => Ok(reply),
        Err(fault) => {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Err(fault.to_string())
        }
    }
}

/// The cosine of each pair: vectors come normalised.
fn similarity(vectors: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum();
    vectors.iter().map(|a| vectors.iter().map(|b| cosine(a, b)).collect()).collect()
}

/// An example's folder, in this workspace.
fn example(name: &str) -> Result<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let folder = here
        .ancestors()
        .map(|above| above.join("examples").join(name))
        .find(|dir| dir.join("func.yaml").is_file());
    folder.ok_or_else(|| {
        Error::usage(format!(
            "no examples/{name} in {} or above: run the demo in a clone of the FDK",
            here.display()
        ))
    })
}
