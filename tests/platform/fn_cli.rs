//! The real Fn CLI against the platform, where the variable `FN` names one.

use crate::start::Platform;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use workspace_tests::command_line::program;
use workspace_tests::not_run::unasked;
use workspace_tests::root;

/// A user with the CLI and a platform.
struct User {
    cli: String,
    home: TempDir,
    platform: Option<Platform>,
}

impl User {
    fn start(test: &str) -> Option<Self> {
        let Ok(cli) = std::env::var("FN") else {
            unasked(test, "set FN to the Fn CLI");
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("state").display().to_string();
        let platform = Platform::start(&["examples/hello", "--state", &state]);
        Some(Self { cli, home, platform: Some(platform) })
    }

    fn command(&self, program: &[&str], folder: &Path) -> (bool, String) {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).current_dir(folder);
        let url = &self.platform.as_ref().unwrap().url;
        command.env("HOME", self.home.path()).env("FN_API_URL", url).env("FN_REGISTRY", "local");
        command.env("FDK_STATE_DIR", self.home.path().join("state"));
        // The build is this host's, not the other home's.
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if let (None, Some(home)) = (std::env::var_os(name), std::env::home_dir()) {
                command.env(name, home.join(folder));
            }
        }
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// What `fn` prints; it must succeed.
    fn says(&self, arguments: &[&str]) -> String {
        let (good, said) = self.command(&[&[self.cli.as_str()], arguments].concat(), self.home.path());
        assert!(good, "fn {}: {said}", arguments.join(" "));
        said
    }

    /// What a function answers to a body.
    fn invoke(&self, app: &str, function: &str, body: &str) -> String {
        let script = format!("printf '%s' '{body}' | \"$0\" invoke {app} {function}");
        let (good, said) = self.command(&["sh", "-c", &script, &self.cli], self.home.path());
        assert!(good, "{said}");
        said
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let (good, said) = self.command(&[&[self.cli.as_str()], arguments].concat(), self.home.path());
        assert!(!good, "fn {}: {said}", arguments.join(" "));
        said
    }
}

#[test]
fn the_cli_leads_a_function_through_its_life() {
    let Some(user) = User::start("the_cli_leads_a_function_through_its_life") else { return };
    assert!(user.says(&["version"]).contains("Server version:"));
    user.says(&["create", "app", "shop", "--config", "COLOUR=red", "--annotation", "team=\"ai\""]);
    assert!(user.refused(&["create", "app", "shop"]).contains("App already exists"));
    let apps = user.says(&["list", "apps"]);
    assert!(apps.contains("shop") && apps.contains("app"), "{apps}");
    assert!(user.says(&["inspect", "app", "shop"]).contains("\"COLOUR\": \"red\""));
    user.says(&["config", "app", "shop", "SIZE", "9"]);
    assert!(user.says(&["list", "config", "app", "shop"]).contains("SIZE"));
    assert!(user.says(&["get", "config", "app", "shop", "SIZE"]).contains('9'));
    user.says(&["unset", "config", "app", "shop", "SIZE"]);

    user.says(&["create", "function", "shop", "greet", "hello:0.0.1", "--memory", "64", "--timeout", "20"]);
    let shown = user.says(&["inspect", "function", "shop", "greet"]);
    assert!(shown.contains("\"memory\": 64") && shown.contains("\"timeout\": 20"), "{shown}");
    user.says(&["update", "function", "shop", "greet", "--memory", "128"]);
    assert!(user.says(&["inspect", "function", "shop", "greet", "memory"]).contains("128"));
    user.says(&["config", "function", "shop", "greet", "FDK_LOG", "debug"]);
    assert!(user.says(&["list", "functions", "shop"]).contains("greet"));
    assert!(user.invoke("shop", "greet", "{\"name\": \"CLI\"}").contains("Hello CLI"));
    let told = user.invoke("shop", "greet --display-call-id", "{\"name\": \"CLI\"}");
    assert!(told.contains("Call ID:"), "{told}");

    user.says(&["create", "trigger", "shop", "greet", "door", "--type", "http", "--source", "/door"]);
    let triggers = user.says(&["list", "triggers", "shop"]);
    assert!(triggers.contains("door") && triggers.contains("/door"), "{triggers}");
    assert!(user.says(&["inspect", "trigger", "shop", "greet", "door"]).contains("\"source\": \"/door\""));
    user.says(&["delete", "trigger", "shop", "greet", "door"]);
    user.says(&["delete", "function", "shop", "greet"]);
    assert!(user.refused(&["invoke", "shop", "greet"]).contains("greet"));
    user.says(&["delete", "app", "shop", "--force"]);
    assert!(!user.says(&["list", "apps"]).contains("shop"));
}

#[test]
fn the_cli_deploys_without_an_engine() {
    let Some(mut user) = User::start("the_cli_deploys_without_an_engine") else { return };
    let shim = |folder: &Path, arguments: &[&str]| {
        let own = program();
        let program = [own.to_str().unwrap(), "shim", user.cli.as_str()];
        let (good, said) = user.command(&[&program[..], arguments].concat(), folder);
        assert!(good, "{said}");
    };
    let deploy = ["deploy", "--app", "ai", "--create-app", "--local", "--no-bump"];
    for example in ["hello", "embed"] {
        shim(&root().join("examples").join(example), &deploy);
    }
    assert!(user.invoke("ai", "hello", "{\"name\": \"CLI\"}").contains("Hello CLI"));
    let reply: serde_json::Value =
        serde_json::from_str(&user.invoke("ai", "embed", "{\"inputs\": \"a text\"}")).unwrap();
    assert_eq!(reply["embeddings"][0].as_array().unwrap().len(), 384);
    assert!(!user.platform.take().unwrap().stop(), "a function outlived the platform");
}
