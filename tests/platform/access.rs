//! Who may do what, as people see it: on the page, by the codes of failures, and from `cargo fdk policy explain`.

use crate::endpoint::{EVERYTHING, Endpoint};
use serde_json::{Value, json};
use ureq::Agent;
use workspace_tests::browser::Browser;
use workspace_tests::command_line::fdk;
use workspace_tests::root;

#[test]
fn the_page_shows_callers_decisions_and_principals() {
    let Some(browser) = Browser::start("the_page_shows_callers") else { return };
    let endpoint = Endpoint::start(EVERYTHING, &["examples/hello"], |_| {});
    let function = endpoint.create("hello:0.0.1", 128, &json!({}));
    assert_eq!(endpoint.invoke(&function, &json!({"name": "page"})).0, 200);
    endpoint.allow("Allow group Administrators to inspect fn-app in tenancy");
    assert_eq!(endpoint.invoke(&function, &json!({"name": "page"})).0, 404);
    let unsigned =
        ureq::post(format!("{}/20181201/functions/{function}/actions/invoke", endpoint.url)).send("{}");
    assert!(matches!(unsigned, Err(ureq::Error::StatusCode(401))), "{unsigned:?}");
    browser.go(&endpoint.url);
    let row = |number: usize| {
        let script = format!("return document.querySelector('#decisions tbody').rows[{number}].innerText");
        browser.run(&script).as_str().unwrap().to_owned()
    };
    let user = endpoint.tenancy()["user"][0]["name"].as_str().unwrap().to_owned();
    // The newest first.
    let (newest, before, first) = (row(0), row(1), row(2));
    assert!(newest.contains("unknown") && newest.contains("not authenticated"), "{newest}");
    assert!(before.contains("InvokeFunction") && before.contains("denied"), "{before}");
    assert!(before.contains("line 1 is nearest"), "{before}");
    assert!(first.contains(&user) && first.contains(&function) && first.contains("allowed"), "{first}");
    let principals = browser.run("return document.getElementById('principals').innerText");
    let principals = principals.as_str().unwrap();
    assert!(principals.contains("hello") && principals.contains(&function), "{principals}");
    // Who cannot call from here is told who can.
    assert_eq!(browser.run("return document.getElementById('invoke')"), Value::Null);
    browser.wait("document.body.innerText.includes('Callers sign their requests here')");
    // On a phone nothing sticks out.
    browser.resize(390, 800);
    browser.wait("document.documentElement.scrollWidth <= 390");
}

#[test]
fn a_failure_has_the_code_that_oci_gives_it() {
    let endpoint = Endpoint::start(EVERYTHING, &["examples/probe"], |_| {});
    let with = |config: Value, body: Value| {
        let function = endpoint.create("probe:0.0.1", 128, &config);
        let (status, answer) = endpoint.invoke(&function, &body);
        // Each has an application of its own, whose name is free again after this.
        let (_, found) = endpoint.json("GET", &format!("/20181201/functions/{function}"), &Value::Null);
        let app = found["applicationId"].as_str().unwrap().to_owned();
        assert_eq!(endpoint.json("DELETE", &format!("/20181201/functions/{function}"), &Value::Null).0, 204);
        assert_eq!(endpoint.json("DELETE", &format!("/20181201/applications/{app}"), &Value::Null).0, 204);
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    };
    let late = with(json!({"PROBE_BIND_DELAY_MS": "7000"}), json!({}));
    assert_eq!(late, (504, "FunctionInvokeContainerInitTimeout".into()));
    let refused = with(json!({"FDK_MAX_REPLY": "many"}), json!({}));
    assert_eq!(refused, (502, "FunctionInvokeContainerInitFail".into()));
    let gone = with(json!({}), json!({"exit": 3}));
    assert_eq!(gone, (502, "FunctionInvokeExecutionError".into()));
    let large = with(json!({}), json!({"body_bytes": 7 * 1024 * 1024}));
    assert_eq!(large, (502, "FunctionInvokeResponseBodyTooLarge".into()));
}

#[test]
fn a_function_that_takes_too_long_is_a_504() {
    let endpoint = Endpoint::start(EVERYTHING, &["examples/probe"], |_| {});
    let function = endpoint.create("probe:0.0.1", 128, &json!({}));
    let path = format!("/20181201/functions/{function}");
    assert_eq!(endpoint.json("PUT", &path, &json!({"timeoutInSeconds": 5})).0, 200);
    let calls = || endpoint.invoke(&function, &json!({"show": "context"})).1["calls"].as_u64().unwrap();
    // The function answers by itself, before the platform's own timer would kill it: the same process serves the next call. On a busy
    // machine, or where the deadline's whole second is the timer's, the timer may be first; never each time.
    let stayed = (0..5).any(|_| {
        let before = calls();
        let (status, answer) = endpoint.invoke(&function, &json!({"sleep_ms": 60_000}));
        assert_eq!((status, answer["code"].as_str()), (504, Some("FunctionInvokeTimeout")), "{answer}");
        calls() == before + 2
    });
    assert!(stayed, "each time the container was killed");
}

#[test]
fn explain_says_which_statement_decides() {
    let folder = tempfile::tempdir().unwrap();
    let tenancy = folder.path().join("tenancy");
    cargo_fdk::tenancy::init(&tenancy).unwrap();
    let file = folder.path().join("policies");
    let statement = "Allow group Administrators to use fn-invocation in tenancy where target.function.id = '${function_id}'";
    std::fs::write(&file, format!("# Who may call\n{statement}\n")).unwrap();
    let explain = |arguments: &[&str]| {
        let mut command = fdk();
        command.args(["policy", "explain", "--tenancy"]).arg(&tenancy).arg("--policies").arg(&file);
        let output = command.args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    };
    let text = std::fs::read_to_string(tenancy.join("tenancy.toml")).unwrap();
    let read: cargo_fdk::tenancy::Tenancy = toml::from_str(&text).unwrap();
    let user = read.users[0].name.clone();
    let function = "ocid1.fnfunc.local.lcl.01abc";
    let (code, said) = explain(&["--as", &user, "--do", "InvokeFunction", "--on", function]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("may InvokeFunction") && said.contains("by line 2: Allow group Administrators"),
        "{said}"
    );
    let (code, said) = explain(&["--as", &user, "--do", "DeleteFunction", "--on", function]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("is needed, and no statement grants it") && said.contains("line 2:"), "{said}");
    let (code, said) =
        explain(&["--as", "ocid1.fnfunc.local.lcl.02", "--do", "InvokeFunction", "--on", function]);
    assert_eq!(code, 1, "{said}");
    let (code, said) = explain(&["--as", "nobody", "--do", "InvokeFunction", "--on", function]);
    assert!(code == 2 && said.contains("--as nobody: the tenancy has no such user; it has"), "{said}");
    let (code, said) = explain(&["--as", &user, "--do", "InvokeFunctions", "--on", function]);
    assert!(code == 2 && said.contains("InvokeFunction"), "{said}");
    // What start accepts is accepted: a placeholder that the question does not fill is said, and its statement does not count.
    let secret = "Allow any-user to read secret-bundles in compartment id ${secret_compartment_id} where all \
        {target.secret.id = '${secret_id}', target.secret.name = 'db', request.principal.compartment.id = '${compartment_id}'}";
    std::fs::write(
        &file,
        format!("{statement}\n{secret}\nAllow group ${{invokers}} to use fn-app in tenancy\n"),
    )
    .unwrap();
    let ask = ["--as", function, "--do", "GetSecretBundle", "--on", "ocid1.vaultsecret.local.lcl.db"];
    let (code, said) = explain(&ask);
    assert!(code == 0 && said.contains("SECRET_BUNDLE_READ by line 2"), "{said}");
    assert!(
        said.contains("${function_id} has no value: give one with --policy-var function_id=VALUE"),
        "{said}"
    );
    assert!(said.contains("${invokers} has no value"), "{said}");
    let (code, said) = explain(&[&ask[..], &["--as-in", &read.id]].concat());
    assert!(code == 1 && said.contains("request.principal.compartment.id must be"), "{said}");
}

/// What the book says to type, at the root. The tenancy alone is in a folder of the test's.
#[test]
fn the_books_own_command_starts_and_whom_it_names_may_call() {
    let page = std::fs::read_to_string(root().join("docs/src/local.md")).unwrap();
    let mut commands = page.lines().filter_map(|line| line.strip_prefix("cargo fdk start "));
    let command = commands.find(|line| line.contains(" --oci ")).unwrap().split('#').next().unwrap();
    let invoked = |without: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let tenancy = folder.path().join("tenancy").display().to_string();
        let words = command.split_whitespace().filter(|word| !without.contains(word));
        let words = words.map(|word| if word == ".oci" { tenancy.clone() } else { word.to_owned() });
        let endpoint = Endpoint::launch(folder, &words.collect::<Vec<_>>());
        // The only function is what `${function_id}` stands for, and nobody may list it.
        let list = format!("/20181201/applications?compartmentId={}", endpoint.compartment());
        assert_eq!(endpoint.json("GET", &list, &Value::Null).0, 404);
        let hello = endpoint.functions[0].clone();
        endpoint.invoke(&hello, &json!({"name": "you"})).0
    };
    assert_eq!(invoked(&[]), 200);
    // Without the name nobody is a caller, and it starts all the same.
    assert_eq!(invoked(&["--policy-var", "invokers=Administrators"]), 404);
}

/// The statements that `deploy/` makes a policy of, in force here: who is in which group, and what then is done or refused.
#[test]
fn what_is_deployed_is_what_the_laptop_enforces() {
    let endpoint = Endpoint::start(EVERYTHING, &["examples/hello"], |_| {});
    let list = format!("/20181201/applications?compartmentId={}", endpoint.compartment());
    let app = endpoint.json("GET", &list, &Value::Null).1[0]["id"].as_str().unwrap().to_owned();
    let functions = format!("/20181201/functions?applicationId={app}");
    let hello = endpoint.json("GET", &functions, &Value::Null).1[0]["id"].as_str().unwrap().to_owned();
    let other = endpoint.create("hello:0.0.1", 128, &json!({}));
    let statements = std::fs::read_to_string(root().join("deploy/policies.txt")).unwrap();
    let enforce = |invokers: &str, deployers: &str| {
        let compartment = endpoint.compartment();
        let named = [
            ("invokers", invokers),
            ("deployers", deployers),
            ("compartment_id", &compartment),
            ("function_id", &hello),
            ("application_id", &app),
        ];
        let fill = |text: String, (name, value): (&str, &str)| text.replace(&format!("${{{name}}}"), value);
        let filled = named.into_iter().fold(statements.clone(), fill);
        // As the program does, without the statements for what this stack has not.
        let whole = filled.lines().filter(|line| !line.contains("${"));
        endpoint.allow(&whole.collect::<Vec<_>>().join("\n"));
    };
    let invoked = |function: &str| endpoint.invoke(function, &json!({"name": "you"})).0;
    let seen =
        |function: &str| endpoint.json("GET", &format!("/20181201/functions/{function}"), &Value::Null).0;
    let changed = || {
        let path = format!("/20181201/functions/{hello}");
        endpoint.json("PUT", &path, &json!({"memoryInMBs": 256})).0
    };
    enforce("Administrators", "nobody");
    assert_eq!((invoked(&hello), seen(&hello), changed()), (200, 200, 404));
    assert_eq!((invoked(&other), seen(&other)), (404, 404), "exactly this function");
    enforce("nobody", "Administrators");
    assert_eq!((invoked(&hello), changed()), (404, 200), "who deploys does not call");
    enforce("nobody", "nobody");
    assert_eq!((invoked(&hello), seen(&hello), changed()), (404, 404, 404));
}

/// With the Fn server's doors open as well: the same applications and functions, and nobody there may say who they are.
#[test]
fn both_doors_lead_to_the_same_functions_and_the_open_one_names_no_caller() {
    let endpoint = Endpoint::start(EVERYTHING, &["examples/probe", "--with-fn-api"], |_| {});
    let made = endpoint.create("probe:0.0.1", 128, &json!({}));
    let agent: Agent = Agent::new_with_defaults();
    let get = |path: &str| {
        let text = agent.get(format!("{}{path}", endpoint.url)).call().unwrap().into_body().read_to_string();
        serde_json::from_str::<Value>(&text.unwrap()).unwrap()
    };
    let names = |items: &Value, name: &str| {
        let mut names: Vec<_> = items.as_array().unwrap().iter().map(|item| item[name].clone()).collect();
        names.sort_by_key(ToString::to_string);
        names
    };
    let (_, apps) = endpoint.json(
        "GET",
        &format!("/20181201/applications?compartmentId={}", endpoint.compartment()),
        &Value::Null,
    );
    assert_eq!(names(&get("/v2/apps")["items"], "name"), names(&apps, "displayName"));
    assert_eq!(names(&apps, "displayName"), ["ai", "app"]);
    let ai =
        get("/v2/apps")["items"].as_array().unwrap().iter().find(|app| app["name"] == "ai").unwrap()["id"]
            .clone();
    let functions = get(&format!("/v2/fns?app_id={}", ai.as_str().unwrap()));
    let id = functions["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(made.ends_with(&id.to_lowercase()), "{made} and {id}");

    let mut request = agent.post(format!("{}/invoke/{id}", endpoint.url));
    for (name, value) in [
        ("Oci-Subject-Type", "user"),
        ("Oci-Subject-Id", "ocid1.user.local..somebody"),
        ("Oci-Subject-Tenancy-Id", "ocid1.tenancy.local..mine"),
        ("Opc-Compartment-Id", "ocid1.compartment.local..mine"),
        ("Opc-Request-Id", "mine"),
        ("X-Mine", "v"),
        ("Content-Type", "application/json"),
    ] {
        request = request.header(name, value);
    }
    let answer = request.send(r#"{"show": "headers"}"#).unwrap().into_body().read_to_string().unwrap();
    let seen: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(seen["x-mine"], json!(["v"]));
    let spoofed = |name: &&String| name.starts_with("oci-") || name.starts_with("opc-");
    assert_eq!(seen.as_object().unwrap().keys().find(spoofed), None, "{seen}");
}
