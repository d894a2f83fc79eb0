//! The body of a reply on its way out: whole, or chunk by chunk until the deadline.

use crate::calllog::CallLog;
use crate::contract::{Outcome, PLATFORM_BODY_LIMIT};
use crate::error::{Error, Result};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::time::Sleep;

/// What hyper writes.
pub(crate) enum WireBody {
    Whole(Option<Bytes>),
    Chunks(Box<Stream>),
}

pub(crate) struct Stream {
    chunks: mpsc::Receiver<Result<Bytes>>,
    deadline: Option<Pin<Box<Sleep>>>,
    limit: Option<u64>,
    sent: u64,
    log: CallLog,
}

impl WireBody {
    pub(crate) fn whole(body: Bytes) -> Self {
        Self::Whole(Some(body))
    }

    pub(crate) fn chunks(
        chunks: mpsc::Receiver<Result<Bytes>>,
        deadline: Option<Instant>,
        limit: Option<u64>,
        log: CallLog,
    ) -> Self {
        let deadline = deadline.map(|at| Box::pin(tokio::time::sleep_until(at.into())));
        Self::Chunks(Box::new(Stream { chunks, deadline, limit, sent: 0, log }))
    }
}

impl Stream {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        // The deadline first: a stream that always has a chunk ready must end as well.
        if self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready()) {
            let error = Error::timed_out();
            self.broken(&error);
            return Poll::Ready(Some(Err(error)));
        }
        let Some(chunk) = ready!(self.chunks.poll_recv(cx)) else {
            self.log.answered(Outcome::Ok, self.sent);
            return Poll::Ready(None);
        };
        let chunk = chunk.and_then(|chunk| self.count(chunk));
        Poll::Ready(Some(chunk.inspect_err(|error| self.broken(error))))
    }

    fn count(&mut self, chunk: Bytes) -> Result<Bytes> {
        let before = self.sent;
        self.sent += chunk.len() as u64;
        match self.limit {
            Some(limit) if self.sent > limit => Err(Error::new(format!(
                "the reply has reached {} bytes, FDK_MAX_REPLY allows {limit}",
                self.sent
            ))),
            _ => {
                if before <= PLATFORM_BODY_LIMIT && self.sent > PLATFORM_BODY_LIMIT {
                    self.log.oversize(self.sent);
                }
                Ok(chunk)
            }
        }
    }

    /// The head is out, so the only way left to say that the reply is not whole is to break the connection off.
    fn broken(&mut self, error: &Error) {
        let outcome = if error.is_timed_out() { Outcome::TimedOut } else { Outcome::Failed };
        self.log.failed(error, outcome, self.sent);
        self.chunks.close();
    }
}

impl Body for WireBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(body) => {
                Poll::Ready(body.take().filter(|body| !body.is_empty()).map(|body| Ok(Frame::data(body))))
            }
            Self::Chunks(stream) => {
                stream.poll_next(cx).map(|next| next.map(|chunk| chunk.map(Frame::data).map_err(|_| Broken)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(body) if body.as_ref().is_none_or(Bytes::is_empty))
    }

    /// A body that the platform is likely to cut goes out in chunks: the server copies our `Content-Length` onto its
    /// own error otherwise, and the caller sees neither body nor error.
    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => match body.as_ref().map_or(0, |body| body.len() as u64) {
                bytes if bytes > PLATFORM_BODY_LIMIT => SizeHint::default(),
                bytes => SizeHint::with_exact(bytes),
            },
            Self::Chunks(_) => SizeHint::default(),
        }
    }
}

/// The stream failed; the log says how.
#[derive(Debug)]
pub(crate) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the reply broke off")
    }
}

impl std::error::Error for Broken {}
