//! What a function does with its identity, against a service that checks every signature.

use cargo_fdk::agent::{Call, Container, Spec};
use cargo_fdk::issuer::{Claims, Issuer};
use cargo_fdk::logs::Logs;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};
use workspace_tests::oci::Service;

/// A function with an identity, and the service that it talks to.
fn spec(issuer: Option<&Issuer>, url: &str, config: &[(&str, &str)]) -> Spec {
    let mut all = issuer.map(Issuer::variables).unwrap_or_default();
    for key in ["FDK_OBJECT_STORAGE_ENDPOINT", "FDK_VAULT_ENDPOINT"] {
        all.push((key.into(), url.into()));
    }
    all.extend(config.iter().map(|(key, value)| ((*key).into(), (*value).into())));
    let mut spec = Spec::new("identity", env!("CARGO_BIN_EXE_identity").into());
    spec.config = all;
    spec.memory = 512;
    spec.timeout = Duration::from_mins(1);
    spec
}

fn issuer(folder: &Path) -> Issuer {
    let issuer = Issuer::open(folder).unwrap();
    let claims = Claims { ttl: Duration::from_hours(1), others: serde_json::Map::new() };
    issuer.rotate(&claims, SystemTime::now()).unwrap();
    issuer
}

async fn ask(container: &mut Container, ask: Value) -> Result<Value, String> {
    let call = Call { body: ask.to_string().into(), ..Call::default() };
    match container.call(call).await {
        Ok(reply) => Ok(serde_json::from_slice(&reply.body).unwrap()),
        Err(fault) => {
            let said: Value = serde_json::from_slice(fault.body()).unwrap_or_default();
            Err(said["message"].as_str().unwrap_or("no message").to_owned())
        }
    }
}

#[tokio::test]
async fn objects_and_secrets_are_read_as_the_function() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(folder.path());
    let mut service = Service { issuer_keys: folder.path().join("jwks.json"), ..Service::default() };
    service.contents.insert("/n/ns/b/notes/o/a%2Fb%20c".into(), b"0123456789".to_vec());
    let (url, service) = service.secret("ocid1.vaultsecret.local..s", "open sesame").start();
    let mut container = Container::start(&spec(Some(&issuer), &url, &[])).await.unwrap();
    let whole =
        ask(&mut container, json!({"object": {"bucket": "notes", "name": "a/b c", "first": 0}})).await;
    assert_eq!(whole.unwrap(), json!({"bytes": 10, "text": "0123456789"}));
    let part = json!({"object": {"bucket": "notes", "name": "a/b c", "first": 3, "last": 5}});
    assert_eq!(ask(&mut container, part.clone()).await.unwrap()["text"], "345");
    assert_eq!(
        ask(&mut container, json!({"secret": "ocid1.vaultsecret.local..s"})).await.unwrap(),
        "open sesame"
    );
    let missing = json!({"object": {"bucket": "notes", "name": "none", "first": 0}});
    assert_eq!(
        ask(&mut container, missing).await.unwrap_err(),
        "object none of bucket notes: the service answered 404 Not Found ObjectNotFound: not there, opc-request-id \
         req-1; check the names, and that a policy statement allows this identity to read it"
    );
    // Refused, it reads its files again and asks once more, with what is there by then; and not a third time.
    let before = service.seen().len();
    *service.unauthorised.lock().unwrap() = 2;
    let refused = ask(&mut container, part.clone()).await.unwrap_err();
    assert!(refused.contains("401 Unauthorized NotAuthenticated"), "{refused}");
    assert_eq!(service.seen().len(), before + 2);
    // Anew, since files that were just read are not read again within the second.
    let mut container = Container::start(&spec(Some(&issuer), &url, &[])).await.unwrap();
    let claims = Claims { ttl: Duration::from_hours(1), others: serde_json::Map::new() };
    issuer.rotate(&claims, SystemTime::now()).unwrap();
    let before = service.seen().len();
    *service.unauthorised.lock().unwrap() = 1;
    assert_eq!(ask(&mut container, part).await.unwrap()["text"], "345");
    assert_eq!(service.seen().len(), before + 2);
    let signers: Vec<_> = service.seen().into_iter().map(|(_, signer)| signer.unwrap()).collect();
    assert!(signers.iter().all(|signer| signer.starts_with("ST$")));
    assert_ne!(signers[before], signers[before + 1], "the second try has the newer token");
}

#[tokio::test]
async fn what_breaks_off_is_no_object_and_without_an_identity_there_is_no_client() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(folder.path());
    let issuer_keys = folder.path().join("jwks.json");
    let mut service = Service { issuer_keys, breaks_off: true, ..Service::default() };
    service.contents.insert("/n/ns/b/b/o/half".into(), vec![b'x'; 100_000]);
    let (url, _) = service.start();
    let half = json!({"object": {"bucket": "b", "name": "half", "first": 0}});
    let mut container = Container::start(&spec(Some(&issuer), &url, &[])).await.unwrap();
    let told = ask(&mut container, half.clone()).await.unwrap_err();
    assert!(told.contains("ended") || told.contains("closed") || told.contains("disconnected"), "{told}");
    let mut container = Container::start(&spec(None, &url, &[])).await.unwrap();
    assert_eq!(
        ask(&mut container, half).await.unwrap_err(),
        "the function has no resource principal: run it on OCI Functions, or with one of `cargo fdk principal issue`"
    );
}

/// An assets folder whose only model is `MiniLM`, from a bucket instead of its usual sources, and without its files.
fn remote_assets() -> tempfile::TempDir {
    let manifest = workspace_tests::root().join("model-assets/models.toml");
    let text = std::fs::read_to_string(manifest).unwrap();
    let entry = text.split_once("[minilm]").unwrap().1;
    let entry = entry.split("\n[").next().unwrap();
    let (before, rest) = entry.split_once("sources = [").unwrap();
    let after = rest.split_once("\n]").unwrap().1;
    let source = "sources = [{ namespace = \"ns\", bucket = \"models\", prefix = \"minilm/\" }]";
    let assets = tempfile::tempdir().unwrap();
    std::fs::write(assets.path().join("models.toml"), format!("[minilm]{before}{source}{after}")).unwrap();
    assets
}

/// Serves `MiniLM`'s files from the bucket `models`.
fn bucket(issuer_keys: &Path) -> Service {
    let models = fdk_models::obtain("minilm").unwrap();
    let mut service = Service { issuer_keys: issuer_keys.to_path_buf(), ..Service::default() };
    let names = [
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "sentence_bert_config.json",
        "1_Pooling/config.json",
    ];
    for name in names {
        let path = format!("/n/ns/b/models/o/minilm%2F{}", name.replace('/', "%2F"));
        service.contents.insert(path, std::fs::read(models.join("minilm").join(name)).unwrap());
    }
    service
}

#[test]
fn the_command_line_fetches_from_a_bucket_as_well() {
    let (assets, folder) = (remote_assets(), tempfile::tempdir().unwrap());
    let issuer = issuer(folder.path());
    let (url, service) = bucket(&folder.path().join("jwks.json")).start();
    let fetch = ["assets", "fetch", "--dir", assets.path().to_str().unwrap()];
    let mut variables: BTreeMap<String, String> = issuer.variables().into_iter().collect();
    variables.insert("FDK_OBJECT_STORAGE_ENDPOINT".into(), url);
    let output = crate::fdk(&fetch, &variables);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(assets.path().join("minilm/model.safetensors").is_file());
    assert_eq!(service.seen().len(), 5);
    // There and verified, it is not fetched again; and nobody fetches without an identity.
    assert!(crate::fdk(&fetch, &variables).status.success());
    assert_eq!(service.seen().len(), 5);
    std::fs::remove_file(assets.path().join("minilm/config.json")).unwrap();
    let output = crate::fdk(&fetch, &BTreeMap::new());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && told.contains("bucket models of ns: no identity"), "{told}");
}

#[tokio::test]
async fn a_function_fetches_its_model_with_its_identity() {
    let assets = remote_assets();
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(folder.path());
    let service = || bucket(&folder.path().join("jwks.json"));
    let temporary = tempfile::tempdir().unwrap();
    let config = [
        ("MODEL", "minilm"),
        ("FDK_MODEL", "minilm"),
        ("FDK_ASSETS_DIR", assets.path().to_str().unwrap()),
        ("TMPDIR", temporary.path().to_str().unwrap()),
        ("FDK_LOG_FORMAT", "json"),
    ];
    let (url, good) = service().start();
    let mut container = Container::start(&spec(Some(&issuer), &url, &config)).await.unwrap();
    assert_eq!(ask(&mut container, json!({"embed": "a text"})).await.unwrap(), 384);
    assert_eq!(good.seen().len(), 5);
    let lines = container.logs().lines().join("\n");
    assert!(lines.contains("\"model_verified\":\"at start\""), "{lines}");
    drop(container);

    // What is not what the manifest states is refused and removed, and so is a function without an identity.
    std::fs::remove_dir_all(temporary.path().join("fdk-assets")).unwrap();
    let mut altered = service();
    altered.contents.get_mut("/n/ns/b/models/o/minilm%2Fmodel.safetensors").unwrap()[1_000_000] ^= 1;
    let (url, _) = altered.start();
    for (issuer, why) in
        [(Some(&issuer), "it came with sha256"), (None, "the function has no resource principal")]
    {
        let logs = Logs::default();
        // It may end before its socket was looked at, or after.
        let how = match Container::start_with_logs(&spec(issuer, &url, &config), &logs).await {
            Ok(mut container) => format!("exit status: {}", container.ended().await.unwrap().unwrap_or(-1)),
            Err(fault) => fault.to_string(),
        };
        let lines = logs.lines().join("\n");
        assert!(how.contains("exit status: 4"), "{how}\n{lines}");
        assert!(lines.contains("model minilm: model.safetensors:") && lines.contains(why), "{lines}");
        assert!(!temporary.path().join("fdk-assets/minilm/model.safetensors").exists());
    }
}
