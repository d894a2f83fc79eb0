//! What a function links: no more than it asks for.

use workspace_tests::root;

/// The crates of a package of this workspace, a line each.
fn linked(package: &str) -> String {
    let output = cargo_fdk::compile::cargo()
        .args(["tree", "--offline", "-e", "normal", "--prefix", "none", "-p", package])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{package}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_function_without_a_model_and_one_that_sees_link_no_candle() {
    for package in ["hello", "vision"] {
        let crates = linked(package);
        assert!(crates.contains("fdk-runtime v") && !crates.contains("candle"), "{package}: {crates}");
    }
    assert!(!linked("hello").contains("fdk-inference v"));
    assert!(linked("embed").contains("candle-core v"), "a test that sees nothing");
}
