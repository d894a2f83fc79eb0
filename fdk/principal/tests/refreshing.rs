//! The identity is refreshed when used: from five minutes before expiry, through half-written files, once for everybody.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use common::{Issued, NOW, Rotating, at, environment};
use fdk_principal::{BodyRule, Identity, Payload, Policy, Principal, authenticate, verify};
use http::Request;
use serde_json::Value;

fn first() -> Issued {
    Issued::by_session(NOW).claim("jti", "first")
}

fn second(now: u64) -> Issued {
    Issued::by_other(now).claim("jti", "second")
}

fn started() -> (Rotating, Arc<Principal>) {
    let rotating = Rotating::new();
    rotating.write(&first());
    let principal = rotating.principal(NOW).unwrap();
    (rotating, principal)
}

fn jti(identity: &Identity) -> &str {
    identity.claim("jti").and_then(Value::as_str).unwrap()
}

fn current(principal: &Principal, now: u64) -> String {
    jti(&principal.current_at(at(now)).unwrap()).to_owned()
}

#[test]
fn a_new_file_is_read_from_five_minutes_before_expiry() {
    let (rotating, principal) = started();
    rotating.write(&second(NOW + 890));
    assert_eq!(current(&principal, NOW + 899), "first");
    assert_eq!(current(&principal, NOW + 900), "second");
    assert_eq!(jti(&principal.identity()), "second");
}

#[test]
fn every_claim_is_the_new_one_s() {
    let (rotating, principal) = started();
    rotating.write(&second(NOW + 890).claim("res_compartment", "ocid1.compartment.oc1..moved"));
    let identity = principal.current_at(at(NOW + 900)).unwrap();
    assert_eq!(identity.compartment(), "ocid1.compartment.oc1..moved");
    assert_eq!(identity.expires_at(), at(NOW + 2090));
    assert_eq!(identity.code(at(NOW + 900)), "ok");
}

type Write = fn(&Rotating, &Issued);

/// The two writes of a rotation, in either order.
fn writes(key_first: bool) -> (Write, Write) {
    if key_first {
        (Rotating::write_key, Rotating::write_token)
    } else {
        (Rotating::write_token, Rotating::write_key)
    }
}

#[test]
fn half_a_rotation_leaves_the_old_pair_in_use() {
    for key_first in [true, false] {
        let (rotating, principal) = started();
        let next = second(NOW + 890);
        let (one, two) = writes(key_first);
        one(&rotating, &next);
        assert_eq!(current(&principal, NOW + 900), "first");
        two(&rotating, &next);
        assert_eq!(current(&principal, NOW + 901), "second");
    }
}

#[test]
fn half_a_file_leaves_the_old_pair_in_use() {
    let next = second(NOW + 890);
    let token = next.token();
    let signature = token.rfind('.').unwrap();
    for length in [0, 10, signature - 1, signature, signature + 1, token.len() - 1] {
        let (rotating, principal) = started();
        rotating.write_key(&next);
        fs::write(rotating.token_file(), &token[..length]).unwrap();
        assert_eq!(current(&principal, NOW + 900), "first", "{length} bytes");
        rotating.write_token(&next);
        assert_eq!(current(&principal, NOW + 901), "second");
    }
}

#[test]
fn without_files_the_old_pair_serves_until_it_expires() {
    let (rotating, principal) = started();
    rotating.remove();
    assert_eq!(current(&principal, NOW + 1199), "first");
    let refusal = principal.current_at(at(NOW + 1200)).unwrap_err();
    assert_eq!(refusal.code(), "token_unreadable");
    // And it recovers by itself.
    rotating.write(&second(NOW + 1300));
    assert_eq!(current(&principal, NOW + 1301), "second");
}

#[test]
fn an_old_file_is_refused_once_expired() {
    let (rotating, principal) = started();
    let refusal = principal.current_at(at(NOW + 1210)).unwrap_err();
    let file = rotating.token_file().display().to_string();
    assert_eq!(
        refusal.to_string(),
        format!(
            "the token in {file} (OCI_RESOURCE_PRINCIPAL_RPST) expired 10 s ago; give a fresh token, or check the clock of this machine"
        )
    );
}

#[test]
fn hours_frozen_are_one_reload() {
    let (rotating, principal) = started();
    let later = NOW + 10 * 3600;
    rotating.write(&second(later - 30));
    assert_eq!(current(&principal, later), "second");
}

#[test]
fn a_clock_set_back_does_not_stop_reloads() {
    let (rotating, principal) = started();
    assert_eq!(current(&principal, NOW + 1190), "first");
    rotating.write(&second(NOW + 880));
    assert_eq!(current(&principal, NOW + 900), "second");
}

#[test]
fn values_are_never_reloaded_and_expire() {
    let issued = first();
    let outcome = verify(&environment(&issued.token(), &issued.pem), &Policy::default(), at(NOW)).unwrap();
    let principal = outcome.principal().unwrap();
    assert_eq!(current(principal, NOW + 1199), "first");
    for _ in 0..3 {
        assert_eq!(
            principal.current_at(at(NOW + 1200)).unwrap_err().to_string(),
            "the token in OCI_RESOURCE_PRINCIPAL_RPST expired 0 s ago; give a fresh token, or check the clock of this machine"
        );
    }
}

#[test]
fn a_late_platform_causes_no_reload_storm() {
    let (rotating, principal) = started();
    assert_eq!(current(&principal, NOW + 900), "first");
    // Within the second nothing is read again; so the new file is not seen, though it is there.
    rotating.write(&second(NOW + 890));
    for _ in 0..100 {
        assert_eq!(current(&principal, NOW + 900), "first");
    }
    assert_eq!(current(&principal, NOW + 901), "second");
}

#[test]
fn a_refused_identity_is_renewed_before_it_is_due() {
    let (rotating, principal) = started();
    let refused = principal.identity();
    // The same files: what comes back was read anew.
    let newer = principal.renew_at(&refused, at(NOW + 10)).unwrap();
    assert!(!Arc::ptr_eq(&newer, &refused));
    // A second caller with the same refused identity gets what the first has read.
    rotating.write(&second(NOW + 10));
    assert!(Arc::ptr_eq(&principal.renew_at(&refused, at(NOW + 20)).unwrap(), &newer));
    // A storm of 401 reads the files once a second.
    assert!(Arc::ptr_eq(&principal.renew_at(&newer, at(NOW + 10)).unwrap(), &newer));
    assert_eq!(jti(&principal.renew_at(&newer, at(NOW + 20)).unwrap()), "second");
}

#[test]
fn many_callers_share_one_reload() {
    for now in [NOW + 1000, NOW + 1300] {
        let (rotating, principal) = started();
        rotating.write(&second(now - 10));
        let barrier = Barrier::new(16);
        let results: Vec<Arc<Identity>> = thread::scope(|scope| {
            let call = || {
                barrier.wait();
                principal.current_at(at(now)).unwrap()
            };
            let callers: Vec<_> = (0..16).map(|_| scope.spawn(call)).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        // Two reloads would be two snapshots. While the first is valid, those who did not want to wait hold it.
        let newest = principal.identity();
        let shared = results.iter().filter(|identity| Arc::ptr_eq(identity, &newest)).count();
        let kept = results.iter().filter(|identity| jti(identity) == "first").count();
        assert_eq!(shared + kept, 16);
        assert!(shared >= 1);
        assert!(now < NOW + 1200 || kept == 0);
    }
}

/// Sixteen threads sign while the key pair is rotated a thousand times, each time in two unsynchronised writes. Every
/// signature must fit the key its own token names.
#[test]
fn no_signature_pairs_one_key_with_the_token_of_another() {
    const ROTATIONS: u64 = 1_000;
    let rotating = Rotating::new();
    // Due from the start, as are all that follow, so that every use looks at the files.
    rotating.write(&first().expires(NOW + 250));
    let principal = rotating.principal(NOW).unwrap();
    let clock = AtomicU64::new(NOW);
    let done = AtomicBool::new(false);
    let (signed, tokens_seen) = (AtomicUsize::new(0), AtomicUsize::new(0));

    let started_at = Instant::now();
    thread::scope(|scope| {
        // Ends the threads when this one fails, too.
        let _stop = StopAtEnd(&done);
        for _ in 0..16 {
            scope.spawn(|| {
                let mut last = String::new();
                while !done.load(Ordering::Relaxed) {
                    let now = at(clock.load(Ordering::Relaxed));
                    let mut head = Request::get("https://example.com/x").body(()).unwrap().into_parts().0;
                    principal.sign_head(&mut head, Payload::Bytes(b""), now).unwrap();
                    let bound = |key_id: &str| Some(bound_key(key_id));
                    let key_id = authenticate(&head, b"", BodyRule::Signed, now, bound).unwrap();
                    signed.fetch_add(1, Ordering::Relaxed);
                    if key_id != last {
                        last = key_id.to_owned();
                        tokens_seen.fetch_add(1, Ordering::Relaxed);
                    }
                    // Room for the writer: sixteen busy threads on two cores would starve it.
                    thread::sleep(Duration::from_millis(8));
                }
            });
        }
        for rotation in 0..ROTATIONS {
            let now = clock.load(Ordering::Relaxed);
            let issued = if rotation % 2 == 0 { Issued::by_other(now) } else { Issued::by_session(now) };
            let issued = issued.expires(now + 250).claim("jti", rotation.to_string());
            let (one, two) = writes(rotation % 3 == 0);
            one(&rotating, &issued);
            thread::yield_now();
            two(&rotating, &issued);
            // This thread takes part in the race to reload, so that the pace does not hang on the scheduler.
            while jti(&principal.identity()) != rotation.to_string() {
                let now = clock.fetch_add(1, Ordering::Relaxed) + 1;
                principal.current_at(at(now)).unwrap();
            }
            // At least one signature meets every pair.
            let before = signed.load(Ordering::Relaxed);
            while signed.load(Ordering::Relaxed) == before {
                assert!(started_at.elapsed() < Duration::from_mins(2), "nobody signs any more");
                thread::sleep(Duration::from_micros(100));
            }
        }
    });
    assert!(signed.load(Ordering::Relaxed) >= 1_000, "{signed:?} signatures");
    assert!(tokens_seen.load(Ordering::Relaxed) >= 1_000, "{tokens_seen:?} tokens");
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The public key inside the token of a key id, found without the code under test.
fn bound_key(key_id: &str) -> fdk_principal::PublicKey {
    let payload = key_id.strip_prefix("ST$").unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let jwk: Value = serde_json::from_str(claims["jwk"].as_str().unwrap()).unwrap();
    let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    fdk_principal::PublicKey::from_pem(&spki(&number("n"), &number("e"))).unwrap()
}

/// `SubjectPublicKeyInfo` for a 2048-bit modulus and the exponent 65537, by hand.
fn spki(n: &[u8], e: &[u8]) -> String {
    assert_eq!((n.len(), e), (256, [1, 0, 1].as_slice()));
    let mut der = vec![0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09];
    der.extend([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00]);
    der.extend([0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00]);
    der.extend(n);
    der.extend([0x02, 0x03]);
    der.extend(e);
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}
