//! `cargo fdk start --oci`: who may do what, seen from the clients that people have.

use crate::endpoint::{EVERYTHING, Endpoint};
use cargo_fdk::images::{Image, Images};
use fdk_principal::Payload;
use http::Request;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use ureq::Agent;
use workspace_tests::{python, root};

#[test]
fn oracles_sdk_manages_and_invokes_and_nobody_else_does() {
    let Some(python) = python::with("oracles_sdk_manages_and_invokes", &["oci==2.189.0"]) else { return };
    let endpoint = Endpoint::start(EVERYTHING, &["examples/probe", "examples/embed"], |_| {});
    let arguments = [&*endpoint.url, &endpoint.config(), &endpoint.compartment()];
    let said: Value =
        serde_json::from_str(&python::run(&python, "platform/oci_sdk.py", &arguments, &[])).unwrap();
    let expected = json!({
        "app": ["my-application", "ACTIVE", ["ocid1.subnet.oc1..s"], {"team": "ai"}, {"A": "1"}],
        "twice": [409, "NotAuthorizedOrResourceAlreadyExists"],
        "function": ["my-function", 128, "probe:0.0.1", 30],
        "endpoint": endpoint.url,
        "document": [200, {"ok": true}],
        "invoke": [200, true, "mine"],
        "embed": [384, 384],
        "detached": 202,
        "dry": [200],
        "intent": [400, "InvalidParameter"],
        "large": [413, "FunctionInvokeRequestContentTooLarge"],
        "fault": [502, "FunctionInvokeExecutionFailed"],
        "pages": ["my-function", "other-a", "other-b"],
        "all": ["my-function", "other-a", "other-b"],
        "apps": ["my-application"],
        "limit": [400, "InvalidParameter"],
        "got_app": ["my-application", {"A": "1"}],
        "stale_app": [412, "NoEtagMatch"],
        "updated_app": [{"B": "2"}, true],
        "stale_delete": [412, "NoEtagMatch"],
        "stale": [412, "NoEtagMatch"],
        "work": ["UPDATE_FUNCTION", "SUCCEEDED", true],
        "updated": [256, {"GREETING": "Hi"}, true],
        "memory": [400, "InvalidParameter"],
        "image": [502, "FunctionInvokeImageNotAvailable"],
        "full": [409, "IncorrectState"],
        "unknown": [404, "NotAuthorizedOrNotFound"],
        "wrong_key": [401, "NotAuthenticated"],
        "wrong_user": [401, "NotAuthenticated"],
        "raw": 200,
        "inside": [200, 200],
        "outside": [401, 401],
        "changed": [401, 401],
        "unsigned": 401,
        "session": {"ok": true},
        "gone": [404, "NotAuthorizedOrNotFound"],
        "left": ["app"],
    });
    for (name, wanted) in expected.as_object().unwrap() {
        assert_eq!(&said[name], wanted, "{name}");
    }
    assert_eq!(said.as_object().unwrap().len(), expected.as_object().unwrap().len());
}

#[test]
fn oracles_command_line_manages_and_invokes() {
    let packages = ["oci==2.189.0", "oci-cli==3.95.1"];
    let Some(python) = python::with("oracles_command_line_manages_and_invokes", &packages) else { return };
    let endpoint = Endpoint::start(EVERYTHING, &["examples/hello"], |_| {});
    let arguments = [&*endpoint.url, &endpoint.config(), &endpoint.compartment()];
    let said: Value =
        serde_json::from_str(&python::run(&python, "platform/oci_cli.py", &arguments, &[])).unwrap();
    assert_eq!(said["created"], json!(["cli", "greet", 128]));
    assert!(said["invoked"].as_str().unwrap().contains("Hello CLI"), "{said}");
    assert_eq!(said["listed"], json!(["greet"]));
    assert_eq!(said["deleted"][0], 0, "{said}");
    assert_eq!(said["gone"], json!([1, true]), "{said}");
}

#[test]
fn what_no_statement_allows_is_not_there() {
    let endpoint = Endpoint::start("# nobody", &["examples/hello", "--rate", "10"], |_| {});
    let compartment = endpoint.compartment();
    let list = format!("/20181201/applications?compartmentId={compartment}");
    let refused = |answer: (u16, Value)| answer.0 == 404 && answer.1["code"] == "NotAuthorizedOrNotFound";
    assert!(refused(endpoint.json("GET", &list, &Value::Null)));
    // Each operation for itself: who may look may not call, and who may call one function may not call another.
    endpoint.allow("Allow group Administrators to manage fn-app in tenancy\nAllow group Administrators to manage fn-function in tenancy");
    let (status, apps) = endpoint.json("GET", &list, &Value::Null);
    assert_eq!((status, &apps[0]["displayName"]), (200, &json!("app")));
    let path = format!("/20260325/functions?applicationId={}", apps[0]["id"].as_str().unwrap());
    let (_, functions) = endpoint.json("GET", &path, &Value::Null);
    let hello = functions[0]["id"].as_str().unwrap().to_owned();
    assert!(refused(endpoint.invoke(&hello, &json!({}))));
    endpoint.allow("Allow group Administrators to use fn-invocation in tenancy where target.function.id = '${function_id}'");
    assert_eq!(endpoint.invoke(&hello, &json!({"name": "you"})).0, 200);
    assert!(refused(endpoint.json("GET", &list, &Value::Null)));
    // A file that is not good changes nothing.
    endpoint.allow("Allow everybody to do anything");
    assert_eq!(endpoint.invoke(&hello, &json!({"name": "you"})).0, 200);
    endpoint.allow("Allow group Administrators to use fn-invocation in tenancy where target.function.id != '${function_id}'");
    assert!(refused(endpoint.invoke(&hello, &json!({}))));
    // The doors that ask nobody are closed.
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    for path in ["/invoke/hello", "/t/app/hello", "/v2/apps"] {
        assert_eq!(agent.post(format!("{}{path}", endpoint.url)).send("{}").unwrap().status(), 401, "{path}");
    }
    let many = (0..80).map(|_| endpoint.json("GET", &list, &Value::Null)).find(|answer| answer.0 == 429);
    assert_eq!(many.unwrap().1["code"], "TooManyRequests");
}

#[test]
fn the_function_sees_what_oci_would_give_it() {
    let endpoint = Endpoint::start(EVERYTHING, &["examples/probe", "--rotate", "2"], |_| {});
    let probe = endpoint.create("probe:0.0.1", 256, &json!({"MY": "own"}));
    let user = endpoint.tenancy()["user"][0]["id"].as_str().unwrap().to_owned();
    let tenancy = endpoint.tenancy()["id"].as_str().unwrap().to_owned();

    // Spoofed copies are dropped; the rest of the caller's headers are its own.
    let uri = format!("{}/20181201/functions/{probe}/actions/invoke", endpoint.url);
    let body = br#"{"show": "headers"}"#;
    let mut request = Request::post(&uri).header("content-type", "application/json");
    for (name, value) in [
        ("oci-subject-id", "ocid1.user.local..somebody"),
        ("oci-subject-type", "service"),
        ("opc-compartment-id", "ocid1.compartment.local..mine"),
        ("opc-obo-token", "of somebody"),
        ("fn-call-id", "mine"),
        ("fn-deadline", "2099-01-01T00:00:00Z"),
        ("opc-request-id", "mine"),
        ("x-mine", "v"),
    ] {
        request = request.header(name, value);
    }
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    endpoint.key.sign_head(&mut head, Payload::Bytes(body), SystemTime::now()).unwrap();
    let sent = head.headers.clone();
    let agent: Agent = Agent::new_with_defaults();
    let seen: Value = serde_json::from_str(
        &agent.run(Request::from_parts(head, &body[..])).unwrap().into_body().read_to_string().unwrap(),
    )
    .unwrap();
    let one = |name: &str| seen[name].as_array().map(|all| (all.len(), all[0].as_str().unwrap().to_owned()));
    assert_eq!(one("oci-subject-id").unwrap(), (1, user));
    assert_eq!(one("oci-subject-type").unwrap(), (1, "user".into()));
    assert_eq!(one("oci-subject-tenancy-id").unwrap(), (1, tenancy.clone()));
    assert_eq!(one("oci-subject-compartment-id").unwrap(), (1, tenancy));
    assert_eq!(one("opc-compartment-id").unwrap(), (1, endpoint.compartment()));
    assert!(one("opc-request-id").unwrap().1.starts_with("mine/"));
    assert_eq!(one("x-mine").unwrap(), (1, "v".into()));
    for name in ["x-content-sha256", "date"] {
        assert_eq!(one(name).unwrap().1, sent[name].to_str().unwrap(), "{name}");
    }
    assert!(one("x-b3-traceid").is_some() && one("x-b3-spanid").is_some());
    for name in ["authorization", "opc-obo-token"] {
        assert_eq!(one(name), None, "{name}");
    }
    assert_ne!(one("fn-call-id").unwrap().1, "mine");

    // The environment, its identity above all, which verifies down to the issuer's signature.
    let (_, seen) = endpoint.invoke(&probe, &json!({"show": "env"}));
    for (name, wanted) in [
        ("FN_FN_ID", &*probe),
        ("FN_FN_NAME", "probe"),
        ("FN_APP_NAME", "ai"),
        ("FN_MEMORY", "256"),
        ("FN_CPUS", "125m"),
        ("FN_TYPE", "sync"),
        ("FN_LOGFRAME_HDR", "Opc-Request-Id"),
        ("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2"),
        ("OCI_RESOURCE_PRINCIPAL_REGION", "local-laptop-1"),
        ("OCI_TRACING_ENABLED", "0"),
        ("MY", "own"),
    ] {
        assert_eq!(seen[name], wanted, "{name}: {seen}");
    }
    assert!(seen["FN_APP_ID"].as_str().unwrap().starts_with("ocid1.fnapp."));
    assert!(seen["OCI_REGION_METADATA"].as_str().unwrap().contains("local.invalid"));
    let token = PathBuf::from(seen["OCI_RESOURCE_PRINCIPAL_RPST"].as_str().unwrap());
    let before = std::fs::read_to_string(&token).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while std::fs::read_to_string(&token).unwrap() == before {
        assert!(Instant::now() < until, "it rotates every two seconds");
        std::thread::sleep(Duration::from_millis(100));
    }
    // And the function follows: who it is, it is by the newer token.
    let until = Instant::now() + Duration::from_secs(30);
    let newer_than = |before: Option<u64>| loop {
        let (_, seen) = endpoint.invoke(&probe, &json!({"show": "principal"}));
        let expires = seen["expires"].as_u64();
        if expires > before {
            assert_eq!(seen["resource_id"], *probe);
            return expires;
        }
        assert!(Instant::now() < until, "{seen}");
        std::thread::sleep(Duration::from_millis(200));
    };
    let first = newer_than(None);
    newer_than(first);
}

/// An assets folder whose only model is in a bucket.
fn remote_assets(folder: &TempDir) -> PathBuf {
    let text = std::fs::read_to_string(root().join("model-assets/models.toml")).unwrap();
    let entry = text.split_once("[minilm]").unwrap().1;
    let entry = entry.split("\n[").next().unwrap();
    let (before, rest) = entry.split_once("sources = [").unwrap();
    let after = rest.split_once("\n]").unwrap().1;
    let source = "sources = [{ namespace = \"ns\", bucket = \"models\", prefix = \"minilm/\" }]";
    let assets = folder.path().join("assets");
    std::fs::create_dir(&assets).unwrap();
    std::fs::write(assets.join("models.toml"), format!("[minilm]{before}{source}{after}")).unwrap();
    assets
}

#[test]
fn the_function_proves_who_it_is_fetches_its_model_and_answers() {
    let who = "request.principal.type = 'fnfunc', request.principal.id = '${identity_function_id}'";
    let own = format!(
        "Allow any-user to read objects in compartment ${{compartment_name}} where all {{{who}, target.bucket.name = 'models'}}\n\
         Allow any-user to read secret-bundles in compartment functions where all {{{who}, target.secret.id = '${{password_secret_id}}'}}"
    );
    let endpoint = Endpoint::start(&format!("{EVERYTHING}\n{own}"), &["examples/hello"], |folder| {
        // The function asks for the namespace `ns`.
        let tenancy = folder.path().join("tenancy");
        cargo_fdk::tenancy::init(&tenancy).unwrap();
        let file = tenancy.join("tenancy.toml");
        let text =
            std::fs::read_to_string(&file).unwrap().replace("namespace = \"local\"", "namespace = \"ns\"");
        std::fs::write(file, text).unwrap();
        let models = fdk_models::obtain("minilm").unwrap();
        std::os::unix::fs::symlink(
            models.join("minilm"),
            folder.path().join("storage/buckets/models/minilm"),
        )
        .unwrap();
        std::fs::create_dir(folder.path().join("storage/buckets/other")).unwrap();
        std::fs::write(folder.path().join("storage/buckets/other/x"), "not for it").unwrap();
        std::fs::write(folder.path().join("storage/secrets/password"), "open sesame").unwrap();
        std::fs::write(folder.path().join("storage/secrets/other"), "not for it").unwrap();
        let assets = remote_assets(folder);
        let image = Image {
            name: "identity:0.0.1".into(),
            source: root(),
            executable: env!("CARGO_BIN_EXE_identity").into(),
            config: vec![("FDK_ASSETS_DIR".into(), assets.display().to_string())],
            visible: vec![assets],
        };
        Images::at(folder.path().join("state/images")).keep(&image).unwrap();
    });
    // What was fetched is kept in /tmp, of which each container has its own within its walls.
    let config = |anew: &str| json!({"MODEL": "minilm", "ANEW": anew});
    let function = endpoint.create("identity:0.0.1", 512, &config("0"));
    let (status, answer) = endpoint.invoke(&function, &json!({"embed": "who am I?"}));
    assert_eq!((status, &answer), (200, &json!(384)), "by its model, which it fetched as itself");
    assert_eq!(
        endpoint.invoke(&function, &json!({"secret": "ocid1.vaultsecret.local.lcl.password"})).1,
        "open sesame"
    );
    let refused = |ask: &Value| endpoint.invoke(&function, ask);
    assert_eq!(refused(&json!({"secret": "ocid1.vaultsecret.local.lcl.other"})).0, 502);
    let other = json!({"object": {"bucket": "other", "name": "x", "first": 0, "last": null}});
    assert_eq!(refused(&other).0, 502);

    // Without the statement there is no model, and so no function.
    endpoint.allow(EVERYTHING);
    let change = |anew: &str| {
        let change = json!({"config": config(anew)});
        assert_eq!(endpoint.json("PUT", &format!("/20181201/functions/{function}"), &change).0, 200);
    };
    change("1");
    let (status, answer) = endpoint.invoke(&function, &json!({"embed": "who am I?"}));
    assert_eq!(status, 502, "{answer}");
    endpoint.allow(&format!("{EVERYTHING}\n{own}"));
    change("2");
    assert_eq!(endpoint.invoke(&function, &json!({"embed": "who am I?"})), (200, json!(384)));
}
