//! The doors to functions: `/invoke/FUNCTION` and `/t/APP/SOURCE` (`runner_fninvoke.go`, `runner_httptrigger.go`).

use super::respond::{self, Body};
use super::{not_allowed, not_found};
use crate::agent::{Call, Fault};
use crate::platform::{BODY_LIMIT, Platform};
use crate::store::{Refusal, Window};
use crate::{hop, oci, trigger};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;

/// A function by its id, or by its name where one application has it. Beside the OCI side nobody who calls here may say who
/// they are.
pub(super) async fn direct(
    platform: &Arc<Platform>,
    function: &str,
    request: Request<Incoming>,
    beside_oci: bool,
) -> Response<Body> {
    if request.method() != Method::POST {
        return not_allowed(request.method(), request.uri().path());
    }
    let id = match find(platform, function) {
        Ok(id) => id,
        Err(refusal) => return respond::refused(&refusal),
    };
    let (mut head, body) = request.into_parts();
    hop::strip(&mut head.headers);
    if beside_oci {
        oci::strip_reserved(&mut head.headers);
    }
    let call = match received(&head, body).await {
        Ok(body) => call(body, std::mem::take(&mut head.headers)),
        Err(response) => return *response,
    };
    submit(platform, &id, call, |reply| (StatusCode::OK, reply)).await
}

/// The function whose trigger has exactly this source.
pub(super) async fn trigger(
    platform: &Arc<Platform>,
    app: &str,
    source: &str,
    request: Request<Incoming>,
) -> Response<Body> {
    if app.is_empty() {
        return not_found(request.method(), request.uri().path());
    }
    let found = platform.store.app_named(app).and_then(|app| platform.store.trigger_at(&app.id, source));
    let trigger = match found {
        Ok(trigger) => trigger,
        Err(refusal) => return respond::refused(&refusal),
    };
    let (mut head, body) = request.into_parts();
    hop::strip(&mut head.headers);
    let call = match received(&head, body).await {
        Ok(body) => call(body, trigger::encode(&head)),
        Err(response) => return *response,
    };
    submit(platform, &trigger.fn_id, call, |reply| trigger::decode(&reply)).await
}

fn call(body: Bytes, headers: HeaderMap) -> Call {
    Call { id: Some(crate::id::next()), body, headers }
}

async fn submit(
    platform: &Arc<Platform>,
    function: &str,
    call: Call,
    decode: impl FnOnce(HeaderMap) -> (StatusCode, HeaderMap),
) -> Response<Body> {
    let id = call.id.clone().unwrap_or_default();
    let detached = call.headers.get("fn-invoke-type").is_some_and(|kind| kind == "detached");
    let result = if detached {
        platform.detach(function, call).await.map(|()| {
            let mut response = Response::new(respond::whole(""));
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        })
    } else {
        let begun = if platform.streams_replies() {
            let streamed = platform.stream(function, call).await;
            streamed.map(|streamed| (streamed.headers, respond::coming(streamed.body)))
        } else {
            let reply = platform.invoke(function, call).await;
            reply.map(|reply| (reply.headers, respond::whole(reply.body)))
        };
        begun.map(|(headers, body)| {
            let (status, headers) = decode(headers);
            let mut response = Response::new(body);
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            hop::strip(response.headers_mut());
            // The length of what was buffered, not what the function said.
            response.headers_mut().remove(header::CONTENT_LENGTH);
            response
        })
    };
    let mut response = result.unwrap_or_else(|fault: Fault| respond::fault(&fault));
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("fn-call-id", id);
    }
    response
}

/// Reads a body of at most 6 MiB.
async fn received(head: &Parts, mut body: Incoming) -> Result<Bytes, Box<Response<Body>>> {
    let said = head.headers.get(header::CONTENT_LENGTH);
    let said = said.and_then(|length| length.to_str().ok()?.parse::<u64>().ok()).unwrap_or(0);
    let message = if said > BODY_LIMIT as u64 {
        format!("Content-Length too large for this server, {said} > max {BODY_LIMIT}")
    } else {
        match Limited::new(&mut body, BODY_LIMIT).collect().await {
            Ok(body) => return Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => "Request content too large".into(),
            // Nobody reads this: the caller has gone.
            Err(error) => return Err(Box::new(respond::error(400, &error.to_string()))),
        }
    };
    // Who is still sending does not read yet, and would take the end of the connection for the answer.
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = tokio::time::timeout(Duration::from_secs(2), rest).await;
    Err(Box::new(respond::error(413, &message)))
}

/// The real server knows ids alone; a person at a laptop knows names.
fn find(platform: &Platform, function: &str) -> Result<String, Refusal> {
    let unknown = match platform.store.func(function) {
        Ok(func) => return Ok(func.id),
        Err(unknown) => unknown,
    };
    let apps = platform.store.apps(None, &Window::whole()).items;
    let mut named = apps.iter().filter_map(|app| platform.store.func_named(&app.id, function).ok());
    match (named.next(), named.next()) {
        (Some(func), None) => Ok(func.id),
        (None, _) => Err(unknown),
        (Some(_), Some(_)) => Err(Refusal::new(
            409,
            format!(
                "several applications have a function {function}: call it by its id, which fn list functions APP shows"
            ),
        )),
    }
}
