//! `actions/invoke`: a call, with what OCI adds to it and takes from it.

use super::{Asked, Fault};
use crate::agent::{self, Call, Reply};
use crate::hop;
use crate::policy::Caller;
use crate::server::respond::{self, Body};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

/// How a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The reply is waited for.
    Sync,
    /// It is not.
    Detached,
}

/// What only the platform says; a caller's own are taken away.
const RESERVED: [&str; 5] = ["oci-", "opc-", "fn-call-", "fn-deadline", "x-b3-"];
/// The caller's proof of who it is, and what was for the platform.
const KEPT_BACK: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::CONTENT_LENGTH,
    header::HOST,
    HeaderName::from_static("is-dry-run"),
    HeaderName::from_static("x-date"),
];

/// Calls a function whose caller may.
pub(super) async fn invoke(
    asked: &Asked<'_>,
    function: &str,
    compartment: &str,
) -> Result<Response<Body>, Fault> {
    let kind = match one_of(asked, "fn-invoke-type", &["sync", "detached"])? {
        Some("detached") => Kind::Detached,
        _ => Kind::Sync,
    };
    let intent = one_of(asked, "fn-intent", &["httprequest", "cloudevent"])?;
    let dry = one_of(asked, "is-dry-run", &["true", "false"])? == Some("true");
    if dry {
        return Ok(Response::new(respond::whole("")));
    }
    let id = crate::id::next();
    let mut headers = headers(asked, compartment);
    for (name, value) in
        [("fn-intent", intent), ("fn-invoke-type", asked.header("fn-invoke-type").and(Some(kind.name())))]
    {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    let call = Call { id: Some(id.clone()), body: asked.body.clone(), headers };
    let mut response = match kind {
        Kind::Sync => {
            let reply = asked.platform.invoke(function, call).await;
            relay(reply.map_err(|fault| translate(&fault))?)
        }
        Kind::Detached => {
            asked.platform.detach(function, call).await.map_err(|fault| translate(&fault))?;
            let mut response = Response::new(respond::whole(""));
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        }
    };
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert("fn-call-id", id);
    }
    Ok(response)
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Detached => "detached",
        }
    }
}

/// A header that has one of a few values, in any case.
fn one_of(asked: &Asked<'_>, name: &str, values: &[&'static str]) -> Result<Option<&'static str>, Fault> {
    let Some(sent) = asked.head.headers.get(name) else { return Ok(None) };
    let known = values.iter().find(|value| sent.as_bytes().eq_ignore_ascii_case(value.as_bytes()));
    known
        .copied()
        .map(Some)
        .ok_or_else(|| Fault::invalid(format!("{name} must be one of {}", values.join(", "))))
}

/// The caller's headers, less those that are not its to send, and those by which the function knows who calls.
fn headers(asked: &Asked<'_>, compartment: &str) -> HeaderMap {
    let tenancy = &asked.tenancy().id;
    let date = asked.head.headers.get("x-date").cloned();
    let mut headers = asked.head.headers.clone();
    hop::strip(&mut headers);
    for name in KEPT_BACK {
        headers.remove(name);
    }
    strip_reserved(&mut headers);
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    let (kind, subject_compartment) = match &asked.caller {
        // A user is in the root.
        Caller::User { .. } => ("user", tenancy),
        Caller::Resource { compartment, .. } => ("resource", compartment),
    };
    set("oci-subject-id", asked.caller.id());
    set("oci-subject-tenancy-id", tenancy);
    set("oci-subject-compartment-id", subject_compartment);
    set("oci-subject-type", kind);
    set("opc-compartment-id", compartment);
    set("opc-request-id", &asked.request_id);
    let trace = uniform(&asked.request_id);
    set("x-b3-traceid", &trace);
    set("x-b3-spanid", &trace);
    if let Some(date) = date {
        headers.insert(header::DATE, date);
    }
    headers
}

/// Takes away what only the platform says. A function believes it, by whichever door the call comes.
pub(crate) fn strip_reserved(headers: &mut HeaderMap) {
    let reserved: Vec<HeaderName> = headers
        .keys()
        .filter(|name| RESERVED.iter().any(|prefix| name.as_str().starts_with(prefix)))
        .cloned()
        .collect();
    for name in reserved {
        headers.remove(name);
    }
}

/// Sixteen digits for the trace.
fn uniform(text: &str) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn relay(reply: Reply) -> Response<Body> {
    let mut response = Response::new(respond::whole(reply.body));
    *response.headers_mut() = reply.headers;
    hop::strip(response.headers_mut());
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}

/// The platform's fault in OCI's words (Functions: Issues invoking functions).
fn translate(fault: &agent::Fault) -> Fault {
    let message = fault.message();
    let code = match fault.status() {
        404 if message.starts_with("pull access denied") => {
            return Fault::new(
                StatusCode::BAD_GATEWAY,
                "FunctionInvokeImageNotAvailable",
                "Failed to pull function image",
            );
        }
        404 => return Fault::not_authorized_or_not_found(),
        503 => "FunctionInvokeServiceUnavailable",
        504 if message.starts_with("Container init") => "FunctionInvokeContainerInitTimeout",
        504 => "FunctionInvokeTimeout",
        502 if message.starts_with("Container failed") => "FunctionInvokeContainerInitFail",
        502 if message == "error receiving function response" => "FunctionInvokeExecutionError",
        502 if message == "invalid function response" => "FunctionInvokeInvalidResponse",
        502 if message == "function response body too large" => "FunctionInvokeResponseBodyTooLarge",
        502 if message == "function response header too large" => "FunctionInvokeResponseHeaderTooLarge",
        502 => "FunctionInvokeExecutionFailed",
        _ => return Fault::internal(fault),
    };
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    Fault::new(status, code, message.to_owned())
}
