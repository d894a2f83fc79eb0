//! Requests that Oracle's own SDK signs, as our `authenticate` sees them.

use cargo_fdk::issuer::{Claims, Issuer};
use fdk_principal::ApiKey;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};
use workspace_tests::oci::Service;
use workspace_tests::python;

#[test]
fn what_oracles_sdk_signs_is_accepted_and_what_was_changed_is_not() {
    let Some(interpreter) = python::with("what_oracles_sdk_signs", &["oci==2.189.0"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::open(folder.path()).unwrap();
    let claims = Claims { ttl: Duration::from_hours(1), others: serde_json::Map::new() };
    issuer.rotate(&claims, SystemTime::now()).unwrap();

    // The issuer's key is as good a user's key as any.
    let key_file = folder.path().join("issuer.pem");
    let id = |fingerprint: &str| format!("ocid1.tenancy.oc1..t/ocid1.user.oc1..u/{fingerprint}");
    let fingerprint = ApiKey::from_file(&id(""), &key_file, None).unwrap().fingerprint().unwrap();
    let key = ApiKey::from_file(&id(&fingerprint), &key_file, None).unwrap();
    let config = folder.path().join("config");
    let text = format!(
        "[DEFAULT]\nuser=ocid1.user.oc1..u\ntenancy=ocid1.tenancy.oc1..t\nregion=us-phoenix-1\n\
         fingerprint={fingerprint}\nkey_file={}\n",
        key_file.display()
    );
    std::fs::write(&config, text).unwrap();
    let service = Service {
        issuer_keys: folder.path().join("jwks.json"),
        users: HashMap::from([(key.key_id().to_owned(), key.public_key().clone())]),
        ..Service::default()
    };
    let (url, service) = service.start();
    let variables = issuer.variables();
    let environment: Vec<_> = variables.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let told = python::run(&interpreter, "principal/sdk.py", &[&url, config.to_str().unwrap()], &environment);

    let seen = service.seen();
    assert_eq!(seen.len(), 17, "{told}");
    for (request, signer) in &seen[..12] {
        let signer = signer.as_ref().unwrap_or_else(|code| panic!("{request} was refused: {code}\n{told}"));
        assert!(*signer == key.key_id() || signer.starts_with("ST$"), "{signer}");
    }
    assert_eq!(
        seen[..12].iter().filter(|(_, signer)| signer.as_ref().unwrap().starts_with("ST$")).count(),
        6
    );
    let refused: Vec<_> =
        seen[12..].iter().map(|(_, signer)| signer.as_ref().unwrap_err().as_str()).collect();
    assert_eq!(
        refused,
        ["body_mismatch", "signature_invalid", "signature_invalid", "signature_invalid", "date_skew"],
        "{told}"
    );
    assert_eq!(told.lines().filter(|line| line.ends_with(" 401")).count(), 5, "{told}");
}
