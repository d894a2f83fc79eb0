//! Requests that are well signed, and then changed, are denied; those that we sign ourselves are not.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;
mod received;

use common::{NOW, at};
use fdk_principal::Payload;
use http::Request;
use http::header::{HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use received::{Received, to};

/// One way to tamper with a request.
#[derive(Clone, Debug)]
enum Tampering {
    Body { at: Index, xor: u8 },
    LongerBody(u8),
    ShorterBody,
    Method(&'static str),
    Target { at: Index, with: char },
    LongerTarget(char),
    Header { which: Index, at: Index, with: char },
    LongerHeader { which: Index, with: char },
    NoHeader { which: Index },
    TwoHeaders { which: Index },
    Authorization { at: Index, with: char },
    CutAuthorization { at: Index },
    FewerNames { which: Index },
    MoreNames(&'static str),
    SwappedNames { which: Index },
    Late(u64),
}

fn tampering() -> impl Strategy<Value = Tampering> {
    use Tampering as T;
    let index = any::<Index>;
    let character = || proptest::char::range('!', '~');
    prop_oneof![
        (index(), 1..=u8::MAX).prop_map(|(at, xor)| T::Body { at, xor }),
        any::<u8>().prop_map(T::LongerBody),
        Just(T::ShorterBody),
        select(vec!["GET", "HEAD", "DELETE", "OPTIONS", "POST", "PUT", "PATCH", "get", "post", "TRACE"])
            .prop_map(T::Method),
        (index(), character()).prop_map(|(at, with)| T::Target { at, with }),
        character().prop_map(T::LongerTarget),
        (index(), index(), character()).prop_map(|(which, at, with)| T::Header { which, at, with }),
        (index(), character()).prop_map(|(which, with)| T::LongerHeader { which, with }),
        index().prop_map(|which| T::NoHeader { which }),
        index().prop_map(|which| T::TwoHeaders { which }),
        (index(), character()).prop_map(|(at, with)| T::Authorization { at, with }),
        index().prop_map(|at| T::CutAuthorization { at }),
        index().prop_map(|which| T::FewerNames { which }),
        select(vec!["date", "host", "content-type", "x-content-sha256", "(created)"]).prop_map(T::MoreNames),
        index().prop_map(|which| T::SwappedNames { which }),
        (301..100_000_u64).prop_map(T::Late),
    ]
}

/// The tampered request, or `None` where it comes out as it was or as no request at all.
fn tamper(request: &Received, how: &Tampering) -> Option<Received> {
    let mut changed = request.clone();
    let authorization = request.authorization();
    let start = authorization.find("headers=\"").unwrap() + "headers=\"".len();
    let end = start + authorization[start..].find('"').unwrap();
    let names: Vec<&str> = authorization[start..end].split(' ').collect();
    let signed: Vec<HeaderName> =
        names.iter().filter_map(|name| name.parse().ok()).filter(|name| name != "(request-target)").collect();
    let renamed =
        |names: &[&str]| format!("{}{}{}", &authorization[..start], names.join(" "), &authorization[end..]);
    let mut set = |name: &HeaderName, value: &str| {
        changed.head.headers.insert(name, HeaderValue::from_str(value).ok()?);
        Some(())
    };
    let text = |name: &HeaderName| request.head.headers[name].to_str().unwrap();
    let authorization_name = HeaderName::from_static("authorization");

    match how {
        Tampering::Body { .. } | Tampering::ShorterBody if request.body.is_empty() => return None,
        Tampering::Body { at, xor } => changed.body[at.index(request.body.len())] ^= xor,
        Tampering::LongerBody(byte) => changed.body.push(*byte),
        Tampering::ShorterBody => changed.body.truncate(request.body.len() - 1),
        Tampering::Method(method) => changed.head.method = method.parse().ok()?,
        Tampering::Target { at, with } => {
            changed.head.uri = replaced(&request.head.uri.to_string(), *at, *with).parse().ok()?;
        }
        Tampering::LongerTarget(with) => {
            changed.head.uri = format!("{}{with}", request.head.uri).parse().ok()?;
        }
        Tampering::Header { which, at, with } => {
            let name = which.get(&signed);
            set(name, &replaced(text(name), *at, *with))?;
        }
        Tampering::LongerHeader { which, with } => {
            let name = which.get(&signed);
            set(name, &format!("{}{with}", text(name)))?;
        }
        Tampering::NoHeader { which } => drop(changed.head.headers.remove(which.get(&signed))),
        Tampering::TwoHeaders { which } => {
            let name = which.get(&signed);
            changed.head.headers.append(name, request.head.headers[name].clone());
        }
        Tampering::Authorization { at, with } => {
            set(&authorization_name, &replaced(&authorization, *at, *with))?;
        }
        Tampering::CutAuthorization { at } => {
            let cut = &authorization[..at.index(authorization.len())];
            // Without a version a header means the same.
            if format!("{cut},version=\"1\"") == authorization {
                return None;
            }
            set(&authorization_name, cut)?;
        }
        Tampering::FewerNames { which } => {
            let mut fewer = names.clone();
            fewer.remove(which.index(names.len()));
            set(&authorization_name, &renamed(&fewer))?;
        }
        Tampering::MoreNames(name) => {
            let mut more = names.clone();
            more.push(name);
            set(&authorization_name, &renamed(&more))?;
        }
        Tampering::SwappedNames { which } => {
            let mut other = names.clone();
            let at = which.index(names.len() - 1);
            other.swap(at, at + 1);
            set(&authorization_name, &renamed(&other))?;
        }
        Tampering::Late(seconds) => changed.now = at(NOW + seconds),
    }
    let same = changed.head.method == request.head.method
        && changed.head.uri == request.head.uri
        && changed.head.headers == request.head.headers
        && changed.body == request.body
        && changed.now == request.now;
    if same { None } else { Some(changed) }
}

fn replaced(text: &str, at: Index, with: char) -> String {
    let at = at.index(text.len());
    format!("{}{with}{}", &text[..at], &text[at + 1..])
}

#[test]
fn a_hundred_thousand_tampered_requests_are_denied() {
    let requests = Received::covered();
    let config = ProptestConfig {
        cases: 100_000,
        max_global_rejects: u32::MAX,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let denied = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&(any::<Index>(), tampering()), |(which, how)| {
            let Some(request) = tamper(which.get(&requests), &how) else {
                return Err(TestCaseError::reject("as it was"));
            };
            prop_assert!(request.check().is_err(), "accepted after {how:?}: {request:?}");
            denied.set(denied.get() + 1);
            Ok(())
        })
        .unwrap();
    assert_eq!(denied.get(), 100_000);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_we_sign_we_accept(path in "/[a-zA-Z0-9._~%/-]{0,40}", query in "(\\?[a-z0-9=&%]{0,20})?",
                              method in select(vec!["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH"]),
                              body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let body = if matches!(method, "POST" | "PUT" | "PATCH") { body } else { Vec::new() };
        let builder = Request::builder().method(method).uri(format!("https://example.com{path}{query}"));
        let request = Received::signed_here(builder, &body, Payload::Bytes(&body));
        prop_assert!(request.check().is_ok());
    }

    #[test]
    fn no_authorization_header_makes_it_panic(text in "(Signature )?[ -~]{0,200}") {
        let request = Received::signed_here(to("GET"), b"", Payload::Bytes(b""));
        prop_assert!(request.set("authorization", &text).check().is_err());
    }
}
