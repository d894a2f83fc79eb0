//! A platform with the OCI side, started as a person starts it, and its user who signs.

use crate::turn::Turn;
use fdk_principal::{ApiKey, Payload};
use http::{Method, Request};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use ureq::Agent;
use workspace_tests::command_line::fdk;

/// What lets the tenancy's user do all.
pub(crate) const EVERYTHING: &str = "Allow group Administrators to manage functions-family in tenancy";

/// A platform with a tenancy, a state and a policy file of its own.
pub(crate) struct Endpoint {
    child: Child,
    /// What the platform says on stdout after its start, line by line.
    said: Receiver<String>,
    pub(crate) folder: TempDir,
    pub(crate) url: String,
    pub(crate) key: ApiKey,
    /// The OCIDs of the functions that it began with.
    pub(crate) functions: Vec<String>,
    _turn: Turn,
}

impl Endpoint {
    pub(crate) fn start(policies: &str, arguments: &[&str], prepare: impl FnOnce(&TempDir)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("policies"), policies).unwrap();
        std::fs::create_dir_all(path("storage/buckets/models")).unwrap();
        std::fs::create_dir_all(path("storage/secrets")).unwrap();
        prepare(&folder);
        let mut all: Vec<String> = ["--oci", "--init-oci", &path("tenancy"), "--policies", &path("policies")]
            .map(str::to_owned)
            .to_vec();
        all.extend(["--storage".to_owned(), path("storage")]);
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        Self::launch(folder, &all)
    }

    /// A platform whose tenancy is in `tenancy` of this folder.
    pub(crate) fn launch(folder: TempDir, arguments: &[String]) -> Self {
        let turn = Turn::beside_others();
        let mut child = fdk()
            .args(["start", "--port", "0", "--state"])
            .arg(folder.path().join("state"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut url, mut functions) = (String::new(), Vec::new());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next() {
            let line = line.unwrap();
            if let Some(rest) = line.strip_prefix("OCI ") {
                rest.trim_start().split(": ").next().unwrap().clone_into(&mut url);
            }
            // As it says them: the name, then the OCID.
            let last = line.rsplit(' ').next().filter(|last| last.starts_with("ocid1.fnfunc."));
            functions.extend(last.map(str::to_owned));
            if line.starts_with("serving") {
                let key = ApiKey::from_config(&folder.path().join("tenancy/config"), "DEFAULT").unwrap();
                let (say, said) = mpsc::channel();
                std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
                return Self { child, said, folder, url, key, functions, _turn: turn };
            }
        }
        panic!("the platform ended: {:?}", child.wait());
    }

    pub(crate) fn config(&self) -> String {
        self.folder.path().join("tenancy/config").display().to_string()
    }

    /// Something of the tenancy's file.
    pub(crate) fn tenancy(&self) -> Value {
        let text = std::fs::read_to_string(self.folder.path().join("tenancy/tenancy.toml")).unwrap();
        let tenancy: cargo_fdk::tenancy::Tenancy = toml::from_str(&text).unwrap();
        serde_json::to_value(tenancy).unwrap()
    }

    pub(crate) fn compartment(&self) -> String {
        self.tenancy()["compartment"][0]["id"].as_str().unwrap().to_owned()
    }

    /// A request that the tenancy's user signs.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        let (mut head, ()) =
            request.header("content-type", "application/json").body(()).unwrap().into_parts();
        self.key.sign_head(&mut head, Payload::Bytes(body), SystemTime::now()).unwrap();
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_mins(1)))
            .build()
            .into();
        let response = if matches!(head.method, Method::POST | Method::PUT) {
            agent.run(Request::from_parts(head, body)).unwrap()
        } else {
            agent.run(Request::from_parts(head, ())).unwrap()
        };
        (response.status().as_u16(), response.into_body().read_to_vec().unwrap())
    }

    pub(crate) fn json(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, body) = self.ask(method, path, body.as_bytes());
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// An application and a function, made by the user.
    pub(crate) fn create(&self, image: &str, memory: u64, config: &Value) -> String {
        let app = json!({"compartmentId": self.compartment(), "displayName": "ai", "subnetIds": ["ocid1.subnet.x"]});
        let (status, app) = self.json("POST", "/20181201/applications", &app);
        assert_eq!(status, 200, "{app}");
        let name = image.split(':').next().unwrap();
        let function = json!({"applicationId": app["id"], "displayName": name, "image": image,
            "memoryInMBs": memory, "config": config, "timeoutInSeconds": 60});
        let (status, function) = self.json("POST", "/20181201/functions", &function);
        assert_eq!(status, 200, "{function}");
        function["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn invoke(&self, function: &str, body: &Value) -> (u16, Value) {
        self.json("POST", &format!("/20181201/functions/{function}/actions/invoke"), body)
    }

    /// Replaces the statements, and waits until the platform says that it has read them.
    pub(crate) fn allow(&self, policies: &str) {
        let (new, file) = (self.folder.path().join("policies.new"), self.folder.path().join("policies"));
        std::fs::write(&new, policies).unwrap();
        // Whole, lest the platform read the half of it.
        std::fs::rename(new, file).unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.said.recv_timeout(left).expect("the platform read no policies within 30 s");
            if line.contains("the policy file has changed") {
                return;
            }
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.child.wait();
    }
}
