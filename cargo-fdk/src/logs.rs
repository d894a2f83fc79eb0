//! What a function prints: kept, and passed on line by line.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::sync::watch;

/// How much of a function's output is kept; the agent keeps 1 MiB of a call's (`FN_MAX_LOG_SIZE_BYTES`).
const KEPT: usize = 1024 * 1024;
/// What follows the last line that is kept, word for word the agent's.
const TRUNCATED: &str = "-----max log size 1048576 bytes exceeded, truncating log-----";
/// A longer line is cut, as docker's is.
const LINE: u64 = 16 * 1024;
/// How much of the output before all calls, and of calls of old, a container keeps.
const CALLS: usize = 64;

/// The lines a function has printed on stdout and stderr, in the order they came. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    kept: Arc<Mutex<Kept>>,
    /// How many streams have not ended.
    open: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Kept {
    /// What was printed before a call, and during each; the last one grows.
    parts: VecDeque<Arc<Mutex<Part>>>,
}

#[derive(Debug, Default)]
struct Part {
    lines: Vec<String>,
    bytes: usize,
}

/// What was printed from the beginning of a call to that of the next. Grows while its container runs.
#[derive(Debug, Clone, Default)]
pub struct CallLogs(Arc<Mutex<Part>>);

impl CallLogs {
    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lines.clone()
    }
}

impl Logs {
    /// Reads a stream to its end in the background. Bytes that are no UTF-8 become U+FFFD.
    pub(crate) fn collect(&self, stream: impl AsyncRead + Unpin + Send + 'static, echo: bool) {
        let logs = self.clone();
        self.open.send_modify(|open| *open += 1);
        tokio::spawn(async move {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while (&mut reader).take(LINE).read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                line.clear();
                if let Some(text) = logs.keep(text).filter(|_| echo) {
                    use std::io::Write as _;
                    let _ = writeln!(anstream::stderr(), "{text}");
                }
            }
            logs.open.send_modify(|open| *open -= 1);
        });
    }

    /// Waits for all that an ended process printed: its end is known before its last lines are read. Not for long, since
    /// a child that it left behind may hold its pipes open.
    pub(crate) async fn read_to_end(&self) {
        let mut open = self.open.subscribe();
        let _ = tokio::time::timeout(Duration::from_secs(1), open.wait_for(|open| *open == 0)).await;
    }

    /// A call begins: what is printed from now on is its own.
    pub(crate) fn begin_call(&self) -> CallLogs {
        let kept = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.parts.len() == CALLS {
            // The first, which tells how it started, stays.
            kept.parts.remove(1);
        } else if kept.parts.is_empty() {
            kept.parts.push_back(Arc::default());
        }
        let part = Arc::<Mutex<Part>>::default();
        kept.parts.push_back(part.clone());
        CallLogs(part)
    }

    /// Keeps a line while there is room. Returns what is to be seen of it.
    fn keep(&self, line: String) -> Option<String> {
        let part = {
            let kept = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.parts.is_empty() {
                kept.parts.push_back(Arc::default());
            }
            kept.parts.back()?.clone()
        };
        let part = &mut *part.lock().unwrap_or_else(PoisonError::into_inner);
        if part.bytes > KEPT {
            return None;
        }
        part.bytes += line.len() + 1;
        let line = if part.bytes > KEPT { TRUNCATED.to_owned() } else { line };
        part.lines.push(line.clone());
        Some(line)
    }

    /// The lines so far, less those of calls of old.
    pub fn lines(&self) -> Vec<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = kept.parts.iter();
        parts.flat_map(|part| part.lock().unwrap_or_else(PoisonError::into_inner).lines.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flood_is_cut_and_the_next_call_has_room_again() {
        let logs = Logs::default();
        let flood = vec![b'x'; 3 * KEPT];
        let first = logs.begin_call();
        logs.collect(std::io::Cursor::new(flood), false);
        logs.read_to_end().await;
        let lines = first.lines();
        assert_eq!(lines.last().map(String::as_str), Some(TRUNCATED));
        assert!(lines.iter().map(String::len).sum::<usize>() <= KEPT + TRUNCATED.len());
        let second = logs.begin_call();
        logs.collect(std::io::Cursor::new("after\n"), false);
        logs.read_to_end().await;
        assert_eq!(second.lines(), ["after"]);
        assert_eq!(logs.lines().last().map(String::as_str), Some("after"));
    }
}
