//! `/v2`: what the Fn CLI lists, creates, inspects, updates and deletes.

use super::respond::{self, Body};
use super::{not_allowed, not_found};
use crate::platform::Platform;
use crate::store::model::{App, Func, Trigger};
use crate::store::{Page, Refusal, Window};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// More than any application, function or trigger is.
const LIMIT: usize = 1024 * 1024;
const INVOKE_ENDPOINT: &str = "fnproject.io/fn/invokeEndpoint";
const HTTP_ENDPOINT: &str = "fnproject.io/trigger/httpEndpoint";

pub(super) async fn answer(
    platform: &Platform,
    kind: &str,
    id: Option<&str>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let known = matches!(kind, "apps" | "fns" | "triggers") && path.split('/').count() <= 4;
    if !known {
        return not_found(&head.method, &path);
    }
    let id = id.filter(|id| !id.is_empty());
    let allowed = match id {
        None => matches!(head.method, Method::GET | Method::POST),
        Some(_) => matches!(head.method, Method::GET | Method::PUT | Method::DELETE),
    };
    if !allowed {
        return not_allowed(&head.method, &path);
    }
    let Ok(body) = Limited::new(body, LIMIT).collect().await else {
        return respond::error(413, "Request content too large");
    };
    let base = format!(
        "http://{}",
        head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost")
    );
    let desk = Desk { platform, query: Query::parse(head.uri.query().unwrap_or_default()), base };
    let answered = match kind {
        "apps" => desk.apps(&head.method, id, &body.to_bytes()),
        "fns" => desk.fns(&head.method, id, &body.to_bytes()),
        _ => desk.triggers(&head.method, id, &body.to_bytes()),
    };
    match answered {
        Ok(Some(value)) => respond::json(&value),
        Ok(None) => {
            let mut response = Response::new(respond::whole(""));
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(refusal) => respond::refused(&refusal),
    }
}

/// What a query asks for; the last of several wins, as nobody sends several.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    name: Option<String>,
    app_id: String,
    fn_id: Option<String>,
    cursor: String,
    per_page: String,
}

impl Query {
    fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match &*key {
                "name" => parsed.name = Some(value).filter(|name| !name.is_empty()),
                "app_id" => parsed.app_id = value,
                "fn_id" => parsed.fn_id = Some(value).filter(|id| !id.is_empty()),
                "cursor" => parsed.cursor = value,
                "per_page" => parsed.per_page = value,
                _ => {}
            }
        }
        parsed
    }

    fn window(&self) -> Result<Window, Refusal> {
        // Go's server fails to decode it, and calls that its own failure.
        Window::parse(&self.cursor, &self.per_page)
            .ok_or_else(|| Refusal::internal("a cursor that is none of ours"))
    }
}

/// Where requests about one thing or several are worked on. No value is an answer too: 204.
struct Desk<'a> {
    platform: &'a Platform,
    query: Query,
    base: String,
}

type Answer = Result<Option<Value>, Refusal>;

impl Desk<'_> {
    fn apps(&self, method: &Method, id: Option<&str>, body: &[u8]) -> Answer {
        let store = &self.platform.store;
        match (method, id) {
            (&Method::GET, None) => shown(&store.apps(self.query.name.as_deref(), &self.query.window()?)),
            (&Method::GET, Some(id)) => shown(&store.app(id)?),
            (&Method::POST, _) => shown(&store.create_app(parse(body)?)?),
            (&Method::PUT, Some(id)) => shown(&store.update_app(id, parse::<App>(body)?)?),
            (_, id) => {
                let id = id.unwrap_or_default();
                let functions = store.funcs(id, None, &Window::whole())?;
                store.delete_app(id)?;
                functions.items.iter().for_each(|func| self.platform.pool.retire(&func.id));
                Ok(None)
            }
        }
    }

    fn fns(&self, method: &Method, id: Option<&str>, body: &[u8]) -> Answer {
        let store = &self.platform.store;
        match (method, id) {
            (&Method::GET, None) => {
                let Query { app_id, name, .. } = &self.query;
                let page = store.funcs(app_id, name.as_deref(), &self.query.window()?)?;
                let items = page.items.into_iter().map(|func| self.callable(func)).collect();
                shown(&Page { items, ..page })
            }
            (&Method::GET, Some(id)) => shown(&self.callable(store.func(id)?)),
            (&Method::POST, _) => shown(&self.callable(store.create_func(parse(body)?)?)),
            (&Method::PUT, Some(id)) => shown(&store.update_func(id, parse::<Func>(body)?)?),
            (_, id) => {
                let id = id.unwrap_or_default();
                store.delete_func(id)?;
                self.platform.pool.retire(id);
                Ok(None)
            }
        }
    }

    fn triggers(&self, method: &Method, id: Option<&str>, body: &[u8]) -> Answer {
        let store = &self.platform.store;
        match (method, id) {
            (&Method::GET, None) => {
                let Query { app_id, fn_id, name, .. } = &self.query;
                let page =
                    store.triggers(app_id, fn_id.as_deref(), name.as_deref(), &self.query.window()?)?;
                let items = page.items.into_iter().map(|trigger| self.reachable(trigger)).collect();
                shown(&Page { items, ..page })
            }
            (&Method::GET, Some(id)) => shown(&self.reachable(store.trigger(id)?)),
            (&Method::POST, _) => shown(&self.reachable(store.create_trigger(parse(body)?)?)),
            (&Method::PUT, Some(id)) => shown(&store.update_trigger(id, parse::<Trigger>(body)?)?),
            (_, id) => store.delete_trigger(id.unwrap_or_default()).map(|()| None),
        }
    }

    /// With the address to call it at.
    fn callable(&self, mut func: Func) -> Func {
        let endpoint = format!("{}/invoke/{}", self.base, func.id);
        func.annotations.insert(INVOKE_ENDPOINT.into(), endpoint.into());
        func
    }

    fn reachable(&self, mut trigger: Trigger) -> Trigger {
        if let Ok(app) = self.platform.store.app(&trigger.app_id) {
            let source = trigger.source.trim_start_matches('/');
            let endpoint = format!("{}/t/{}/{source}", self.base, app.name);
            trigger.annotations.insert(HTTP_ENDPOINT.into(), endpoint.into());
        }
        trigger
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::new(400, "Invalid JSON"))
}

fn shown(value: &impl serde::Serialize) -> Answer {
    serde_json::to_value(value).map(Some).map_err(Refusal::internal)
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn a_query_is_decoded() {
        let query = Query::parse("app_id=01&name=a%20b&cursor=&per_page=5&other=1");
        assert_eq!(query.name.as_deref(), Some("a b"));
        assert_eq!((query.app_id.as_str(), query.per_page.as_str()), ("01", "5"));
        assert_eq!(Query::parse("name="), Query::default());
    }
}
