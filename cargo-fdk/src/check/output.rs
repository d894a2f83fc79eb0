//! What a function prints on one of its streams, byte for byte.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::task::JoinHandle;

/// How much is kept; the rest is read and thrown away, so that the function never blocks on it.
const KEPT: usize = 16 * 1024 * 1024;

/// The bytes of a stream so far.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    /// Reads the stream to its end in the background.
    pub(super) fn collect(mut stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; 8192];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() < KEPT {
                    kept.extend_from_slice(&buffer[..read]);
                }
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    /// Waits until the stream has ended, unless something else holds it open.
    pub(super) async fn ended(&mut self) {
        if let Some(reader) = &mut self.reader {
            let _ = tokio::time::timeout(Duration::from_secs(1), reader).await;
            self.reader = None;
        }
    }

    /// How many bytes there are now: what comes later is [`Output::since`] this.
    pub(super) fn mark(&self) -> usize {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn since(&self, mark: usize) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)[mark..].to_vec()
    }

    /// What came since the mark, once it has what is wanted, or two seconds have passed; and a moment later, for
    /// anything that should not have come.
    pub(super) async fn until(&self, mark: usize, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let began = Instant::now();
        while !wanted(&self.since(mark)) && began.elapsed() < Duration::from_secs(2) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.settled().await;
        self.since(mark)
    }

    /// Gives what was printed a moment to arrive.
    pub(super) async fn settled(&self) {
        tokio::time::sleep(Duration::from_millis(150)).await;
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.since(0)).into_owned()
    }
}

/// Bytes for a message.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut short: String = text.chars().take(160).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}
