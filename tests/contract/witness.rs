//! A function that tells what it knows and has.

use cargo_fdk::agent::{Container, Spec};

/// The function with this configuration.
pub(crate) fn spec(config: &[(&str, &str)]) -> Spec {
    let mut spec = Spec::new("witness", env!("CARGO_BIN_EXE_witness").into());
    spec.config = config.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    spec
}

pub(crate) async fn start(config: &[(&str, &str)]) -> Container {
    Container::start(&spec(config)).await.unwrap()
}
