//! A function that logs all it knows, and leaves work behind, as it is asked to.
//!
//! `EARLY_THREAD` in its configuration starts a thread before the function runs.

use fdk::{Context, Error, Json, Reply, Result, SignLayer, Signer};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::process::ExitCode;
use std::time::Duration;

/// What to do.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ask {
    /// Log everything at hand.
    Tell,
    /// Panic with the context in the message.
    Panic,
    /// Leave tasks behind: so many that only this thread can run, so many others, and so many that are aborted at once.
    Leave { local: usize, others: usize, aborted: usize },
    /// Run so many blocking tasks. The reply is the most threads that the process had meanwhile.
    Block(usize),
    /// Wait for nothing but its own turn.
    Yield,
    /// Read a variable of the process.
    Variable(String),
}

fn main() -> ExitCode {
    if std::env::var_os("EARLY_THREAD").is_some() {
        std::thread::spawn(|| std::thread::sleep(Duration::from_hours(1)));
    }
    let function = fdk::function().state(|init| {
        shown("the loader's", init);
        Ok::<_, Error>(())
    });
    function.run(answer)
}

async fn answer(cx: Context, Json(ask): Json<Ask>) -> Result<Json<Value>> {
    match ask {
        Ask::Tell => tell(&cx).map(|()| Json(Value::Null)),
        Ask::Panic => panic!("{cx:?}"),
        Ask::Leave { local, others, aborted } => {
            (0..local).for_each(|_| drop(tokio::task::spawn_local(std::future::pending::<()>())));
            (0..others).for_each(|_| drop(tokio::spawn(std::future::pending::<()>())));
            (0..aborted).for_each(|_| tokio::spawn(std::future::pending::<()>()).abort());
            // Awaited, so it outlives nothing.
            Ok(Json(json!(tokio::task::spawn_local(async { 7 }).await?)))
        }
        Ask::Block(count) => {
            let threads = || {
                // Long enough for all that may run at once to do so.
                std::thread::sleep(Duration::from_millis(50));
                std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count)
            };
            let tasks: Vec<_> = (0..count).map(|_| tokio::task::spawn_blocking(threads)).collect();
            let mut most = 0;
            for task in tasks {
                most = most.max(task.await?);
            }
            Ok(Json(json!(most)))
        }
        Ask::Yield => {
            tokio::task::yield_now().await;
            Ok(Json(Value::Null))
        }
        Ask::Variable(name) => Ok(Json(json!(std::env::var(name).ok()))),
    }
}

fn tell(cx: &Context) -> Result<()> {
    shown("the context", cx);
    shown("the call", cx.call());
    shown("the configuration", cx.config());
    shown("the headers", cx.headers());
    shown("the envelope", cx.envelope());
    shown("the request", &cx.http());
    shown("the request's parts", &cx.http().map(|http| http.to_parts().headers));
    shown("the trace", &cx.trace());
    shown("the caller", &cx.caller());
    shown("the client", &cx.client()?);
    let principal = cx.principal().ok_or_else(|| Error::new("there is no principal"))?;
    let mut request = http::Request::get("https://example.com/").body("")?;
    shown("what was signed", &principal.sign(&mut request)?);
    shown("the signed request", &request);
    shown("the principal", principal);
    shown("the identity", &*principal.current()?);
    shown("the layer", &SignLayer::new(principal.clone()));
    shown("the signer", &Signer::from(principal.clone()));
    let password = cx.config().get("DB_PASSWORD").unwrap_or_default();
    shown("the reply", &Reply::new("").header("set-cookie", password)?);
    Ok(())
}

fn shown(what: &str, value: &(impl Debug + ?Sized)) {
    tracing::trace!("{what}: {value:?} {value:#?}");
}
