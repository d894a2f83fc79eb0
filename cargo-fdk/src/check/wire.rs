//! HTTP/1.1 written out byte by byte, so that what is partial or malformed can be sent, and what is on the wire be seen.

use serde_json::Value;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// How long a reply may take, and a write may block. No function needs this long for what is asked here; a loaded
/// machine might.
pub(super) const REPLY_LIMIT: Duration = Duration::from_secs(15);

/// A request as the agent writes it, unless told otherwise.
#[derive(Debug, Clone)]
pub(super) struct Request {
    line: String,
    /// What the agent sets; a header of the same name replaces it.
    usual: Vec<(String, Vec<u8>)>,
    more: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    framing: Framing,
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length,
    /// In chunks of at most this many bytes.
    Chunks(usize),
}

impl Request {
    /// `POST /call`, 30 s from its deadline; the body in one chunk, or of length zero, as the agent sends it.
    pub(super) fn new(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let usual = [
            ("Host", "localhost".to_owned()),
            ("User-Agent", "Go-http-client/1.1".to_owned()),
            ("Content-Type", content_type.to_owned()),
            ("Fn-Call-Id", next_id()),
            ("Fn-Deadline", deadline(Duration::from_secs(30))),
        ];
        let framing = if body.is_empty() { Framing::Length } else { Framing::Chunks(usize::MAX) };
        Self {
            line: "POST /call".into(),
            usual: usual.into_iter().map(|(name, value)| (name.into(), value.into_bytes())).collect(),
            more: Vec::new(),
            body,
            framing,
        }
    }

    /// What the probe is asked to do.
    #[expect(clippy::needless_pass_by_value, reason = "it is always a json! literal")]
    pub(super) fn ask(knobs: Value) -> Self {
        Self::new("application/json", knobs.to_string())
    }

    pub(super) fn to(mut self, line: &str) -> Self {
        self.line = line.into();
        self
    }

    /// Adds a header; one that the agent always sets is replaced.
    pub(super) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self = self.without(name);
        self.more.push((name.into(), value.as_ref().into()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.usual.retain(|(usual, _)| !usual.eq_ignore_ascii_case(name));
        self
    }

    pub(super) fn sized(mut self) -> Self {
        self.framing = Framing::Length;
        self
    }

    pub(super) fn in_chunks(mut self, bytes: usize) -> Self {
        self.framing = Framing::Chunks(bytes);
        self
    }

    /// The request line, the headers and the empty line.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = format!("{} HTTP/1.1\r\n", self.line).into_bytes();
        for (name, value) in self.usual.iter().chain(&self.more) {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        head.extend(match self.framing {
            Framing::Length => format!("Content-Length: {}\r\n\r\n", self.body.len()).into_bytes(),
            Framing::Chunks(_) => b"Transfer-Encoding: chunked\r\n\r\n".to_vec(),
        });
        head
    }

    /// All of it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        match self.framing {
            Framing::Length => bytes.extend(&self.body),
            Framing::Chunks(size) => {
                self.body.chunks(size).for_each(|piece| bytes.extend(chunk(piece)));
                bytes.extend(b"0\r\n\r\n");
            }
        }
        bytes
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

/// One chunk of a chunked body.
pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A deadline so far from now, in whole seconds, as the agent writes it.
pub(super) fn deadline(left: Duration) -> String {
    let at = (SystemTime::now() + left).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let at = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    at.unwrap_or_default().to_string()
}

fn next_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("01CHECK{:019}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A reply as it came.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    /// Whether `100 Continue` came first.
    pub(super) continued: bool,
    /// Names in lower case, in the order they came.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Response {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(super) fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body)
            .map_err(|_| format!("expected a JSON body, got {} ({})", self.shown(), self.status))
    }

    /// The body for a message: its beginning.
    pub(super) fn shown(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.body[..self.body.len().min(120)]).into_owned();
        if self.body.len() > 120 {
            text.push('…');
        }
        format!("{text:?}")
    }
}

/// One connection to a function.
#[derive(Debug)]
pub(super) struct Connection {
    stream: BufReader<UnixStream>,
}

impl Connection {
    pub(super) async fn open(socket: &Path) -> std::io::Result<Self> {
        Ok(Self { stream: BufReader::new(UnixStream::connect(socket).await?) })
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        match tokio::time::timeout(REPLY_LIMIT, self.stream.write_all(bytes)).await {
            Ok(sent) => sent.map_err(|error| format!("cannot send the request: {error}")),
            Err(_) => Err(format!("the request was not read within {} s", REPLY_LIMIT.as_secs())),
        }
    }

    pub(super) async fn call(&mut self, request: &Request) -> Result<Response, String> {
        let sent = self.send(&request.bytes()).await;
        match self.response().await {
            Ok(response) => Ok(response),
            // A peer that answered early and hung up: the write's failure says more than the read's.
            Err(why) => Err(sent.err().unwrap_or(why)),
        }
    }

    /// Reads one reply, to the end of its body.
    pub(super) async fn response(&mut self) -> Result<Response, String> {
        tokio::time::timeout(REPLY_LIMIT, self.read())
            .await
            .unwrap_or_else(|_| Err(format!("no complete reply within {} s", REPLY_LIMIT.as_secs())))
    }

    async fn read(&mut self) -> Result<Response, String> {
        let mut head = self.head().await?;
        let continued = head.0 == 100;
        while head.0 == 100 {
            head = self.head().await?;
        }
        let (status, headers) = head;
        let mut response = Response { status, continued, headers, body: Vec::new() };
        let (lengths, encodings) = (response.all("content-length"), response.all("transfer-encoding"));
        match (&lengths[..], &encodings[..]) {
            ([length], []) => {
                let length = length.parse().map_err(|_| format!("Content-Length is {length:?}"))?;
                response.body = self.exactly(length).await?;
            }
            ([], ["chunked"]) => response.body = self.chunks().await?,
            ([], []) => {
                let read = self.stream.read_to_end(&mut response.body).await;
                read.map_err(|error| format!("the reply broke off: {error}"))?;
            }
            _ => {
                return Err(format!("Content-Length {lengths:?} beside Transfer-Encoding {encodings:?}"));
            }
        }
        Ok(response)
    }

    async fn head(&mut self) -> Result<(u16, Vec<(String, String)>), String> {
        let line = self.line().await?;
        let mut words = line.split(' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|status| status.parse().ok());
        let (true, Some(status)) = (version.starts_with("HTTP/1."), status) else {
            return Err(format!("the reply begins with {line:?}, which is not HTTP/1.1"));
        };
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok((status, headers));
            }
            let (name, value) = line.split_once(':').ok_or(format!("{line:?} is no header"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, String> {
        let mut body = vec![0; length];
        match self.stream.read_exact(&mut body).await {
            Ok(_) => Ok(body),
            Err(error) => Err(format!("the reply's body broke off, {length} bytes were announced: {error}")),
        }
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await.map_err(|why| format!("the reply's chunks broke off: {why}"))?;
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16)
                .map_err(|_| format!("{line:?} is no chunk size"))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.exactly(size).await?);
            let end = self.line().await?;
            if !end.is_empty() {
                return Err(format!("{end:?} follows a chunk of {size} bytes"));
            }
        }
    }

    /// Whether a byte, or the connection's end, comes within `limit`.
    pub(super) async fn has_input(&mut self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.stream.fill_buf()).await.is_ok()
    }

    async fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        let read = self.stream.read_until(b'\n', &mut line).await;
        match read.map_err(|error| format!("the connection broke: {error}"))? {
            0 => Err("the connection was closed before a reply".into()),
            _ => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
        }
    }
}
