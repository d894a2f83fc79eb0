//! What is in a new project.

use super::{File, Task};
use crate::{Error, Result};

/// The FDK's own files, by their paths in its workspace.
const SOURCES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/sources.rs"));
/// The model that the tasks are scaffolded with.
const MODEL: &str = "minilm";

/// The files, in the order of their paths. For an init image `func.init.yaml` stands for `func.yaml`.
pub(super) fn files(name: &str, task: Task, init: bool) -> Result<Vec<File>> {
    if !SOURCES.iter().any(|(path, _)| path.starts_with("fdk/")) {
        return Err(Error::failed("this cargo fdk was built without the FDK's sources: build it in a clone"));
    }
    let template = Template { name, task };
    let mut files = vec![
        file("Cargo.toml", template.cargo()),
        file("Dockerfile", template.fill(include_str!("template/Dockerfile"))),
        file(".dockerignore", "target\n.git\n"),
        file(".gitignore", "target\nmodel-assets/*/\n"),
        file("README.md", template.fill(include_str!("template/README.md"))),
        file(
            "src/main.rs",
            template.fill(if task == Task::None {
                include_str!("template/none.rs")
            } else {
                include_str!("template/task.rs")
            }),
        ),
    ];
    files.push(if init {
        // The CLI merges neither name, memory nor config from it.
        file("func.init.yaml", "runtime: docker\n")
    } else {
        file("func.yaml", template.func_yaml())
    });
    for (path, content) in SOURCES {
        match *path {
            "Cargo.lock" => files.push(file("Cargo.lock", *content)),
            "model-assets/models.toml" if task != Task::None => files.push(file(path, *content)),
            "model-assets/models.toml" => {}
            "Cargo.toml" => files.push(file("vendor/fdk/Cargo.toml", workspace(content))),
            path => files.push(file(&format!("vendor/fdk/{path}"), *content)),
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn file(path: &str, content: impl AsRef<[u8]>) -> File {
    File { path: path.into(), content: content.as_ref().into() }
}

/// The FDK's workspace with those members alone that go with it.
fn workspace(manifest: &[u8]) -> String {
    let manifest = String::from_utf8_lossy(manifest);
    let members =
        "members = [\n    \"fdk\",\n    \"fdk/runtime\",\n    \"fdk/principal\",\n    \"fdk/inference\",\n]";
    let (before, rest) = manifest.split_once("members = [").unwrap_or((&manifest, ""));
    let after = rest.split_once(']').map_or("", |(_, after)| after);
    let after = after.lines().filter(|line| !line.starts_with("exclude = "));
    format!("{before}{members}{}\n", after.collect::<Vec<_>>().join("\n"))
}

struct Template<'a> {
    name: &'a str,
    task: Task,
}

impl Template<'_> {
    fn task(&self) -> &'static str {
        match self.task {
            Task::Embed => "embed",
            Task::Classify => "classify",
            Task::Rerank => "rerank",
            Task::None => "",
        }
    }

    /// A request that the function answers, and the field of its reply that is a list.
    fn example(&self) -> (&'static str, &'static str) {
        match self.task {
            Task::Embed => (r#"{"inputs": ["a text", "another"]}"#, "\"embeddings\""),
            Task::Classify => (r#"{"inputs": "great fun", "labels": ["good", "bad"]}"#, "\"predictions\""),
            Task::Rerank => {
                (r#"{"query": "hot water", "documents": ["cold bread", "boiling water"]}"#, "\"results\"")
            }
            Task::None => (r#"{"name": "Fn"}"#, "\"message\""),
        }
    }

    fn fill(&self, template: &str) -> String {
        let (request, field) = self.example();
        let model = if self.task == Task::None { "" } else { MODEL };
        [
            ("@NAME@", self.name),
            ("@MODEL@", model),
            ("@TASK@", self.task()),
            ("@REQUEST@", request),
            ("@DATA@", request),
            ("@FIELD@", field),
        ]
        .iter()
        .fold(template.to_owned(), |text, (mark, value)| text.replace(mark, value))
    }

    fn cargo(&self) -> String {
        let fdk = if self.task == Task::None {
            "fdk = { path = \"vendor/fdk/fdk\", default-features = false }\nserde = { version = \"1\", features = [\"derive\"] }"
        } else {
            "fdk = { path = \"vendor/fdk/fdk\", features = [\"inference\"] }"
        };
        format!(
            "[package]\nname = \"{}\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n\
             [dependencies]\n{fdk}\n\n\
             [dev-dependencies]\nserde_json = \"1\"\ntokio = {{ version = \"1\", features = [\"macros\", \"rt\"] }}\n\n\
             # Of its own, whatever it stands in; the FDK has another.\n[workspace]\nexclude = [\"vendor\"]\n\n\
             # A panic must unwind: a panicking handler is a 502, not a lost process.\n\
             [profile.release]\npanic = \"unwind\"\nstrip = \"symbols\"\n\n\
             # The model is unusable without optimisation.\n[profile.dev.package.\"*\"]\nopt-level = 2\n",
            self.name
        )
    }

    fn func_yaml(&self) -> String {
        let (memory, config) = if self.task == Task::None {
            (128, String::new())
        } else {
            (256, format!("  FDK_MODEL: {MODEL}\n  FDK_TASK: {}\n", self.task()))
        };
        let name = self.name;
        format!(
            "schema_version: 20180708\nname: {name}\nversion: 0.0.1\nruntime: docker\nmemory: {memory}\ntimeout: 60\nconfig:\n{config}\
             \x20 # OCI's own limits: a larger body is refused with both numbers instead of by the platform with none.\n\
             \x20 FDK_MAX_REQUEST: \"6291456\"\n  FDK_MAX_REPLY: \"6291456\"\n\
             triggers:\n- name: {name}\n  type: http\n  source: /{name}\n"
        )
    }
}
