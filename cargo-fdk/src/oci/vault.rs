//! Vault: the contents of secrets.

use super::object_storage::rfc3339;
use super::{Asked, Fault, ocid};
use crate::policy::{GET_SECRET_BUNDLE, GET_SECRET_BUNDLE_BY_NAME, Operation, Target};
use crate::server::respond::{self, Body};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Response};
use serde_json::json;

pub(super) fn answer(asked: &Asked<'_>, path: &[&str]) -> Result<Response<Body>, Fault> {
    match (&asked.head.method, path) {
        (&Method::GET, ["secretbundles", id]) => {
            let name = ocid::secret_name(id);
            bundle(asked, &GET_SECRET_BUNDLE, id, name)
        }
        (&Method::POST, ["secretbundles", "actions", "getByName"]) => {
            let name = asked.query.require("secretName")?;
            bundle(asked, &GET_SECRET_BUNDLE_BY_NAME, &ocid::secret(name), Some(name))
        }
        (method, _) => Err(Fault::no_path(method, asked.head.uri.path())),
    }
}

fn bundle(
    asked: &Asked<'_>,
    operation: &'static Operation,
    id: &str,
    name: Option<&str>,
) -> Result<Response<Body>, Fault> {
    let mut variables = vec![("target.secret.id", id.to_owned())];
    variables.extend(name.map(|name| ("target.secret.name", name.to_owned())));
    let compartment = asked.tenancy().home().to_owned();
    asked.may(operation, &Target { compartment, variables })?;
    // There is one version of a secret, whichever the stage or the number that is asked for.
    let found = asked.oci.storage.as_ref().zip(name).and_then(|(storage, name)| storage.secret(name));
    let (content, facts) = found.ok_or_else(Fault::not_authorized_or_not_found)?;
    let bundle = json!({
        "secretId": id, "versionNumber": 1, "stages": ["CURRENT", "LATEST"], "timeCreated": rfc3339(facts.modified),
        "secretBundleContent": {"contentType": "BASE64", "content": STANDARD.encode(content)},
    });
    Ok(respond::with_type("application/json", bundle.to_string()))
}
