//! What is in a new project.

use super::{File, Task};
use crate::{Result, kit};

/// A picture of one pixel, and a recording of two samples.
const PICTURE: &str = r#"{"image": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="}"#;
const RECORDING: &str = r#"{"audio": "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQIAAACAgA=="}"#;

/// The files, in the order of their paths. For an init image `func.init.yaml` stands for `func.yaml`.
pub(super) fn files(name: &str, task: Task, init: bool) -> Result<Vec<File>> {
    kit::check()?;
    let template = Template { name, task };
    let mut files = vec![
        file("Cargo.toml", template.cargo()),
        file("Dockerfile", template.fill(include_str!("template/Dockerfile"))),
        file(".dockerignore", "target\n.git\nmodel-assets/.prepared\n"),
        file(".gitignore", "target\nmodel-assets/*/\n"),
        file(".github/workflows/ci.yml", template.fill(include_str!("template/ci.yml"))),
        file("README.md", template.fill(include_str!("template/README.md"))),
        file("src/main.rs", template.fill(&template.source())),
    ];
    files.push(if init {
        // The CLI merges neither name, memory nor config from it.
        file("func.init.yaml", "runtime: docker\n")
    } else {
        file("func.yaml", template.func_yaml())
    });
    for (path, content) in kit::FILES {
        match *path {
            "Cargo.lock" => files.push(file("Cargo.lock", *content)),
            "model-assets/models.toml" if task != Task::None => files.push(file(path, *content)),
            "model-assets/models.toml" => {}
            "Cargo.toml" => files.push(file("vendor/fdk/Cargo.toml", kit::workspace(content))),
            path => files.push(file(&format!("vendor/fdk/{path}"), *content)),
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn file(path: &str, content: impl AsRef<[u8]>) -> File {
    File { path: path.into(), content: content.as_ref().into() }
}

struct Template<'a> {
    name: &'a str,
    task: Task,
}

impl Template<'_> {
    /// The task's name, the model it is scaffolded with, and what of the FDK it needs.
    fn task(&self) -> (&'static str, &'static str, &'static str) {
        match self.task {
            Task::Embed => ("embed", "minilm", "inference"),
            Task::Classify => ("classify", "minilm", "inference"),
            Task::Rerank => ("rerank", "minilm", "inference"),
            Task::Generate => ("generate", "smollm2", "inference"),
            Task::ClassifyImage => ("classify_image", "efficientnet-lite0", "vision"),
            Task::Transcribe => ("transcribe", "whisper-tiny-en", "speech"),
            Task::None => ("", "", ""),
        }
    }

    /// A request that the function answers, and the field of its reply that is there.
    fn example(&self) -> (&'static str, &'static str) {
        match self.task {
            Task::Embed => (r#"{"inputs": ["a text", "another"]}"#, "\"embeddings\""),
            Task::Classify => (r#"{"inputs": "great fun", "labels": ["good", "bad"]}"#, "\"predictions\""),
            Task::Rerank => {
                (r#"{"query": "hot water", "documents": ["cold bread", "boiling water"]}"#, "\"results\"")
            }
            Task::Generate => (r#"{"prompt": "One, two, three,", "max_tokens": 8}"#, "\"text\""),
            Task::ClassifyImage => (PICTURE, "\"predictions\""),
            Task::Transcribe => (RECORDING, "\"segments\""),
            Task::None => (r#"{"name": "Fn"}"#, "\"message\""),
        }
    }

    /// The function. Those with a model have a test that asks it.
    fn source(&self) -> String {
        let function = match self.task {
            Task::None => return include_str!("template/none.rs").to_owned(),
            Task::ClassifyImage => include_str!("template/classify_image.rs"),
            Task::Transcribe => include_str!("template/transcribe.rs"),
            _ => include_str!("template/task.rs"),
        };
        format!("{function}\n{}", include_str!("template/test.rs"))
    }

    /// What the test takes for the function, and for its handler.
    fn tested(&self) -> (&'static str, &'static str) {
        match self.task {
            Task::ClassifyImage => ("super::function()", "super::classify"),
            Task::Transcribe => ("super::function()", "super::transcribe"),
            _ => ("fdk::served()", "fdk::answer"),
        }
    }

    fn fill(&self, template: &str) -> String {
        let (request, field) = self.example();
        let (task, model, _) = self.task();
        let (function, handler) = self.tested();
        let (mut fetch, mut step, mut environment) = <(String, String, String)>::default();
        if !model.is_empty() {
            fetch = format!("cargo fdk assets fetch {model} && cargo fdk assets prepare {model}\n");
            step = format!("      - run: {fetch}");
            environment = format!("--env FDK_MODEL={model} --env FDK_TASK={task} ");
        }
        [
            ("@FETCH@", fetch.as_str()),
            ("@FETCH_STEP@", &step),
            ("@ENVIRONMENT@", &environment),
            ("@MEMORY@", &self.memory().to_string()),
            ("@FUNCTION@", function),
            ("@HANDLER@", handler),
            ("@NAME@", self.name),
            ("@MODEL@", model),
            ("@TASK@", task),
            ("@REQUEST@", request),
            ("@DATA@", request),
            ("@FIELD@", field),
        ]
        .iter()
        .fold(template.to_owned(), |text, (mark, value)| text.replace(mark, value))
    }

    fn cargo(&self) -> String {
        let fdk = if self.task == Task::None {
            "fdk = { path = \"vendor/fdk/fdk\", default-features = false }\nserde = { version = \"1\", features = [\"derive\"] }".to_owned()
        } else {
            let (_, _, feature) = self.task();
            format!(
                "fdk = {{ path = \"vendor/fdk/fdk\", default-features = false, features = [\"{feature}\"] }}"
            )
        };
        format!(
            "[package]\nname = \"{}\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n\
             [dependencies]\n{fdk}\n\n\
             [dev-dependencies]\nserde_json = \"1\"\ntokio = {{ version = \"1\", features = [\"macros\", \"rt\"] }}\n\n\
             # Of its own, whatever it stands in; the FDK has another.\n[workspace]\nexclude = [\"vendor\"]\n\n\
             # One unit a crate makes small functions. A panic must unwind: a panicking handler is a 502, not a lost process.\n\
             [profile.release]\ncodegen-units = 1\npanic = \"unwind\"\nstrip = \"symbols\"\n\n\
             # The model is unusable without optimisation, and what it is built of is seldom debugged.\n\
             [profile.dev.package.\"*\"]\nopt-level = 2\ndebug = false\n",
            self.name
        )
    }

    /// The shape that the model needs, in MB.
    fn memory(&self) -> u64 {
        match self.task {
            Task::None => 128,
            Task::Generate | Task::Transcribe => 512,
            _ => 256,
        }
    }

    fn func_yaml(&self) -> String {
        let (task, model, _) = self.task();
        let memory = self.memory();
        let config = if self.task == Task::None {
            String::new()
        } else {
            format!("  FDK_MODEL: {model}\n  FDK_TASK: {task}\n")
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
