//! The Fn API, by the traffic of the Fn CLI: the requests of `fn deploy`, `fn invoke`, `fn list`, `fn inspect`, `fn update`,
//! `fn config` and `fn delete`, in their order.

use crate::served::Served;
use cargo_fdk::platform::Settings;
use serde_json::{Value, json};

#[test]
fn what_the_client_asks_in_a_functions_life_is_answered() {
    let state = tempfile::tempdir().unwrap();
    let served = Served::start(state.path(), Settings::default());
    assert_eq!(served.get("/version").json()["version"], env!("CARGO_PKG_VERSION"));
    // fn deploy --create-app
    assert_eq!(served.get("/v2/apps?name=shop").json(), json!({"items": []}));
    let app = served.post("/v2/apps", &json!({"name": "shop", "config": {"A": "app", "B": "app"}})).json();
    assert_eq!(app["id"].as_str().unwrap().len(), 26);
    let app_id = app["id"].as_str().unwrap();
    let fns = format!("/v2/fns?app_id={app_id}&name=f");
    assert_eq!(served.get(&fns).json(), json!({"items": []}));
    let wanted = json!({"name": "f", "app_id": app_id, "image": "misbehave:1", "memory": 64,
        "timeout": 10, "config": {"B": "fn"}, "annotations": null});
    let func = served.post("/v2/fns", &wanted).json();
    assert_eq!((&func["memory"], &func["idle_timeout"]), (&json!(64), &json!(30)));
    let fn_id = func["id"].as_str().unwrap();
    let trigger = json!({"name": "f", "app_id": app_id, "fn_id": fn_id, "type": "http", "source": "/f/deep"});
    let trigger = served.post("/v2/triggers", &trigger).json();
    let at = &trigger["annotations"]["fnproject.io/trigger/httpEndpoint"];
    assert_eq!(at, &json!(format!("{}/t/shop/f/deep", served.url)));
    // fn invoke
    let found = served.get(&fns).json();
    let endpoint = found["items"][0]["annotations"]["fnproject.io/fn/invokeEndpoint"].as_str().unwrap();
    assert_eq!(endpoint, format!("{}/invoke/{fn_id}", served.url));
    let reply = served.invoke(fn_id, "hello");
    assert_eq!((reply.status, reply.text.as_str()), (200, "hello"));
    assert_eq!(reply.headers["fn-call-id"].len(), 26);
    assert_eq!(served.invoke("f", "by name").text, "by name");
    // A trigger: what the function sees, and what of its headers the caller sees.
    let head = served.send("POST", "/t/shop/f/deep?x=1", &[("x-mine", "v"), ("te", "gzip")], "head").text;
    let head = head.to_ascii_lowercase();
    for line in [
        "post /call http/1.1\r\n",
        "fn-http-h-x-mine: v\r\n",
        "fn-http-method: post\r\n",
        "fn-intent: httprequest\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        assert!(head.contains(line), "{line:?} in {head}");
    }
    assert!(head.contains(&format!("fn-http-request-url: {}/t/shop/f/deep?x=1\r\n", served.url)), "{head}");
    assert!(!head.contains("\nte:") && !head.contains("\ncontent-length"), "{head}");
    let reply = served.send("POST", "/t/shop/f/deep", &[], "hop");
    assert_eq!(reply.headers["of-a-gateway"], "1");
    assert!(!reply.headers.contains_key("x-own") && !reply.headers.contains_key("keep-alive"));
    let reply = served.invoke(fn_id, "hop");
    assert!(reply.headers.contains_key("x-own") && !reply.headers.contains_key("keep-alive"));
    // fn config, fn update
    let changed =
        served.put(&format!("/v2/fns/{fn_id}"), &json!({"config": {"B": ""}, "timeout": 20})).json();
    assert_eq!((&changed["config"], &changed["timeout"]), (&json!({}), &json!(20)));
    let changed = served.put(&format!("/v2/apps/{app_id}"), &json!({"config": {"C": "c"}})).json();
    assert_eq!(changed["config"], json!({"A": "app", "B": "app", "C": "c"}));
    // After a restart all is as it was, and the function runs.
    served.stop();
    let served = Served::start(state.path(), Settings::default());
    assert_eq!(served.get(&format!("/v2/apps/{app_id}")).json()["config"]["C"], "c");
    assert_eq!(served.send("POST", "/t/shop/f/deep", &[], "again").text, "again");
    // fn delete
    let gone = |path: String| assert_eq!(served.delete(&path).status, 204, "{path}");
    gone(format!("/v2/triggers/{}", trigger["id"].as_str().unwrap()));
    assert_eq!(served.send("POST", "/t/shop/f/deep", &[], "").error(), (404, "Trigger not found".into()));
    gone(format!("/v2/fns/{fn_id}"));
    assert_eq!(served.invoke(fn_id, "").error(), (404, "Fn not found".into()));
    gone(format!("/v2/apps/{app_id}"));
    assert_eq!(served.get(&format!("/v2/apps/{app_id}")).error(), (404, "App not found".into()));
}

#[test]
fn what_is_wrong_is_refused_in_the_servers_words() {
    let state = tempfile::tempdir().unwrap();
    let served = Served::start(state.path(), Settings::default());
    let app = served.post("/v2/apps", &json!({"name": "a"})).json()["id"].clone();
    for (method, path, body, status, message) in [
        ("GET", "/nowhere", "", 404, "Path not found: GET /nowhere"),
        ("PUT", "/v2/apps", "{}", 405, "Method not allowed: PUT /v2/apps"),
        ("PUT", "/invoke/f", "", 405, "Method not allowed: PUT /invoke/f"),
        ("POST", "/v2/apps", "{", 400, "Invalid JSON"),
        ("POST", "/v2/apps", "{\"name\": 3}", 400, "Invalid JSON"),
        ("POST", "/v2/apps", "{}", 400, "Missing Name"),
        ("POST", "/v2/apps", "{\"name\": \"a\"}", 409, "App already exists"),
        ("POST", "/v2/fns", "{\"name\": \"f\"}", 400, "Missing AppID on Fn"),
        ("POST", "/v2/fns", "{\"name\": \"f\", \"app_id\": \"x\"}", 400, "Missing image on Fn"),
        ("POST", "/v2/fns", "{\"name\":\"f\",\"app_id\":\"x\",\"image\":\"i\"}", 404, "App not found"),
        ("GET", "/v2/fns", "", 400, "Missing AppID on Fn"),
        ("GET", "/v2/triggers", "", 400, "Missing App ID on Trigger"),
        ("POST", "/t/none/x", "", 404, "App not found"),
        ("POST", "/t/a/x", "", 404, "Trigger not found"),
        ("POST", "/invoke/none", "", 404, "Fn not found"),
        ("GET", "/v2/apps?cursor=!", "", 500, "internal server error"),
    ] {
        let answer = match method {
            "GET" => served.get(path),
            _ => served.send(method, path, &[], body),
        };
        assert_eq!(answer.error(), (status, message.to_owned()), "{method} {path} {body}");
        assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
        assert!(answer.text.ends_with("}\n"));
    }
    // A name that no image has is found out by the call, as on the real server by the pull.
    let func = json!({"name": "f", "app_id": app, "image": "no/such:1"});
    let func = served.post("/v2/fns", &func).json();
    let answer = served.invoke(func["id"].as_str().unwrap(), "");
    assert_eq!(answer.error(), (404, "pull access denied for no/such:1".into()));
    assert!(answer.headers.contains_key("fn-call-id"));
}

/// Requests with bytes changed, left out, doubled and cut off, from a seed: the platform answers or hangs up, lives, and has not
/// panicked (which its end tells).
#[test]
fn broken_requests_break_nothing() {
    use std::io::{Read as _, Write as _};
    let state = tempfile::tempdir().unwrap();
    let served = Served::start(state.path(), Settings::default());
    let id = served.function("f", &Value::Null);
    let whole: Vec<Vec<u8>> = [
        ("GET", "/v2/fns?app_id=01&name=f&cursor=Yw&per_page=3".to_owned(), ""),
        ("POST", "/v2/apps".to_owned(), "{\"name\":\"x\",\"config\":{\"a\":\"b\"},\"annotations\":{\"k\":[1]}}"),
        ("PUT", format!("/v2/fns/{id}"), "{\"memory\":64,\"timeout\":-1,\"config\":null}"),
        ("POST", format!("/invoke/{id}"), "hello"),
        ("POST", "/t/app/%2e%2e/x?y".to_owned(), "hello"),
        ("GET", "/page/calls/01".to_owned(), ""),
    ]
    .iter()
    .map(|(method, path, body)| {
        let length = body.len();
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            .into_bytes()
    })
    .collect();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let address = served.url.strip_prefix("http://").unwrap();
    for round in 0..5000 {
        let mut bytes = whole[round % whole.len()].clone();
        for _ in 0..=random(3) {
            if bytes.is_empty() {
                break;
            }
            let place = random(bytes.len());
            match random(4) {
                0 => bytes[place] = u8::try_from(random(256)).unwrap(),
                1 => drop(bytes.remove(place)),
                2 => bytes.truncate(place.max(1)),
                _ => bytes.extend_from_within(place..),
            }
        }
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        assert!(reply.is_empty() || reply.starts_with(b"HTTP/1."), "{reply:?}");
    }
    assert_eq!(served.invoke(&id, "still there").text, "still there");
}

#[test]
fn two_hundred_headers_pass_each_way() {
    use std::io::{Read as _, Write as _};
    let state = tempfile::tempdir().unwrap();
    let served = Served::start(state.path(), Settings::default());
    let id = served.function("f", &Value::Null);
    let more = (0..200).map(|n| format!("X-Mine-{n}: 1\r\n")).collect::<Vec<_>>().concat();
    let mut stream = std::net::TcpStream::connect(served.url.strip_prefix("http://").unwrap()).unwrap();
    write!(
        stream,
        "POST /invoke/{id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 11\r\n{more}\r\nheaders 200"
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    // The body is the head that the function saw.
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let count = |text: &str, name: &str| {
        text.lines().filter(|line| line.to_ascii_lowercase().starts_with(name)).count()
    };
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!((count(head, "x-own-"), count(body, "x-mine-")), (200, 200), "{reply}");
}

#[test]
fn a_detached_call_is_accepted_and_made() {
    let state = tempfile::tempdir().unwrap();
    let served = Served::start(state.path(), Settings::default());
    let id = served.function("f", &Value::Null);
    let answer =
        served.send("POST", &format!("/invoke/{id}"), &[("fn-invoke-type", "detached")], "sleep 200");
    assert_eq!((answer.status, answer.text.as_str()), (202, ""));
    let call = answer.headers["fn-call-id"].to_str().unwrap().to_owned();
    crate::served::until("the call has ended", || {
        served.platform.calls.find(&call).is_some_and(|record| record.status == 200)
    });
}
