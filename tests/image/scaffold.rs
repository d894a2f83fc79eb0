//! What `cargo fdk new` makes, as an image; and the image that makes it for `fn init`.

use crate::engine::{Container, Engine, docker, file_of, text};
use workspace_tests::root;

/// What `cargo fdk new` prints.
fn new(arguments: &[&str]) -> Vec<u8> {
    let mut command = cargo_fdk::compile::cargo();
    let output = command.args(["fdk", "new"]).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    output.stdout
}

/// A new project's image.
fn image(engine: &Engine, name: &str, task: &str, model: Option<&str>) -> String {
    let above = tempfile::tempdir().unwrap();
    let project = above.path().join(name);
    new(&[project.to_str().unwrap(), "--task", task]);
    if let Some(model) = model {
        let (assets, model) = (project.join("model-assets"), [model.to_owned()]);
        cargo_fdk::assets::fetch(&assets, &model).unwrap();
        cargo_fdk::assets::prepare(&assets, &model, fdk_inference::Precision::F16, false).unwrap();
    }
    engine.build_in(&project, &format!("fdk-test-{name}"), &[])
}

#[tokio::test]
async fn a_new_project_is_an_image_by_itself() {
    let Some(engine) = crate::engine() else { return };
    let container = Container::start(&image(engine, "shop", "none", None), 128, &[]);
    assert_eq!(container.call("{\"name\":\"new\"}").await["message"], "Hello new");
    assert_eq!(container.stop(), "0");
}

#[tokio::test]
async fn one_with_a_model_as_well() {
    let Some(engine) = crate::engine() else { return };
    let image = image(engine, "likeness", "embed", Some("minilm"));
    let container = Container::start(&image, 256, &["FDK_MODEL=minilm", "FDK_TASK=embed"]);
    let reply = container.call("{\"inputs\":\"a text\"}").await;
    assert_eq!(reply["embeddings"][0].as_array().unwrap().len(), 384);
    let logs = container.logs();
    assert!(logs.contains("\"model_verified\":\"at build\""), "{logs}");
    assert_eq!(container.stop(), "0");
    let folder = tempfile::tempdir().unwrap();
    let files = file_of(&image, "/function/model-assets/minilm", folder.path());
    assert!(files.join("model.prepared").is_file() && !files.join("model.safetensors").exists());
}

/// The CLI sets the name and unpacks what comes (`RunInitImage` of its source).
#[test]
fn the_init_image_writes_the_project_that_the_command_makes() {
    let Some(engine) = crate::engine() else { return };
    let more = ["-f", "cargo-fdk/init-image/Dockerfile", "--build-arg", "TASK=embed"];
    let image = engine.build_in(&root(), "fdk-test-init", &more);
    let output = docker(&["run", "--rm", "--network", "none", "-e", "FN_FUNCTION_NAME=shop", &image]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let ours = new(&["shop", "--task", "embed", "--tar"]);
    assert!(output.stdout == ours, "{} bytes from the image, {} here", output.stdout.len(), ours.len());
}
