//! Work requests: what became of a change. The newer version of the API tells of each change by one; here a change is done
//! when it is answered.

use super::super::{Asked, Fault};
use crate::server::respond::{self, Body};
use crate::tenancy;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// How many are remembered.
const KEPT: usize = 500;

/// What was changed.
#[derive(Debug, Clone)]
pub(super) struct Entity {
    pub(super) id: String,
    pub(super) compartment: String,
}

/// The last work requests.
#[derive(Debug, Default)]
pub(in super::super) struct WorkRequests {
    /// Each with the id of the caller who asked for it.
    kept: Mutex<VecDeque<(String, Value)>>,
}

/// Adds the work request of a change to its reply, and takes away what that version does not send.
pub(super) fn note(
    asked: &Asked<'_>,
    path: &[&str],
    mut response: Response<Body>,
) -> Result<Response<Body>, Fault> {
    let Some(entity) = response.extensions_mut().remove::<Entity>() else { return Ok(response) };
    let (kind, noun) = match path.first() {
        Some(&"applications") => ("application", "APPLICATION"),
        _ => ("function", "FUNCTION"),
    };
    let (verb, action) = match asked.head.method {
        Method::POST => ("CREATE", "CREATED"),
        Method::PUT => ("UPDATE", "UPDATED"),
        Method::DELETE => ("DELETE", "DELETED"),
        _ => return Ok(response),
    };
    let id = tenancy::new_ocid("fnworkrequest").map_err(|error| Fault::internal(&error))?;
    let now = super::super::object_storage::rfc3339(SystemTime::now());
    let request = json!({
        "id": id, "operationType": format!("{verb}_{noun}"), "status": "SUCCEEDED", "percentComplete": 100.0,
        "compartmentId": entity.compartment, "timeAccepted": now, "timeStarted": now, "timeFinished": now,
        "timeUpdated": now, "resources": [{"entityType": kind, "actionType": action, "identifier": entity.id}],
    });
    let mut kept = asked.oci.work_requests.kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back((asked.caller.id().to_owned(), request));
    if asked.head.method != Method::POST {
        *response.body_mut() = respond::whole("");
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert("opc-work-request-id", id);
    }
    Ok(response)
}

/// A work request, for the caller who asked for it.
pub(super) fn get(asked: &Asked<'_>, id: &str) -> Result<Response<Body>, Fault> {
    let kept = asked.oci.work_requests.kept.lock().unwrap_or_else(PoisonError::into_inner);
    let found = kept.iter().find(|(caller, request)| caller == asked.caller.id() && request["id"] == id);
    let (_, request) = found.ok_or_else(Fault::not_authorized_or_not_found)?;
    Ok(respond::with_type("application/json", request.to_string()))
}
