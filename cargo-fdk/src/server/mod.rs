//! The platform's HTTP side: which path leads to which door.

mod control;
mod invoke;
mod origin;
mod page;
pub mod respond;

use crate::agent::MAX_HEADERS;
use crate::oci::Oci;
use crate::platform::Platform;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use respond::Body;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Which doors are open besides those of the Fn server.
#[derive(Debug, Clone, Default)]
pub struct Doors {
    /// The OCI side.
    pub oci: Option<Arc<Oci>>,
    /// Whether the Fn server's are closed: they let everybody in.
    pub no_fn: bool,
}

/// Serves until `stopped`; then calls in flight have a moment to end.
pub async fn serve(
    listener: TcpListener,
    platform: Arc<Platform>,
    doors: Doors,
    stopped: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let mut stopped = std::pin::pin!(stopped);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, mostly: those in use come back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (platform, doors) = (platform.clone(), doors.clone());
        let service = service_fn(move |request| {
            let (platform, doors) = (platform.clone(), doors.clone());
            async move { Ok::<_, Infallible>(answer(&platform, &doors, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(hyper_util::rt::TokioTimer::new())
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        // A caller who breaks off is no failure of ours.
        tokio::spawn(graceful.watch(connection));
    }
    let _ = tokio::time::timeout(Duration::from_secs(1), graceful.shutdown()).await;
}

async fn answer(platform: &Arc<Platform>, doors: &Doors, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if let Some(oci) = doors.oci.as_ref().filter(|_| Oci::has(&path)) {
        return oci.answer(platform, request).await;
    }
    let mut parts = path.split('/').skip(1);
    if doors.no_fn && matches!(parts.clone().next(), Some("invoke" | "t" | "v2")) {
        return respond::error(
            401,
            "with --oci callers sign their requests; --with-fn-api lets everybody in as well",
        );
    }
    match (parts.next().unwrap_or_default(), parts.next(), parts.next()) {
        ("invoke", Some(function), None) => {
            invoke::direct(platform, function, request, doors.oci.is_some()).await
        }
        ("t", Some(app), _) => {
            let source = path.get("/t/".len() + app.len()..).filter(|rest| !rest.is_empty());
            invoke::trigger(platform, app, source.unwrap_or("/"), request).await
        }
        ("v2" | "page" | "", ..) if !origin::is_own(request.headers()) => {
            respond::error(403, "only pages of this platform may ask for this")
        }
        ("v2", Some(kind), id) => control::answer(platform, kind, id, request).await,
        ("version", None, _) => respond::json(&serde_json::json!({"version": env!("CARGO_PKG_VERSION")})),
        ("page", Some(_), _) => page::answer(platform, doors, &request.into_parts().0),
        ("", None, _) if page::is_wanted(request.headers()) => {
            page::answer(platform, doors, &request.into_parts().0)
        }
        ("", None, _) => {
            respond::json(&serde_json::json!({"goto": "https://github.com/fnproject/fn", "hello": "world!"}))
        }
        _ => not_found(request.method(), &path),
    }
}

pub(crate) fn not_found(method: &http::Method, path: &str) -> Response<Body> {
    respond::error(404, &format!("Path not found: {method} {path}"))
}

pub(crate) fn not_allowed(method: &http::Method, path: &str) -> Response<Body> {
    respond::error(405, &format!("Method not allowed: {method} {path}"))
}
