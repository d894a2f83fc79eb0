//! What a function prints: kept, and passed on line by line.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// How much of a function's output is kept; the agent keeps 1 MiB of a call's.
const KEPT: usize = 1024 * 1024;

/// The lines a function has printed on stdout and stderr, in the order they came. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: Vec<String>,
    bytes: usize,
}

impl Logs {
    /// Reads a stream to its end in the background. Bytes that are no UTF-8 become U+FFFD.
    pub(crate) fn collect(&self, stream: impl AsyncRead + Unpin + Send + 'static, echo: bool) {
        let logs = self.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                line.clear();
                if echo {
                    use std::io::Write as _;
                    let _ = writeln!(anstream::stderr(), "{text}");
                }
                logs.keep(text);
            }
        });
    }

    fn keep(&self, line: String) {
        let kept = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes < KEPT {
            kept.bytes += line.len();
            kept.lines.push(line);
        }
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).lines.clone()
    }
}
