//! Thousands of changes of a signed request.

use crate::endpoint::{EVERYTHING, Endpoint};
use fdk_principal::Payload;
use http::Request;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};
use workspace_tests::not_run::rounds;

/// Changes of a signed request after which it is no longer what was signed.
struct Mutator(u64);

impl Mutator {
    fn next(&mut self, below: usize) -> usize {
        // xorshift64: the same run of numbers each time.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(below).unwrap()).unwrap()
    }

    /// Another character, of those that headers and paths have.
    fn spoil(&mut self, text: &str) -> String {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=+,\"$";
        let mut bytes = text.as_bytes().to_vec();
        let at = self.next(bytes.len());
        match self.next(4) {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, LETTERS[self.next(LETTERS.len())]),
            _ => loop {
                let letter = LETTERS[self.next(LETTERS.len())];
                if letter != bytes[at] {
                    bytes[at] = letter;
                    break;
                }
            },
        }
        String::from_utf8(bytes).unwrap()
    }
}

#[test]
fn thousands_of_hostile_requests_reach_no_function() {
    let endpoint = Endpoint::start(EVERYTHING, &["examples/probe"], |_| {});
    let probe = endpoint.create("probe:0.0.1", 128, &json!({}));
    let calls = || endpoint.invoke(&probe, &json!({"show": "context"})).1["calls"].as_u64().unwrap();
    let before = calls();

    let path = format!("/20181201/functions/{probe}/actions/invoke");
    let body = br#"{"show": "context"}"#;
    let request = Request::post(format!("{}{path}", endpoint.url)).header("content-type", "application/json");
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    endpoint.key.sign_head(&mut head, Payload::Bytes(body), SystemTime::now()).unwrap();
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let host = endpoint.url.strip_prefix("http://").unwrap();
    let mut mutator = Mutator(0x9e37_79b9_7f4a_7c15);
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    let mut sent = 0;
    let wanted = rounds(10_000);
    while sent < wanted {
        let (mut method, mut path, mut headers, mut body) =
            ("POST", path.clone(), headers.clone(), body.to_vec());
        let at = mutator.next(headers.len());
        match mutator.next(8) {
            0 => path = mutator.spoil(&path),
            1 => method = ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"][mutator.next(6)],
            2 => drop(headers.remove(at)),
            3 => headers.push(headers[at].clone()),
            4 => {
                let at = mutator.next(body.len());
                body[at] ^= 1 << mutator.next(7);
            }
            _ => headers[at].1 = mutator.spoil(&headers[at].1),
        }
        // What HTTP does not tell apart is no change: white space around a value, the same length twice.
        let lengths = headers.iter().filter(|(name, _)| name == "content-length").count();
        if headers.iter().all(|(_, value)| value.trim() == value) && lengths < 2 {
            *statuses.entry(send(host, method, &path, &headers, &body)).or_default() += 1;
            sent += 1;
        }
    }
    assert!(statuses.keys().all(|status| matches!(status, 0 | 400..=499)), "{statuses:?}");
    assert!(statuses[&401] > wanted * 8 / 10, "{statuses:?}");
    // One is the count's own; a container that waited long is followed by another, which begins anew.
    assert!(calls() <= before + 1, "{statuses:?}");
}

/// The body is as large as an object may be, and never comes.
#[test]
fn who_does_not_sign_is_refused_without_the_body() {
    let endpoint = Endpoint::start("# nobody", &["examples/hello"], |_| {});
    let host = endpoint.url.strip_prefix("http://").unwrap();
    let put = "PUT /n/local/b/models/o/x HTTP/1.1";
    let unsigned = format!("host: {host}\r\n");
    // By a key that nobody has, and for another object.
    let mut signed = vec![unsigned.clone(), format!("{unsigned}authorization: Signature version=\"1\"\r\n")];
    for (path, id) in [("x", "nobody"), ("y", endpoint.key.key_id())] {
        let uri = format!("{}/n/local/b/models/o/{path}", endpoint.url);
        let (mut head, ()) = Request::put(uri).body(()).unwrap().into_parts();
        endpoint.key.sign_head(&mut head, Payload::Unsigned, SystemTime::now()).unwrap();
        let lines =
            head.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
        signed.push(lines.collect::<String>().replace(endpoint.key.key_id(), id));
    }
    for lines in signed {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let head = format!("{put}\r\n{lines}content-length: 536870912\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut reply = [0; 12];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"HTTP/1.1 401", "{lines}");
    }
}

/// Byte for byte the same: signatures have no number that is used once, so it is the date that ends a request's time.
#[test]
fn a_captured_request_is_taken_again_within_five_minutes_and_not_after() {
    let endpoint = Endpoint::start(EVERYTHING, &["examples/hello"], |_| {});
    let host = endpoint.url.strip_prefix("http://").unwrap();
    let path = format!("/20181201/applications?compartmentId={}", endpoint.compartment());
    let (mut head, ()) = Request::get(format!("{}{path}", endpoint.url)).body(()).unwrap().into_parts();
    // Captured so many seconds ago. What decides at the very second is in the tests of fdk-principal, whose clock is an argument.
    let mut captured = |seconds: u64| {
        let dated = SystemTime::now() - Duration::from_secs(seconds);
        head.headers.clear();
        endpoint.key.sign_head(&mut head, Payload::Bytes(b""), dated).unwrap();
        let headers = head.headers.iter();
        let mut headers: Vec<(String, String)> =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        headers.push(("content-length".into(), "0".into()));
        [(); 2].map(|()| send(host, "GET", &path, &headers, b""))
    };
    assert_eq!(captured(200), [200, 200]);
    assert_eq!(captured(302), [401, 401]);
}

/// Sends a request as it is written, on a connection of its own; 0 when there is no reply.
fn send(host: &str, method: &str, path: &str, headers: &[(String, String)], body: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let lines: String = headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
    let head = format!("{method} {path} HTTP/1.1\r\n{lines}connection: close\r\n\r\n");
    // It may have had enough before the end.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    // Who promised more than it has would be waited for; who has sent all is answered only while it stays.
    let promised = headers.iter().find(|(name, _)| name == "content-length");
    if promised.and_then(|(_, length)| length.parse().ok()).is_none_or(|length: usize| length > body.len()) {
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    String::from_utf8_lossy(&reply).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}
