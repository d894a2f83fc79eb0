//! Signed requests as a server receives them, and the keys that they were signed with.

// Each test is a crate of its own, and none uses all of this.
#![allow(dead_code, clippy::unwrap_used)]

use std::time::SystemTime;

use crate::common::{NOW, api_key, at, base64, vectors};
use fdk_principal::{BodyRule, Denial, Payload, PublicKey, authenticate};
use http::header::HeaderValue;
use http::request::Parts;
use http::{Request, Uri};
use serde_json::Value;

/// A request as a server receives it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: Parts,
    pub(crate) body: Vec<u8>,
    pub(crate) rule: BodyRule,
    pub(crate) now: SystemTime,
}

impl Received {
    pub(crate) fn all() -> Vec<Self> {
        vectors()["vectors"].as_array().unwrap().iter().map(Self::from_vector).collect()
    }

    /// Those whose body, where there is one, is under the signature.
    pub(crate) fn covered() -> Vec<Self> {
        let all: Vec<_> =
            Self::all().into_iter().filter(|request| request.rule == BodyRule::Signed).collect();
        assert_eq!(all.len(), 13);
        all
    }

    pub(crate) fn from_vector(vector: &Value) -> Self {
        let request = &vector["request"];
        let uri: Uri = request["url_on_wire"].as_str().unwrap().parse().unwrap();
        let mut builder = Request::builder()
            .method(request["method"].as_str().unwrap())
            .uri(uri.path_and_query().unwrap().as_str());
        for (name, value) in vector["headers_sent"].as_object().unwrap() {
            builder = builder.header(name, value.as_str().unwrap());
        }
        builder = builder.header("authorization", vector["authorization"].as_str().unwrap());
        let unsigned = request["method"] == "PUT" && vector["sign_body"] == false;
        Self {
            head: builder.body(()).unwrap().into_parts().0,
            body: request["body_base64"].as_str().map(base64).unwrap_or_default(),
            rule: if unsigned { BodyRule::UnsignedPut } else { BodyRule::Signed },
            now: at(NOW),
        }
    }

    /// A request signed here, and not by the SDK.
    pub(crate) fn signed_here(builder: http::request::Builder, body: &[u8], payload: Payload<'_>) -> Self {
        let mut head = builder.body(()).unwrap().into_parts().0;
        api_key(vectors()).sign_head(&mut head, payload, at(NOW)).unwrap();
        Self { head, body: body.to_vec(), rule: BodyRule::Signed, now: at(NOW) }
    }

    pub(crate) fn check(&self) -> Result<&str, Denial> {
        authenticate(&self.head, &self.body, self.rule, self.now, find_key)
    }

    pub(crate) fn denied(&self) -> (&'static str, String) {
        let denial = self.check().unwrap_err();
        (denial.code(), denial.to_string())
    }

    pub(crate) fn set(mut self, name: &'static str, value: &str) -> Self {
        self.head.headers.insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    pub(crate) fn authorization(&self) -> String {
        self.head.headers["authorization"].to_str().unwrap().to_owned()
    }
}

/// The two keys of the vectors, under the two names they sign with.
pub(crate) fn find_key(key_id: &str) -> Option<PublicKey> {
    use std::sync::LazyLock;
    static KNOWN: LazyLock<Vec<(String, PublicKey)>> = LazyLock::new(|| {
        let document = vectors();
        let public =
            |name: &str| PublicKey::from_pem(document["public_keys"][name].as_str().unwrap()).unwrap();
        let token = document["rpst"].as_str().unwrap();
        vec![
            (document["api_key_id"].as_str().unwrap().to_owned(), public("api")),
            (format!("ST${token}"), public("session")),
        ]
    });
    KNOWN.iter().find(|(known, _)| known == key_id).map(|(_, key)| key.clone())
}

pub(crate) fn to(method: &str) -> http::request::Builder {
    Request::builder().method(method).uri("https://example.com/a?b=1&c=2")
}
