//! A principal of a local issuer, from the command line into a running function.

use crate::fdk;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use workspace_tests::function;

fn issue(folder: &Path, more: &[&str]) -> String {
    let arguments = [&["principal", "issue", "--dir", folder.to_str().unwrap()], more].concat();
    let output = fdk(&arguments, &BTreeMap::new());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The variables of the `env` file, as a shell would read them.
fn variables(folder: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder.join("env")).unwrap();
    let line = |line: &str| {
        let (name, value) = line.split_once('=').unwrap();
        (name.to_owned(), value.trim_matches('\'').to_owned())
    };
    text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

#[test]
fn an_issued_principal_is_good_and_says_that_it_is_local() {
    let folder = tempfile::tempdir().unwrap();
    let told = issue(folder.path(), &["--ttl", "900", "--claims", "{\"res_type\":\"fnapp\",\"team\":\"x\"}"]);
    assert!(told.starts_with("a LOCAL resource principal, for tests: no OCI service takes it\n"), "{told}");
    let variables = variables(folder.path());
    let keys = variables["FDK_ISSUER_KEYS"].clone();
    let show = ["principal", "show", "--json", "--issuer-keys", &keys];
    let output = fdk(&show, &variables);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "ok", "{report}");
    assert_eq!(report["principal"]["resource_type"], "fnapp");
    assert!((890..=900).contains(&report["principal"]["seconds_left"].as_u64().unwrap()));
    assert!(report["principal"]["tenancy"].as_str().unwrap().starts_with("ocid1.tenancy.local."));
    for (claims, why) in [("[]", "must be a JSON object"), ("@/nowhere", "--claims @/nowhere: No such file")]
    {
        let output = fdk(&["principal", "issue", "--dir", "/tmp", "--claims", claims], &BTreeMap::new());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && told.contains(why), "{told}");
    }
}

#[tokio::test]
async fn a_running_function_knows_who_it_is_and_follows_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    // So near its end that it is due for a refresh at every use.
    issue(folder.path(), &["--ttl", "60"]);
    let variables = variables(folder.path());
    let config: Vec<(&str, &str)> =
        variables.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let container = function::start("probe", &[&config[..], &[("FDK_PRINCIPAL", "required")]].concat()).await;
    let mut connection = function::connect(&container).await;
    let shown = connection.call(&[], b"{\"show\":\"principal\"}").await.json();
    assert_eq!(shown["region"], "local-laptop-1");
    assert_eq!(shown["issuer"], "local-issuer.cargo-fdk.invalid");
    issue(folder.path(), &["--claims", "{\"res_compartment\":\"ocid1.compartment.local..moved\"}"]);
    // A reload is not tried again at once; the function asks anew within the next seconds.
    for attempt in 0.. {
        let shown = connection.call(&[], b"{\"show\":\"principal\"}").await.json();
        if shown["compartment"] == "ocid1.compartment.local..moved" {
            break;
        }
        assert!(attempt < 300, "{shown}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn without_one_there_is_none_and_required_refuses_the_start() {
    let container = function::start("probe", &[]).await;
    let mut connection = function::connect(&container).await;
    assert_eq!(connection.call(&[], b"{\"show\":\"principal\"}").await.json(), json!(null));
    let mut spec = function::spec("probe");
    spec.config.push(("FDK_PRINCIPAL".into(), "required".into()));
    let fault = cargo_fdk::agent::Container::start(&spec).await.err().unwrap().to_string();
    assert!(fault.contains("exit code 3") || fault.contains("exit status: 3"), "{fault}");
    // Any variable of the kind says that there is one, which then is not good.
    let mut spec = function::spec("probe");
    spec.config.push(("OCI_RESOURCE_PRINCIPAL_OTHER".into(), "x".into()));
    let fault = cargo_fdk::agent::Container::start(&spec).await.err().unwrap().to_string();
    assert!(fault.contains("exit code 3") || fault.contains("exit status: 3"), "{fault}");
}

#[test]
fn the_issuers_keys_are_asked_and_strictness_is_as_a_function_has_it() {
    let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    issue(own.path(), &["--claims", "{\"res_type\":\"fnapp\"}"]);
    issue(other.path(), &[]);
    let others_keys = other.path().join("jwks.json").display().to_string();
    let verdict = |arguments: &[&str], variables: &BTreeMap<String, String>| {
        let output = fdk(&[&["principal", "verify", "--json"], arguments].concat(), variables);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (report["verdict"].as_str().unwrap().to_owned(), output.status.code())
    };
    let own = variables(own.path());
    assert_eq!(verdict(&[], &own), ("ok".to_owned(), Some(0)));
    let bad = ("bad_signature".to_owned(), Some(1));
    assert_eq!(verdict(&["--issuer-keys", &others_keys], &own), bad);
    let with = |name: &str, value: &str| {
        let mut variables = own.clone();
        variables.insert(name.to_owned(), value.to_owned());
        variables
    };
    assert_eq!(verdict(&[], &with("FDK_ISSUER_KEYS", &others_keys)), bad, "as a function reads it");
    let strict = with("FDK_PRINCIPAL_STRICT", "1");
    assert_eq!(verdict(&[], &strict), ("wrong_resource_type".to_owned(), Some(1)));
    let invalid = with("FDK_PRINCIPAL_STRICT", "perhaps");
    assert_eq!(verdict(&[], &invalid), ("policy_invalid".to_owned(), Some(1)));
}

#[test]
fn a_request_is_signed_by_a_profile_and_by_a_resource_principal() {
    let folder = tempfile::tempdir().unwrap();
    let tenancy = cargo_fdk::tenancy::init(&folder.path().join("tenancy")).unwrap();
    issue(&folder.path().join("principal"), &[]);
    let signed = |who: &[&str], variables: &BTreeMap<String, String>| {
        let mine = ["--header", "x-mine: 1", "--header", "X-Mine: 2"];
        let request = ["sign", "--json", "--url", "https://example.com/x"];
        let output = fdk(&[&request[..], &mine[..], who].concat(), variables);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        // It is sent, both times, and no signature covers it.
        assert_eq!(report["headers"]["x-mine"], json!(["1", "2"]));
        assert!(report["headers"]["date"].is_string());
        assert!(!report["signing_string"].as_str().unwrap().contains("x-mine"), "{report}");
        assert_eq!(report["headers"]["authorization"], report["authorization"]);
        report["authorization"].as_str().unwrap().to_owned()
    };
    let config = folder.path().join("tenancy/config").display().to_string();
    for variable in ["OCI_CONFIG_FILE", "OCI_CLI_CONFIG_FILE"] {
        let variables = BTreeMap::from([(variable.to_owned(), config.clone())]);
        let by = signed(&["--config-profile", "DEFAULT"], &variables);
        assert!(by.contains(&format!("keyId=\"{}/{}/", tenancy.id, tenancy.users[0].id)), "{by}");
    }
    let by = signed(&["--resource-principal"], &variables(&folder.path().join("principal")));
    assert!(by.contains("keyId=\"ST$"), "{by}");
}

#[test]
fn a_shell_reads_the_variables_whatever_the_folder_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("it's a $HOME");
    let told = issue(&folder, &[]);
    let source = told.lines().find_map(|line| line.strip_prefix("use it:    ")).unwrap();
    let script = format!("{source}\nprintf %s \"$OCI_RESOURCE_PRINCIPAL_RPST\"");
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.stdout, folder.join("rpst").display().to_string().as_bytes(), "{told}");
}
