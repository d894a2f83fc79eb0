//! An ordinary HTTP service as a function: an axum router, say, behind a trigger or API Gateway.

use crate::context::Context;
use crate::error::Error;
use crate::handler::Handler;
use crate::reply::Reply;
use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt as _, BodyStream, Full};
use std::error::Error as StdError;
use tower_service::Service;

/// Makes a handler of an HTTP service.
///
/// Behind a trigger or gateway the service sees the caller's method, URL, headers and body, and its status and headers
/// reach the caller. The URL's path is the whole one, trigger or deployment prefix included: `Router::nest` takes it
/// off. A direct call is `POST /` with the headers of the call. The [`Call`](crate::Call) is among the request's
/// extensions, as an `Arc`.
///
/// A body of unknown length is streamed; see [`Reply::stream`].
pub fn router<S, T, B>(service: T) -> impl Handler<S, RouterArgs<S>> + Send
where
    S: 'static,
    T: Service<http::Request<Full<Bytes>>, Response = http::Response<B>> + Clone + Send + 'static,
    T::Error: StdError + Send + Sync + 'static,
    T::Future: 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: StdError + Send + Sync + 'static,
{
    move |context: Context<S>, body: Bytes| answer(service.clone(), context, body)
}

/// What [`router`] makes of its service takes: the arguments and the result of a handler.
pub type RouterArgs<S> = (Context<S>, Bytes, Reply, Error);

async fn answer<S, T, B>(mut service: T, context: Context<S>, body: Bytes) -> Result<Reply, Error>
where
    T: Service<http::Request<Full<Bytes>>, Response = http::Response<B>>,
    T::Error: StdError + Send + Sync + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: StdError + Send + Sync + 'static,
{
    let mut request = http::Request::new(Full::new(body));
    *request.method_mut() = http::Method::POST;
    *request.headers_mut() = context.headers().clone();
    if let Some(http) = context.http() {
        let parts = http.to_parts();
        *request.method_mut() = parts.method;
        *request.uri_mut() = parts.uri;
    }
    request.extensions_mut().insert(context.call().clone());
    std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
    let (head, body) = service.call(request).await?.into_parts();
    let reply = match body.size_hint().exact() {
        Some(_) => Reply::new(body.collect().await?.to_bytes()),
        None => Reply::stream(data(body)),
    };
    let mut reply = reply.status(head.status.as_u16())?;
    reply.headers = head.headers;
    Ok(reply)
}

/// The data of a body; trailers do not survive the platform anyway.
fn data<B>(body: B) -> impl futures_util::Stream<Item = Result<Bytes, B::Error>>
where
    B: Body<Data = Bytes>,
{
    use futures_util::StreamExt as _;
    BodyStream::new(body).filter_map(|frame| {
        std::future::ready(
            frame
                .map(http_body::Frame::into_data)
                .map_or_else(|error| Some(Err(error)), |data| data.ok().map(Ok)),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::router;
    use crate::testing;
    use axum::Json;
    use axum::extract::{Path, Query};
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use axum::routing::{get, post};
    use serde_json::{Value, json};
    use std::collections::HashMap;

    async fn item(Path(id): Path<u32>, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
        Json(json!({"id": id, "query": query}))
    }

    async fn create(Json(body): Json<Value>) -> impl IntoResponse {
        (StatusCode::CREATED, [("location", "/items/7")], Json(body))
    }

    async fn lines() -> axum::body::Body {
        let lines = ["one\n", "two\n"].map(Ok::<_, std::io::Error>);
        axum::body::Body::from_stream(futures_util::stream::iter(lines))
    }

    fn app() -> axum::Router {
        let items = axum::Router::new().route("/items/{id}", get(item)).route("/items", post(create));
        axum::Router::new()
            .nest("/t/app", items)
            .route("/lines", get(lines))
            .route("/", post(|| async { "direct" }))
    }

    #[tokio::test]
    async fn an_axum_app_answers_behind_a_trigger() {
        let function = testing::function(router(app()));
        let read = function.http("GET", "http://h/t/app/items/7?a=b%20c").call().await;
        assert_eq!((read.wire_status(), read.status()), (200, 200));
        assert_eq!(read.json::<Value>(), json!({"id": 7, "query": {"a": "b c"}}));
        let call = function.http("POST", "http://h/t/app/items").header("content-type", "application/json");
        let created = call.body("{\"x\":1}").call().await;
        assert_eq!((created.wire_status(), created.status()), (200, 201));
        assert_eq!(created.header("location"), Some("/items/7"));
        assert_eq!(created.json::<Value>(), json!({"x": 1}));
        assert_eq!(function.http("GET", "http://h/t/app/items/x").call().await.status(), 400);
        assert_eq!(function.http("GET", "http://h/nowhere").call().await.status(), 404);
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_streams_and_a_direct_call_is_a_post() {
        let function = testing::function(router(app()));
        assert_eq!(function.http("GET", "http://h/lines").call().await.text(), "one\ntwo\n");
        assert_eq!(function.body("").call().await.text(), "direct");
    }
}
