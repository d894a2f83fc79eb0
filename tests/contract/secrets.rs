//! No secret is in anything that a function logs: neither of its environment, nor of its identity, nor of a request.

use crate::witness;
use cargo_fdk::agent::Container;
use cargo_fdk::issuer::{Claims, Issuer};
use std::time::{Duration, SystemTime};
use workspace_tests::function;

const PASSWORD: &str = "the-database-password";
const COLLECTOR_KEY: &str = "the-key-of-the-trace-collector";
const PROXY_PASSWORD: &str = "the-password-of-the-proxy";
const PLAIN: &str = "a-value-that-only-its-owner-knows-to-be-secret";

/// Headers of a gateway's call, each with a secret; the names without the first three are a direct call's.
const HEADERS: [(&str, &str); 10] = [
    ("Fn-Intent", "httprequest"),
    ("Fn-Http-Method", "GET"),
    ("Fn-Http-Request-Url", "http://h/t/path?access_token=secret-of-the-url"),
    ("Authorization", "Bearer secret-of-authorization"),
    ("Proxy-Authorization", "Basic secret-of-the-proxy"),
    ("Cookie", "session=secret-of-the-cookie"),
    ("X-Api-Key", "secret-of-a-header"),
    ("Fn-Http-H-Authorization", "Bearer secret-behind-the-gateway"),
    ("Fn-Http-H-Cookie", "session=secret-cookie-behind-the-gateway"),
    ("Fn-Http-H-X-Api-Key", "secret-header-behind-the-gateway"),
];

/// The values of the token and the key themselves, not of their files.
fn identity() -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::open(folder.path()).unwrap();
    let claims = Claims { ttl: Duration::from_hours(1), others: serde_json::Map::new() };
    issuer.rotate(&claims, SystemTime::now()).unwrap();
    let variables = issuer.variables().into_iter().filter(|(name, _)| name != "FDK_ISSUER_KEYS");
    let value = |value: String| std::fs::read_to_string(&value).unwrap_or(value);
    variables.map(|(name, file)| (name, value(file))).collect()
}

#[tokio::test]
async fn nothing_that_a_function_logs_holds_a_secret() {
    let collector = format!("https://collector.example/spans?dataKey={COLLECTOR_KEY}");
    let proxy = format!("http://user:{PROXY_PASSWORD}@127.0.0.1:9");
    let mut spec = witness::spec(&[
        ("FDK_LOG", "trace"),
        ("DB_PASSWORD", PASSWORD),
        ("PLAIN", PLAIN),
        ("OCI_TRACE_COLLECTOR_URL", &collector),
        ("HTTPS_PROXY", &proxy),
    ]);
    let identity = identity();
    spec.config.extend(identity.iter().cloned());
    let mut container = Container::start(&spec).await.unwrap();
    for headers in [&HEADERS[..], &HEADERS[3..]] {
        for (body, status) in [
            ("\"tell\"", 200),
            ("\"panic\"", 502),
            ("\"garbage\"", if headers.len() == 10 { 200 } else { 502 }),
        ] {
            let reply = function::connect(&container).await.call(headers, body.as_bytes()).await;
            assert_eq!(reply.status, status, "{body}: {}", reply.text());
        }
    }
    container.terminate().await.unwrap();
    let log = container.logs().lines().join("\n");
    for there in [
        "DB_PASSWORD",
        "fn-http-h-x-api-key",
        "/t/path",
        "the signed request: Request",
        "the reply: Reply",
        "panicked: Context",
        "unknown variant",
    ] {
        assert!(log.contains(there), "nothing is found in a log without {there}: {log}");
    }

    let mut secrets: Vec<&str> = vec![PASSWORD, COLLECTOR_KEY, PROXY_PASSWORD, PLAIN];
    secrets.extend(HEADERS[2..].iter().filter_map(|(_, value)| value.rsplit([' ', '=']).next()));
    for name in ["OCI_RESOURCE_PRINCIPAL_RPST", "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM"] {
        let (_, value) = identity.iter().find(|(found, _)| found == name).unwrap();
        // A token's parts and a key's lines; what a key begins and ends with is no secret.
        let parts = value.split(['.', '\n']).filter(|part| part.len() > 16 && !part.starts_with("-----"));
        secrets.extend(parts.map(|part| &part[part.len() - 16..]));
    }
    assert!(secrets.len() > 20, "{}", secrets.len());
    for secret in secrets {
        assert!(!log.contains(secret), "{secret:?} is in {log}");
    }
}
