//! Functions as the platform runs them: built in this test's profile, started by the agent.

use crate::http1::Connection;
use cargo_fdk::agent::{Container, Spec};
use cargo_fdk::compile;
use cargo_fdk::function::Function;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// An example, built once for this test binary, its model fetched.
pub fn spec(name: &str) -> Spec {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let function = Function::read(&crate::root().join("examples").join(name)).unwrap();
    let mut config: Vec<_> =
        function.config().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut visible = Vec::new();
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    let executable = built.entry(name.into()).or_insert_with(|| compile::build(&function).unwrap()).clone();
    if let Some(model) = function.model() {
        let folder = fdk_models::folder_for(function.folder()).unwrap();
        fdk_models::fetch(&folder, &[model.to_owned()]).unwrap();
        config.push(("FDK_ASSETS_DIR".into(), folder.display().to_string()));
        visible.push(folder);
    }
    let mut spec = Spec::new(name, executable);
    spec.config = config;
    spec.memory = function.memory();
    spec.timeout = function.timeout();
    spec.visible = visible;
    spec
}

/// Starts an example with more configuration.
pub async fn start(name: &str, config: &[(&str, &str)]) -> Container {
    let mut spec = spec(name);
    spec.config.extend(config.iter().map(|(key, value)| ((*key).into(), (*value).into())));
    Container::start(&spec).await.unwrap_or_else(|fault| panic!("{name} does not start: {fault}"))
}

/// A connection of the test's own to a running function.
pub async fn connect(container: &Container) -> Connection {
    Connection::open(&container.directory().join("lsnr.sock")).await
}

/// Waits until the function has printed a line that holds `text`, and returns all lines.
pub async fn wait_for_line(container: &Container, text: &str) -> Vec<String> {
    for _ in 0..1000 {
        let lines = container.logs().lines();
        if lines.iter().any(|line| line.contains(text)) {
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no line with {text:?} within 10 s: {:#?}", container.logs().lines());
}
