//! One call and its reply, under the agent's rules (`hotSlot.dispatch`, `hotSlot.writeResp`).

use super::request::request;
use super::{Container, Fault};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout_at};

/// A call to make.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// The call's id, where it has one already.
    pub id: Option<String>,
    /// The body; sent in chunks unless empty, as the agent does.
    pub body: Bytes,
    /// The caller's headers.
    pub headers: HeaderMap,
}

/// What the function answered, with a status the agent takes for success.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The call's id.
    pub call_id: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// From the first byte sent to the last received.
    pub took: Duration,
}

/// A reply that has begun: its headers are here, its body comes.
#[derive(Debug)]
pub struct Begun {
    /// The call's id.
    pub call_id: String,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    deadline: Instant,
    left: usize,
}

impl Begun {
    /// The next piece of the body; `None` at its end. A fault is the end too, and one of 504 must cost the container.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let frame = match timeout_at(self.deadline, self.body.frame()).await {
                Err(_) => return Err(late()),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => {
                    return Err(Fault::internal(format!("the reply broke off: {error}")));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers are lost, as on the real server.
            let Ok(data) = frame.into_data() else { continue };
            self.left = self.left.checked_sub(data.len()).ok_or_else(|| {
                Fault::new(502, "function response body too large", "more bytes than a reply may have")
            })?;
            return Ok(Some(data));
        }
    }

    async fn all(&mut self) -> Result<Bytes, Fault> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let mut whole = BytesMut::new();
        while let Some(more) = self.next().await? {
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&more);
        }
        // Most bodies are one piece, which need not be copied.
        Ok(if whole.is_empty() { first } else { whole.freeze() })
    }
}

impl Container {
    /// Calls the function as the agent does. A fault for which the agent kills the container kills it here too.
    pub async fn call(&mut self, call: Call) -> Result<Reply, Fault> {
        let began = Instant::now();
        let mut reply = self.begin(call).await?;
        // A body that breaks off, or is too large, costs the call and not the container.
        let body = reply.all().await.inspect_err(|fault| self.judge(fault))?;
        Ok(Reply { call_id: reply.call_id, headers: reply.headers, body, took: began.elapsed() })
    }

    /// As [`Container::call`], and returns when the reply has begun.
    pub async fn begin(&mut self, mut call: Call) -> Result<Begun, Fault> {
        let call_id = call.id.take().unwrap_or_else(crate::id::next);
        let request = request(&self.socket, &call_id, SystemTime::now() + self.timeout, call);
        self.call_logs = self.logs.begin_call();
        let deadline = Instant::now() + self.timeout;
        let response = match timeout_at(deadline, self.client.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                self.kill();
                return Err(lost(&error));
            }
            Err(_) => {
                self.kill();
                return Err(late());
            }
        };
        let (head, body) = response.into_parts();
        let mut begun = Begun { call_id, headers: head.headers, body, deadline, left: self.reply_limit };
        let fault = match head.status {
            StatusCode::OK => return Ok(begun),
            StatusCode::BAD_GATEWAY => Fault::new(502, "function failed", ""),
            StatusCode::GATEWAY_TIMEOUT => Fault::new(504, "Timed out", ""),
            other => {
                let detail =
                    format!("status {other}, where only 200, 502 and 504 are allowed; it was killed");
                Fault::new(502, "invalid function response", detail)
            }
        };
        let said = begun.all().await.inspect_err(|fault| self.judge(fault));
        if fault.message() == "invalid function response" {
            self.kill();
        }
        Err(fault.with_body(said.unwrap_or_default()))
    }

    /// Kills the container where a fault of the reply's body demands it.
    pub(crate) fn judge(&self, fault: &Fault) {
        if fault.status() == 504 {
            self.kill();
        }
    }
}

fn late() -> Fault {
    Fault::new(504, "Timed out", "it did not answer in time and was killed, its state with it")
}

fn lost(error: &hyper_util::client::legacy::Error) -> Fault {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large) {
            return Fault::new(502, "function response header too large", cause.to_string());
        }
    }
    Fault::new(502, "error receiving function response", cause.to_string())
}
