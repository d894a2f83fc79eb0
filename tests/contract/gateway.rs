//! Calls behind a trigger or API Gateway.

use serde_json::json;
use workspace_tests::function;

const GATEWAY: [(&str, &str); 3] = [
    ("Fn-Intent", "httprequest"),
    ("Fn-Http-Method", "PUT"),
    ("Fn-Http-Request-Url", "http://h/t/a?x=1&x=2&y=%20z"),
];

#[tokio::test]
async fn the_request_is_unwrapped() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    let mut headers = GATEWAY.to_vec();
    headers.extend([("Fn-Http-H-Foo", "a"), ("Fn-Http-H-Foo", "b"), ("Fn-Http-H-", "x"), ("Yo", "dawg")]);
    let seen = connection.call(&headers, b"{\"show\":\"headers\"}").await.json();
    assert_eq!(seen, json!({"foo": ["a", "b"]}));
    let http = connection.call(&headers, b"{\"show\":\"context\"}").await.json()["http"].clone();
    assert_eq!(http["method"], "PUT");
    assert_eq!(http["path"], "/t/a");
    assert_eq!(http["query"], json!([["x", "1"], ["x", "2"], ["y", " z"]]));
    // The intent alone is what an InvokeFunction with fn_intent=httprequest sends.
    let http = connection.call(&GATEWAY[..1], b"{\"show\":\"context\"}").await.json()["http"].clone();
    assert_eq!((&http["method"], &http["path"]), (&json!("POST"), &json!("/")));
    // Without it, the rest is whatever a direct caller chose to send.
    let http = connection.call(&GATEWAY[1..], b"{\"show\":\"context\"}").await.json()["http"].clone();
    assert_eq!(http, json!(null));
}

#[tokio::test]
async fn the_reply_is_wrapped() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    let knobs = json!({
        "status": 404, "content_type": "text/html",
        "headers": {"My-Header": ["v1", "v2"], "Fn-Http-H-X": ["single"]},
    });
    let reply = connection.call(&GATEWAY, knobs.to_string().as_bytes()).await;
    assert_eq!((reply.status, reply.header("fn-http-status")), (200, Some("404")));
    assert_eq!(reply.all("fn-http-h-my-header"), ["v1", "v2"]);
    assert_eq!(reply.all("fn-http-h-x"), ["single"]);
    assert_eq!((reply.header("content-type"), reply.header("my-header")), (Some("text/html"), None));
    let plain = connection.call(&GATEWAY, b"{}").await;
    assert_eq!(plain.header("fn-http-status"), Some("200"));
    let direct = connection.call(&[], knobs.to_string().as_bytes()).await;
    assert_eq!((direct.all("my-header").len(), direct.header("fn-http-h-my-header")), (2, None));
}

#[tokio::test]
async fn whose_fault_it_is_decides_what_the_caller_sees() {
    let container = function::start("hello", &[]).await;
    let mut connection = function::connect(&container).await;
    let faulty = connection.call(&GATEWAY, b"{\"nom\":\"Fn\"}").await;
    assert_eq!((faulty.status, faulty.header("fn-http-status")), (200, Some("422")));
    assert_eq!(faulty.header("content-type"), Some("application/json"));
    assert_eq!(faulty.json()["message"], "missing field `name` at line 1 column 12");
    assert_eq!(connection.call(&GATEWAY, b"").await.header("fn-http-status"), Some("400"));
    assert_eq!(connection.call(&GATEWAY, b"\xff").await.header("fn-http-status"), Some("400"));
    // `fn invoke` sends JSON as text/plain, with no intent: 502, since a direct caller gets no other failure.
    assert_eq!(connection.call(&[("Content-Type", "text/plain")], b"{}").await.status, 502);
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    assert_eq!(connection.call(&GATEWAY, b"{\"error\":\"boom\"}").await.status, 502);
    assert_eq!(connection.call(&GATEWAY, b"{\"panic\":\"boom\"}").await.status, 502);
}
