//! The tower layer: every request signed, and one retry with a newer identity after a 401.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use common::{Issued, Rotating, api_key, vectors};
use fdk_principal::{BodyRule, PublicKey, SignLayer, authenticate};
use http::{Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

/// A service that believes only one key, and remembers what it was sent.
#[derive(Clone)]
struct Server {
    believes: PublicKey,
    seen: Arc<Mutex<Vec<Request<String>>>>,
}

impl Service<Request<String>> for Server {
    type Response = Response<()>;
    type Error = std::io::Error;
    type Future = std::future::Ready<Result<Response<()>, std::io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        self.seen.lock().unwrap().push(request.clone());
        let (head, body) = request.into_parts();
        let key = |_: &str| Some(self.believes.clone());
        let result = authenticate(&head, body.as_bytes(), BodyRule::Signed, SystemTime::now(), key);
        let status = if result.is_ok() { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        if result.is_err() {
            // Dates have whole seconds: what is sent after this has another, if it has a new one.
            std::thread::sleep(Duration::from_millis(1100));
        }
        std::future::ready(Ok(Response::builder().status(status).body(()).unwrap()))
    }
}

/// The server's answer, and the requests it took to get it. Nothing here waits, so polling once is enough.
fn send(layer: &SignLayer, believes: &str) -> (StatusCode, Vec<Request<String>>) {
    let believes = PublicKey::from_pem(vectors()["public_keys"][believes].as_str().unwrap()).unwrap();
    let server = Server { believes, seen: Arc::default() };
    let request = Request::post("https://example.com/x").body("body".to_owned()).unwrap();
    let answer = layer.layer(server.clone()).call(request);
    let Poll::Ready(answer) = pin!(answer).poll(&mut Context::from_waker(Waker::noop())) else {
        unreachable!("nothing to wait for")
    };
    let seen = server.seen.lock().unwrap().clone();
    (answer.unwrap().status(), seen)
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn token(request: &Request<String>) -> &str {
    let authorization = request.headers()["authorization"].to_str().unwrap();
    authorization.split("ST$").nth(1).unwrap().split('"').next().unwrap()
}

#[test]
fn every_request_is_signed() {
    let (status, seen) = send(&SignLayer::new(Arc::new(api_key(vectors()))), "api");
    assert_eq!((status, seen.len()), (StatusCode::OK, 1));
    let rotating = Rotating::new();
    rotating.write(&Issued::by_session(now()));
    let (status, seen) = send(&SignLayer::new(rotating.principal(now()).unwrap()), "session");
    assert_eq!((status, seen.len()), (StatusCode::OK, 1));
}

#[test]
fn a_refused_token_is_renewed_and_the_request_sent_once_more() {
    let rotating = Rotating::new();
    let (old, new) = (Issued::by_session(now()), Issued::by_other(now()));
    rotating.write(&old);
    let layer = SignLayer::new(rotating.principal(now()).unwrap());
    rotating.write(&new);
    let (status, seen) = send(&layer, "api");
    assert_eq!((status, seen.len()), (StatusCode::OK, 2));
    assert_eq!((token(&seen[0]), token(&seen[1])), (old.token().as_str(), new.token().as_str()));
    assert_eq!(seen[0].body(), seen[1].body());
    // Not the header of the first attempt carried along: one date, a new one; one signature.
    assert_ne!(seen[0].headers()["date"], seen[1].headers()["date"]);
    assert_eq!(seen[1].headers().get_all("date").iter().count(), 1);
    assert_eq!(seen[1].headers().get_all("authorization").iter().count(), 1);
}

#[test]
fn a_second_refusal_is_the_answer() {
    let rotating = Rotating::new();
    rotating.write(&Issued::by_session(now()));
    let layer = SignLayer::new(rotating.principal(now()).unwrap());
    let (status, seen) = send(&layer, "api");
    assert_eq!((status, seen.len()), (StatusCode::UNAUTHORIZED, 2));
}

#[test]
fn what_cannot_change_is_not_tried_again() {
    let (status, seen) = send(&SignLayer::new(Arc::new(api_key(vectors()))), "session");
    assert_eq!((status, seen.len()), (StatusCode::UNAUTHORIZED, 1));

    let issued = Issued::by_session(now());
    let environment = common::environment(&issued.token(), &issued.pem);
    let outcome =
        fdk_principal::verify(&environment, &fdk_principal::Policy::default(), SystemTime::now()).unwrap();
    let (status, seen) = send(&SignLayer::new(Arc::clone(outcome.principal().unwrap())), "api");
    assert_eq!((status, seen.len()), (StatusCode::UNAUTHORIZED, 1));
}

#[test]
fn a_request_that_cannot_be_signed_is_not_sent() {
    let believes = PublicKey::from_pem(vectors()["public_keys"]["api"].as_str().unwrap()).unwrap();
    let server = Server { believes, seen: Arc::default() };
    let mut service = SignLayer::new(Arc::new(api_key(vectors()))).layer(server.clone());
    let request = Request::get("/no/host").body(String::new()).unwrap();
    let Poll::Ready(answer) = pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop()))
    else {
        unreachable!("nothing to wait for")
    };
    let error = answer.unwrap_err();
    assert!(error.is::<fdk_principal::Refusal>(), "{error}");
    assert!(server.seen.lock().unwrap().is_empty());
}
