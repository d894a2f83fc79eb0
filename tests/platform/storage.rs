//! Object Storage and Vault on a laptop, from Oracle's own SDK.

use crate::endpoint::Endpoint;
use serde_json::{Value, json};
use workspace_tests::python;

#[test]
fn oracles_sdk_reads_and_writes_what_a_statement_allows() {
    let Some(python) = python::with("oracles_sdk_reads_and_writes", &["oci==2.189.0"]) else { return };
    let statements = "Allow group Administrators to manage objects in tenancy where target.bucket.name = 'models'\n\
        Allow group Administrators to read secret-bundles in tenancy where target.secret.name = 'password'";
    let endpoint = Endpoint::start(statements, &["examples/hello"], |folder| {
        let storage = folder.path().join("storage");
        std::fs::create_dir(storage.join("buckets/private")).unwrap();
        std::fs::write(storage.join("buckets/private/x"), "not for the user").unwrap();
        std::fs::write(storage.join("secrets/password"), "open sesame").unwrap();
        std::fs::write(storage.join("secrets/other"), "not for the user").unwrap();
    });
    let arguments = [&*endpoint.url, &endpoint.config(), &endpoint.functions[0]];
    let said: Value =
        serde_json::from_str(&python::run(&python, "platform/oci_storage.py", &arguments, &[])).unwrap();
    let hidden = json!([404, "BucketNotFound"]);
    let no_right = json!([404, "NotAuthorizedOrNotFound"]);
    let expected = json!({
        "namespace": "local",
        "head": [200, "10", true],
        "whole": "0123456789",
        "part": [206, "2345", "bytes 2-5/10"],
        "end": "89",
        "beyond": [416, "InvalidRange"],
        "listed": [["a/b c.txt", 10], ["other", 0]],
        "beneath": ["a/b c.txt"],
        "again": ["other", true],
        "stale": 412,
        "signed": [200, 401, "signed"],
        "deleted": 204,
        "gone": [404, "ObjectNotFound"],
        "refused": [hidden, hidden, hidden, hidden],
        "head_refused": 404,
        "secret": "open sesame",
        "by_name": "open sesame",
        "secret_refused": [no_right, no_right],
        "no_function": [no_right, no_right, no_right],
    });
    for (name, wanted) in expected.as_object().unwrap() {
        assert_eq!(&said[name], wanted, "{name}");
    }
    assert_eq!(said.as_object().unwrap().len(), expected.as_object().unwrap().len());
    let private = endpoint.folder.path().join("storage/buckets/private");
    assert_eq!(std::fs::read_to_string(private.join("x")).unwrap(), "not for the user");
}
