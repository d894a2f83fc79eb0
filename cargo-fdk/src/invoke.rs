//! `cargo fdk invoke`: builds a function folder and calls it once.

use crate::agent::{Call, Container, Spec};
use crate::function::Function;
use crate::logs::Logs;
use crate::{Error, Result, compile, model_tool};
use clap::Args;
use http::HeaderValue;
use serde_json::json;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::task::spawn_blocking;

#[derive(Args)]
pub(crate) struct Options {
    /// The function folder: func.yaml, Cargo.toml, src/main.rs
    dir: PathBuf,
    /// The request body: text, or @FILE for a file; stdin when not given and not a terminal
    #[arg(long, value_name = "STR|@FILE")]
    data: Option<String>,
    /// The request's content type; func.yaml's, or text/plain as `fn invoke` sends
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Seconds the call may take; func.yaml's timeout when not given
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=MAX_TIMEOUT))]
    timeout: Option<u64>,
    /// Print status, headers, body and times as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let function = Function::read(&options.dir)?;
    let data = options.data;
    // Whoever writes to stdin may take long.
    let body = spawn_blocking(move || body(data.as_deref())).await;
    let body = body.map_err(|error| Error::failed(format!("the request's body: {error}")))??;
    let content_type = options.content_type.as_deref().or(function.content_type()).unwrap_or("text/plain");
    let content_type = HeaderValue::from_str(content_type)
        .map_err(|_| Error::usage(format!("--content-type {content_type:?} is no header value")))?;
    let mut spec = prepare(&function).await?;
    spec.echo = true;
    if let Some(seconds) = options.timeout {
        spec.timeout = Duration::from_secs(seconds);
    }
    let logs = Logs::default();
    let mut container =
        Container::start_with_logs(&spec, &logs).await.map_err(|fault| Error::failed(fault.to_string()))?;
    let mut call = Call { body: body.into(), ..Call::default() };
    call.headers.insert(http::header::CONTENT_TYPE, content_type);
    let reply = container.call(call).await;
    let stdout = &mut std::io::stdout();
    match reply {
        Ok(reply) if options.json => {
            let headers: serde_json::Map<_, _> = reply
                .headers
                .keys()
                .map(|name| {
                    let values: Vec<_> = reply
                        .headers
                        .get_all(name)
                        .iter()
                        .map(|value| String::from_utf8_lossy(value.as_bytes()))
                        .collect();
                    (name.to_string(), json!(values))
                })
                .collect();
            let body = serde_json::from_slice(&reply.body)
                .unwrap_or_else(|_| serde_json::Value::from(String::from_utf8_lossy(&reply.body)));
            let result = json!({
                "status": 200, "call_id": reply.call_id, "headers": headers, "body": body,
                "socket_ms": container.socket_after().as_secs_f64() * 1e3, "call_ms": reply.took.as_secs_f64() * 1e3,
            });
            writeln!(stdout, "{result}").map_err(unwritten)?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(reply) => {
            let newline = if reply.body.ends_with(b"\n") || reply.body.is_empty() { "" } else { "\n" };
            stdout
                .write_all(&reply.body)
                .and_then(|()| stdout.write_all(newline.as_bytes()))
                .and_then(|()| stdout.flush())
                .map_err(unwritten)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(fault) => {
            // What it printed last arrives after its reply.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let message = serde_json::from_slice::<serde_json::Value>(fault.body())
                .ok()
                .and_then(|body| body.get("message")?.as_str().map(str::to_owned));
            Err(Error::failed(
                message.map_or_else(|| fault.to_string(), |message| format!("{fault}: {message}")),
            ))
        }
    }
}

/// A day: more than any platform grants.
const MAX_TIMEOUT: u64 = 86_400;

#[expect(clippy::needless_pass_by_value, reason = "it is a mapper of errors")]
fn unwritten(error: std::io::Error) -> Error {
    Error::failed(format!("the reply cannot be written to stdout: {error}"))
}

/// Fetches and prepares the function's model, builds it, and says how to run it.
pub(crate) async fn prepare(function: &Function) -> Result<Spec> {
    let assets = assets(function).await?;
    let mut spec = Spec::new(function.name(), compile::build_while_serving(function).await?);
    spec.config = function.config().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    if let Some(folder) = assets {
        spec.config.push(("FDK_ASSETS_DIR".into(), folder.display().to_string()));
        spec.visible.push(folder);
    }
    spec.config.extend(environment());
    spec.memory = function.memory();
    spec.timeout = function.timeout();
    Ok(spec)
}

/// Fetches and prepares the function's model, and says which assets folder serves it.
pub(crate) async fn assets(function: &Function) -> Result<Option<PathBuf>> {
    let Some(model) = function.model() else { return Ok(None) };
    let configured = std::env::var_os("FDK_ASSETS_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let folder = configured.map_or_else(|| fdk_models::folder_for(function.folder()), Ok)?;
    let (to, names) = (folder.clone(), [model.to_owned()]);
    let fetched = spawn_blocking(move || fdk_models::fetch(&to, &names)).await;
    fetched.map_err(|error| Error::failed(format!("{model}: {error}")))??;
    let folder =
        folder.canonicalize().map_err(|error| Error::failed(format!("{}: {error}", folder.display())))?;
    model_tool::prepared(&folder, model, function.folder()).await.map(Some)
}

/// What a person who debugs a function sets for one run, as in the platform's console.
pub(crate) fn environment() -> Vec<(String, String)> {
    let ours =
        ["FDK_LOG", "FDK_LOG_FORMAT", "FDK_THREADS", "NO_COLOR", "RUST_BACKTRACE", "OCI_REGION_METADATA"];
    let principal = ["OCI_RESOURCE_PRINCIPAL_", "FDK_PRINCIPAL", "FDK_ISSUER_KEYS"];
    let mut config: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(key, _)| {
            ours.contains(&key.as_str()) || principal.iter().any(|prefix| key.starts_with(prefix))
        })
        .collect();
    // A function's stderr is a pipe here, but a person reads it.
    if std::env::var_os("FDK_LOG_FORMAT").is_none() {
        config.push(("FDK_LOG_FORMAT".into(), "text".into()));
    }
    config
}

fn body(data: Option<&str>) -> Result<Vec<u8>> {
    match data {
        Some(data) => match data.strip_prefix('@') {
            Some(file) => std::fs::read(Path::new(file))
                .map_err(|error| Error::usage(format!("--data @{file}: {error}"))),
            None => Ok(data.into()),
        },
        None if std::io::stdin().is_terminal() => Ok(Vec::new()),
        None => {
            let mut body = Vec::new();
            std::io::stdin()
                .read_to_end(&mut body)
                .map_err(|error| Error::usage(format!("cannot read the body from stdin: {error}")))?;
            Ok(body)
        }
    }
}
