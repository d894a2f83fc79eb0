//! A service that answers as Object Storage and the vault do: every request's signature is checked by `authenticate`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fdk_principal::{BodyRule, PublicKey, SessionToken, authenticate};
use http::Request;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// What the service holds, how it misbehaves, and what it has seen.
#[derive(Default)]
pub struct Service {
    /// The keys of the issuer whose tokens are taken, a JWKS file.
    pub issuer_keys: PathBuf,
    /// Public keys of users, by key id.
    pub users: HashMap<String, PublicKey>,
    /// Contents, by path: `/n/ns/b/bucket/o/name`, or `/20190301/secretbundles/id`.
    pub contents: BTreeMap<String, Vec<u8>>,
    /// How many requests are answered 401 first.
    pub unauthorised: Mutex<usize>,
    /// Breaks a body off in its middle.
    pub breaks_off: bool,
    /// Each request's method and path, and who signed it or why it was refused.
    pub seen: Mutex<Vec<(String, Result<String, String>)>>,
}

impl Service {
    /// Serves on a port of this machine until the process ends. Returns the base URL.
    pub fn start(self) -> (String, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = Arc::new(self);
        let shared = service.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let service = shared.clone();
                std::thread::spawn(move || while service.answer(&stream).is_some() {});
            }
        });
        (url, service)
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<(String, Result<String, String>)> {
        self.seen.lock().unwrap().clone()
    }

    /// One request and its reply; `None` when the connection is done.
    fn answer(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut request = Request::builder().method(method.as_str()).uri(&target);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            request = request.header(name, value.trim());
        }
        let (head, ()) = request.body(()).ok()?.into_parts();
        let length = head.headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;

        let key = |id: &str| {
            let session = || SessionToken::verify(id, &self.issuer_keys, SystemTime::now()).ok();
            if id.starts_with("ST$") { Some(session()?.key().clone()) } else { self.users.get(id).cloned() }
        };
        let signer = authenticate(&head, &body, BodyRule::UnsignedPut, SystemTime::now(), key);
        let signer = signer.map(str::to_owned).map_err(|denial| denial.code().to_owned());
        self.seen.lock().unwrap().push((format!("{method} {target}"), signer.clone()));
        let mut stream = stream;
        let mut send = |status: &str, body: &[u8], sent: usize| {
            let head = format!(
                "HTTP/1.1 {status}\r\nopc-request-id: req-1\r\nETag: v1\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let whole = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body[..sent]));
            whole.ok().filter(|()| sent == body.len())
        };
        let mut fail = |status: &str, code: &str, message: &str| {
            let body = json!({"code": code, "message": message}).to_string();
            let body = if method == "HEAD" { "" } else { &body };
            send(status, body.as_bytes(), body.len())
        };
        let again = std::mem::replace(&mut *self.unauthorised.lock().unwrap(), 0);
        if again > 0 || signer.is_err() {
            *self.unauthorised.lock().unwrap() = again.saturating_sub(1);
            return fail("401 Unauthorized", "NotAuthenticated", "The required information is missing.");
        }
        if method != "GET" {
            return send("200 OK", b"", 0);
        }
        let Some(content) = self.contents.get(&target) else {
            return fail("404 Not Found", "ObjectNotFound", "not there");
        };
        let range = head.headers.get("range").and_then(|value| value.to_str().ok()?.strip_prefix("bytes="));
        let (status, part) = match range.and_then(|range| range.split_once('-')) {
            None => ("200 OK", &content[..]),
            Some((first, last)) => {
                let last = last.parse().unwrap_or(content.len() - 1).min(content.len() - 1);
                ("206 Partial Content", &content[first.parse().ok()?..=last])
            }
        };
        let written = if self.breaks_off { part.len() / 2 } else { part.len() };
        send(status, part, written)
    }

    /// Adds a secret as the vault shows it.
    #[must_use]
    pub fn secret(mut self, id: &str, content: &str) -> Self {
        let bundle = json!({"secretId": id, "versionNumber": 1, "secretBundleContent":
            {"contentType": "BASE64", "content": STANDARD.encode(content)}});
        self.contents.insert(format!("/20190301/secretbundles/{id}"), bundle.to_string().into_bytes());
        self
    }
}
