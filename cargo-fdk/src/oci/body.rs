//! The body of a request: how much of it is held in memory, and what is not read at all.

use super::{Fault, Service};
use crate::platform::BODY_LIMIT;
use bytes::Bytes;
use fdk_principal::BodyRule;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use std::time::Duration;

/// The largest object that can be put: it is held in memory until its hash is checked.
const OBJECT_LIMIT: usize = 512 * 1024 * 1024;

/// How a body is signed, and how large it may be. An object that is put may be large, and nothing else.
pub(super) fn rules(service: Service, method: &Method, rest: &str) -> (BodyRule, usize) {
    match service {
        Service::ObjectStorage if method == Method::PUT && is_object(rest) => {
            (BodyRule::UnsignedPut, OBJECT_LIMIT)
        }
        Service::ObjectStorage => (BodyRule::UnsignedPut, BODY_LIMIT),
        Service::Functions(_) | Service::Secrets => (BodyRule::Signed, BODY_LIMIT),
    }
}

/// Whether it is `NAMESPACE/b/BUCKET/o/OBJECT`.
fn is_object(rest: &str) -> bool {
    let mut parts = rest.splitn(5, '/');
    let (namespace, b, bucket, o, object) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
    let named = |part: Option<&str>| part.is_some_and(|part| !part.is_empty());
    b == Some("b") && o == Some("o") && named(namespace) && named(bucket) && named(object)
}

/// Reads a body of at most so many bytes.
pub(super) async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, Fault> {
    let collected = Limited::new(&mut body, limit).collect().await;
    if let Ok(whole) = collected {
        return Ok(whole.to_bytes());
    }
    pass_over(body).await;
    Err(Fault::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "FunctionInvokeRequestContentTooLarge",
        "Request content too large",
    ))
}

/// Throws away what comes, for a moment. Who is still sending does not read yet, and would take the end of the connection
/// for the answer.
pub(super) async fn pass_over(mut body: Incoming) {
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = tokio::time::timeout(Duration::from_secs(2), rest).await;
}

#[cfg(test)]
mod tests {
    use super::super::Version;
    use super::*;

    #[test]
    fn only_an_object_that_is_put_may_be_large() {
        let limit = |method: Method, rest: &str| rules(Service::ObjectStorage, &method, rest).1;
        assert_eq!(limit(Method::PUT, "ns/b/models/o/a%2Fb"), OBJECT_LIMIT);
        for (method, rest) in [
            (Method::POST, "ns/b/models/o/a"),
            (Method::GET, "ns/b/models/o/a"),
            (Method::DELETE, "ns/b/models/o/a"),
            (Method::PUT, "ns/b/models"),
            (Method::PUT, "ns/b/models/o/"),
            (Method::PUT, "ns/b//o/a"),
            (Method::PUT, "ns/x/models/o/a"),
            (Method::PUT, ""),
        ] {
            assert_eq!(limit(method.clone(), rest), BODY_LIMIT, "{method} {rest}");
        }
        let functions = Service::Functions(Version::V20181201);
        assert_eq!(rules(functions, &Method::PUT, "ns/b/models/o/a").1, BODY_LIMIT);
        assert_eq!(rules(Service::Secrets, &Method::PUT, "ns/b/models/o/a").1, BODY_LIMIT);
    }
}
