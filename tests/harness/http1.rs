//! HTTP/1.1 over a unix socket, written out: what a test sends and reads here is what is on the wire.

use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<UnixStream>,
}

/// A response as it came.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Header names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Connection {
    /// Connects.
    pub async fn open(socket: &Path) -> Self {
        Self { stream: BufReader::new(UnixStream::connect(socket).await.unwrap()) }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends what the peer takes; it may have had enough before the end.
    pub async fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Sends no more, and still reads.
    pub async fn close_write(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// A call with a body of known length and these headers, 30 s from its deadline unless they say otherwise.
    pub async fn call(&mut self, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.send(&request(headers, body)).await;
        self.response().await.unwrap_or_else(|why| panic!("{why}"))
    }

    /// Reads one response; the error says how far it came.
    pub async fn response(&mut self) -> Result<Response, String> {
        let mut status = 100;
        let mut headers = Vec::new();
        // An interim response comes before the real one.
        while status == 100 {
            headers.clear();
            let line = self.line().await?;
            status = line
                .split(' ')
                .nth(1)
                .and_then(|code| code.parse().ok())
                .ok_or(format!("no status: {line:?}"))?;
            loop {
                let line = self.line().await?;
                let Some((name, value)) = line.split_once(':') else { break };
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let mut response = Response { status, headers, body: Vec::new() };
        if let Some(length) = response.header("content-length") {
            response.body = vec![0; length.parse().map_err(|_| format!("length {length:?}"))?];
            self.stream.read_exact(&mut response.body).await.map_err(|error| format!("body: {error}"))?;
        } else if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.line().await?;
                let size = usize::from_str_radix(&line, 16).map_err(|_| format!("chunk size {line:?}"))?;
                let start = response.body.len();
                response.body.resize(start + size, 0);
                self.stream
                    .read_exact(&mut response.body[start..])
                    .await
                    .map_err(|error| format!("chunk: {error}"))?;
                self.line().await?;
                if size == 0 {
                    break;
                }
            }
        }
        Ok(response)
    }

    /// Whether a byte comes within `limit`.
    pub async fn has_input(&mut self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.stream.fill_buf()).await.is_ok()
    }

    async fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        let read =
            self.stream.read_until(b'\n', &mut line).await.map_err(|error| format!("line: {error}"))?;
        if read == 0 {
            return Err("the connection ended".into());
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

/// The bytes of a call.
pub fn request(headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let soon = deadline(Duration::from_secs(30));
    let own = [("Host", "localhost"), ("Fn-Call-Id", "01CTEST"), ("Fn-Deadline", soon.as_str())];
    let given = |name: &str| headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
    let own = own.iter().filter(|(name, _)| !given(name));
    let lines: String = own.chain(headers).flat_map(|(name, value)| [*name, ": ", *value, "\r\n"]).collect();
    let head = format!("POST /call HTTP/1.1\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A deadline so far from now, in whole seconds, as the agent writes it.
pub fn deadline(left: Duration) -> String {
    let at = SystemTime::now() + left;
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    // Civil time from days, after Howard Hinnant's `civil_from_days`.
    let (days, rest) = (i64::try_from(seconds / 86_400).unwrap() + 719_468, seconds % 86_400);
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}
