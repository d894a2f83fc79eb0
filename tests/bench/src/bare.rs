//! What our runtime is measured against: hyper with nothing around it. The whole body is read, then sent back.

use crate::{Result, because};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::path::Path;
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

/// A body on its way to the second thread, and the way back.
type Job = (Bytes, oneshot::Sender<Bytes>);

/// Serves `FN_LISTENER` until it is killed; the handler runs `inline` or on a second `thread`.
pub(crate) fn serve(handler: &str) -> Result<()> {
    let jobs = match handler {
        "inline" => None,
        "thread" => Some(second_thread()?),
        other => return Err(format!("no handler '{other}': inline or thread")),
    };
    let listener = std::env::var("FN_LISTENER").map_err(because("FN_LISTENER"))?;
    let path = Path::new(listener.strip_prefix("unix:").unwrap_or(&listener)).to_path_buf();
    runtime()?.block_on(async {
        // Under another name until it listens: a client that sees the name connects at once.
        let bound = path.with_extension("bare");
        let listener = UnixListener::bind(&bound).map_err(because(bound.display()))?;
        std::fs::rename(&bound, &path).map_err(because(path.display()))?;
        loop {
            let (stream, _) = listener.accept().await.map_err(because("accept"))?;
            let jobs = jobs.clone();
            let service = service_fn(move |request| echo(request, jobs.clone()));
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
        }
    })
}

async fn echo(
    request: Request<Incoming>,
    jobs: Option<mpsc::UnboundedSender<Job>>,
) -> std::result::Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let body = match jobs {
        None => body,
        Some(jobs) => {
            let (answer, answered) = oneshot::channel();
            jobs.send((body, answer))?;
            answered.await?
        }
    };
    let mut response = Response::new(Full::new(body));
    if let Some(content_type) = head.headers.remove(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    Ok(response)
}

/// With a reactor of its own, as any handler needs that waits for a timer or a socket.
fn second_thread() -> Result<mpsc::UnboundedSender<Job>> {
    let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
    let runtime = runtime()?;
    let work = move || {
        runtime.block_on(async {
            while let Some((body, answer)) = queue.recv().await {
                // A caller who left is no failure of the server.
                let _ = answer.send(body);
            }
        });
    };
    std::thread::Builder::new().name("handler".into()).spawn(work).map_err(because("a second thread"))?;
    Ok(jobs)
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().map_err(because("the reactor"))
}
