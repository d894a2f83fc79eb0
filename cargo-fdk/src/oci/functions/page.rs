//! Lists in pages: filtered, sorted, and `opc-next-page`.

use super::super::{Asked, Fault};
use crate::server::respond::{self, Body};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Response};
use serde_json::Value;

/// The most that a page has; also how many when nobody says.
const MOST: usize = 50;

/// The page of a list that a query asks for.
pub(super) fn of(asked: &Asked<'_>, mut all: Vec<Value>) -> Result<Response<Body>, Fault> {
    let query = &asked.query;
    for (parameter, name) in
        [("displayName", "displayName"), ("id", "id"), ("lifecycleState", "lifecycleState")]
    {
        if let Some(wanted) = query.get(parameter) {
            all.retain(|item| item[name] == wanted);
        }
    }
    let by = query.get("sortBy").unwrap_or("displayName");
    if !["displayName", "timeCreated", "id"].contains(&by) {
        return Err(Fault::invalid("sortBy must be one of timeCreated, id, displayName"));
    }
    let key = |item: &Value| item[by].as_str().unwrap_or_default().to_owned();
    all.sort_by_key(key);
    match query.get("sortOrder") {
        None | Some("ASC") => {}
        Some("DESC") => all.reverse(),
        Some(_) => return Err(Fault::invalid("sortOrder must be one of ASC, DESC")),
    }
    let limit = query.limit(MOST)?;
    let start = match query.get("page") {
        None => 0,
        Some(token) => {
            let invalid = || Fault::invalid("page is none that opc-next-page gave");
            let last = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
            let last = std::str::from_utf8(&last).map_err(|_| invalid())?;
            all.iter().position(|item| item["id"] == last).ok_or_else(invalid)? + 1
        }
    };
    let page: Vec<Value> = all.iter().skip(start).take(limit).cloned().collect();
    let more = start + page.len() < all.len();
    let next = page.last().filter(|_| more).and_then(|last| last["id"].as_str());
    let next = next.map(|id| URL_SAFE_NO_PAD.encode(id));
    let mut response = respond::with_type("application/json", Value::from(page).to_string());
    if let Some(next) = next.and_then(|token| HeaderValue::try_from(token).ok()) {
        response.headers_mut().insert("opc-next-page", next);
    }
    Ok(response)
}
