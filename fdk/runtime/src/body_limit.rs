//! Reads a request body to its end, and keeps no more of it than is allowed.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;

/// Why there is no body to hand on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It was read and thrown away; both numbers are bytes.
    TooLarge { bytes: u64, limit: u64 },
    /// The connection failed before the end.
    Broken(String),
}

/// The whole body. One above `limit` is still read to its end, without being kept: the reply must wait for it.
pub(crate) async fn read<B>(body: B, limit: Option<u64>) -> Result<Bytes, Unread>
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let mut body = std::pin::pin!(body);
    let limit = limit.unwrap_or(u64::MAX);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut bytes = 0_u64;
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|error| Unread::Broken(error.to_string()))?.into_data() else {
            continue;
        };
        bytes += chunk.len() as u64;
        if bytes > limit {
            (first, rest) = (Bytes::new(), BytesMut::new());
        } else if first.is_empty() {
            // Most bodies come in one piece, which is then never copied.
            first = chunk;
        } else {
            if rest.is_empty() {
                let expected = body.size_hint().lower().min(limit).min(EAGER_ALLOCATION);
                rest.reserve(first.len() + chunk.len() + usize::try_from(expected).unwrap_or_default());
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&chunk);
        }
    }
    match bytes {
        _ if bytes > limit => Err(Unread::TooLarge { bytes, limit }),
        _ if rest.is_empty() => Ok(first),
        _ => Ok(rest.freeze()),
    }
}

/// A declared length is the sender's word: memory beyond this is taken as the bytes come.
const EAGER_ALLOCATION: u64 = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    fn body(chunks: &[&'static str]) -> impl Body<Data = Bytes, Error = String> + use<> {
        let frames: Vec<_> =
            chunks.iter().map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes())))).collect();
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test]
    async fn chunks_are_joined_up_to_the_limit() {
        assert_eq!(read(body(&["ab", "", "c", "def"]), None).await.unwrap(), "abcdef");
        assert_eq!(read(body(&["ab", "cd"]), Some(4)).await.unwrap(), "abcd");
        assert_eq!(
            read(body(&["ab", "cd", "e"]), Some(4)).await,
            Err(Unread::TooLarge { bytes: 5, limit: 4 })
        );
        assert_eq!(read(body(&[]), None).await.unwrap(), "");
    }
}
