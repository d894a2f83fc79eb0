//! The accept loop: hyper's HTTP/1 server with keep-alive and no timeout of any kind.
//!
//! A frozen container's clock jumps, so any idle or read timeout would fire at the very moment a call arrives.

use crate::dispatch::Dispatcher;
use crate::listener::Listener;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// The agent forwards whatever headers the caller sent, and hyper's own defaults (100 headers, 400 KiB) are a caller's to
/// exceed; its answer to that, a 431, costs the container. hyper clears room for this many headers at every request, so
/// ten times as many would cost more than all the rest of a call.
const MAX_HEADERS: usize = 1024;
const MAX_HEAD: usize = 2 * 1024 * 1024;

/// Serves until `stop`, then lets calls in flight end.
pub(crate) async fn serve(listener: Listener, dispatcher: Arc<Dispatcher>, stop: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD);
    let mut stop = std::pin::pin!(stop);
    loop {
        let stream = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    // Out of descriptors, say: the connections there are go on, and a later accept may work.
                    tracing::warn!(target: "fdk::server", %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
        };
        let dispatcher = dispatcher.clone();
        let service = service_fn(move |request| {
            let dispatcher = dispatcher.clone();
            async move { Ok::<_, Infallible>(dispatcher.dispatch(request).await) }
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(target: "fdk::server", %error, "connection ended");
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}
