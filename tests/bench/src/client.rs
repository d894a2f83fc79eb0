//! The caller: one prebuilt request, one blocking socket, and no more work than reading the reply takes.

use crate::{Result, because};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Longer than any call of the bench: a peer that hangs must end it.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the agent copies at a time, and so the size of its chunks.
const CHUNK: usize = 32 * 1024;

/// One kept connection.
pub(crate) struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).map_err(because("connect"))?;
        let patient = stream.set_read_timeout(Some(PATIENCE)).and(stream.set_write_timeout(Some(PATIENCE)));
        patient.map_err(because("connect"))?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024] })
    }

    /// Sends the request and reads the reply to its end; its body, when it has status 200.
    pub(crate) fn call(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.stream.write_all(request).map_err(because("send"))?;
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled)?;
            if let Some(end) = find(&self.buffer[..filled], b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head]).map_err(because("the reply's head"))?;
        if !text.starts_with("HTTP/1.1 200 ") {
            return Err(format!("the reply is not 200: {}", text.lines().next().unwrap_or_default()));
        }
        // Every peer knows the length of what it echoes; a peer that does not is not measured wrongly but refused.
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let end = head + length.ok_or("the reply has no Content-Length")?;
        while filled < end {
            filled += self.read(filled)?;
        }
        Ok(&self.buffer[head..end])
    }

    fn read(&mut self, filled: usize) -> Result<usize> {
        if filled == self.buffer.len() {
            self.buffer.resize(2 * filled, 0);
        }
        loop {
            match self.stream.read(&mut self.buffer[filled..]) {
                Ok(0) => return Err("the connection ended inside a reply".into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read.map_err(because("receive")),
            }
        }
    }
}

/// `POST /call` as the agent writes it: chunked, and 30 s from its deadline.
pub(crate) fn request(body: &[u8], content_type: &str) -> Vec<u8> {
    let left = SystemTime::now() + PATIENCE;
    let seconds = left.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let deadline = i64::try_from(seconds).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    let mut request = format!(
        "POST /call HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Go-http-client/1.1\r\n\
         Transfer-Encoding: chunked\r\nContent-Type: {content_type}\r\n\
         Fn-Call-Id: 01J00000000000000000000000\r\nFn-Deadline: {}\r\nAccept-Encoding: gzip\r\n\r\n",
        deadline.unwrap_or_default()
    )
    .into_bytes();
    for chunk in body.chunks(CHUNK) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
