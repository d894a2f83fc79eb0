//! What `cargo fdk new` makes, as an image; and the image that makes it for `fn init`.

use crate::engine::{Container, Engine, docker, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use workspace_tests::command_line::fdk;
use workspace_tests::root;

/// What `cargo fdk new` prints.
fn new(arguments: &[&str]) -> Vec<u8> {
    let output = fdk().arg("new").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    output.stdout
}

/// A new project's image.
fn image(engine: &Engine, name: &str, task: &str, model: Option<&str>) -> String {
    let above = tempfile::tempdir().unwrap();
    let project = above.path().join(name);
    new(&[project.to_str().unwrap(), "--task", task]);
    if let Some(model) = model {
        fdk_models::fetch(&project.join("model-assets"), &[model.to_owned()]).unwrap();
    }
    engine.build_in(&project, &format!("fdk-test-{name}"), &[])
}

#[tokio::test]
async fn a_new_project_is_an_image_by_itself() {
    if !crate::thorough("a_new_project_is_an_image_by_itself") {
        return;
    }
    let Some(engine) = crate::engine() else { return };
    let container = Container::start(&image(engine, "shop", "none", None), 128, &[]);
    assert_eq!(container.call("{\"name\":\"new\"}").await["message"], "Hello new");
    assert_eq!(container.stop(), "0");
}

#[tokio::test]
async fn a_new_project_with_a_model_is_one_as_well() {
    if !crate::thorough("a_new_project_with_a_model_is_one_as_well") {
        return;
    }
    let Some(engine) = crate::engine() else { return };
    let image = image(engine, "eye", "classify_image", Some("efficientnet-lite0"));
    let container =
        Container::start(&image, 256, &["FDK_MODEL=efficientnet-lite0", "FDK_TASK=classify_image"]);
    let picture = STANDARD.encode(std::fs::read(root().join("tests/inference/pictures/cat.jpg")).unwrap());
    let reply = container.call(&serde_json::json!({"image": picture}).to_string()).await;
    assert!(reply["predictions"][0]["label"].as_str().unwrap().contains("cat"), "{reply}");
    // The files keep the time at which they were verified, so that no start hashes them.
    let logs = container.logs();
    assert!(logs.contains("\"model_verified\":\"at build\""), "{logs}");
    assert_eq!(container.stop(), "0");
}

/// The CLI sets the name and unpacks what comes (`RunInitImage` of its source).
#[test]
fn the_init_image_writes_the_project_that_the_command_makes() {
    if !crate::thorough("the_init_image_writes_the_project_that_the_command_makes") {
        return;
    }
    let Some(engine) = crate::engine() else { return };
    let more = ["-f", "cargo-fdk/init-image/Dockerfile", "--build-arg", "TASK=embed"];
    let image = engine.build_in(&root(), "fdk-test-init", &more);
    let output = docker(&["run", "--rm", "--network", "none", "-e", "FN_FUNCTION_NAME=shop", &image]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let ours = new(&["shop", "--task", "embed", "--tar"]);
    assert!(output.stdout == ours, "{} bytes from the image, {} here", output.stdout.len(), ours.len());
}
