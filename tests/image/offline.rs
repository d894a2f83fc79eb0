//! Without a network, and twice the same.

use crate::engine::file_of;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use workspace_tests::root;

/// From vendored sources, in another context, with no network: the binary is the one that the registry's sources gave.
#[test]
fn vendored_sources_build_the_same_binary_without_a_network() {
    if !crate::thorough("vendored_sources_build_the_same_binary_without_a_network") {
        return;
    }
    let Some(engine) = crate::engine() else { return };
    let hello = engine.build_from_source("hello", &[]);
    let context = tempfile::tempdir().unwrap();
    copy_workspace(context.path());
    let mut vendor = cargo_fdk::compile::cargo();
    // Not -q: it keeps back what belongs into the configuration as well.
    vendor.args(["vendor", "--versioned-dirs", "--locked", ".cargo/vendor"]);
    let output = vendor.current_dir(context.path()).output().unwrap();
    assert!(output.status.success(), "{}", crate::engine::text(&output.stderr));
    let config = context.path().join(".cargo/config.toml");
    fs::OpenOptions::new().append(true).open(config).unwrap().write_all(&output.stdout).unwrap();
    // After the engine's own arguments, so it wins.
    let more = ["--network", "none", "--build-arg", "FUNCTION=hello"];
    let offline = engine.build_in(context.path(), "fdk-test-offline", &more);
    let binary = |image: &str| fs::read(file_of(image, "/function/func", context.path())).unwrap();
    assert!(binary(&hello) == binary(&offline), "the two builds gave two binaries");
}

/// What is in the workspace and no build's output, and no model.
pub(crate) fn copy_workspace(to: &Path) {
    let pack = "tar -C \"$0\" --exclude=target --exclude=.workspace --exclude=.git --exclude=.venv --exclude=vendor \
                --exclude='model-assets/*/*' -c . | tar -C \"$1\" -x";
    let status = Command::new("sh").args(["-ec", pack]).arg(root()).arg(to).status().unwrap();
    assert!(status.success());
}
