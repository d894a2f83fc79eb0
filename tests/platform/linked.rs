//! What a function links: no more than it asks for, and candle as the command line has it.

use std::collections::BTreeSet;
use workspace_tests::root;

/// The crates of a package, a line each.
fn linked(package: &str) -> String {
    tree(&["-p", package], &["-e", "normal"])
}

fn tree(packages: &[&str], arguments: &[&str]) -> String {
    let output = cargo_fdk::compile::cargo()
        .args(["tree", "--offline", "--prefix", "none"])
        .args(packages)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{packages:?}: {}", String::from_utf8_lossy(&output.stderr));
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

#[test]
fn the_command_line_links_neither_candle_nor_tokenizers() {
    let crates = linked("cargo-fdk");
    assert!(
        crates.contains("hyper v") && !crates.contains("candle") && !crates.contains("tokenizers"),
        "{crates}"
    );
}

#[test]
fn the_model_tool_needs_neither_hyper_nor_rsa() {
    let crates = tree(&["-p", "fdk-models", "--features", "tool"], &["-e", "normal"]);
    assert!(crates.contains("candle-core v") && crates.contains("tokenizers v"), "{crates}");
    assert!(!crates.contains("\nhyper v") && !crates.contains("\nrsa v"), "{crates}");
}

/// Cargo builds a crate once for several packages when it, and all that it needs, have the same features in each.
#[test]
fn one_candle_serves_functions_the_model_tool_and_tests() {
    let lines = |packages: &[&str], kinds: &str, format: &str| -> BTreeSet<String> {
        let tree = tree(packages, &["-e", kinds, "-f", format]);
        tree.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
    };
    let needed = lines(&["-p", "candle-nn"], "normal,build", "{p}");
    let of_candle = |packages: &[&str], kinds: &str| -> BTreeSet<String> {
        let all = lines(packages, kinds, "{p}|{f}").into_iter();
        all.filter(|line| line.split_once('|').is_some_and(|(crate_, _)| needed.contains(crate_))).collect()
    };
    let function = of_candle(&["-p", "embed"], "normal,build");
    assert!(function.len() > 50, "{function:?}");
    let tool = of_candle(&["-p", "fdk-models", "--features", "tool"], "normal,build");
    let tests = of_candle(&["--workspace"], "normal,build,dev");
    for (name, others) in [("the model tool", tool), ("tests", tests)] {
        let differ: Vec<_> = function.symmetric_difference(&others).collect();
        assert!(differ.is_empty(), "{name}: `one-candle` in fdk/inference/Cargo.toml must cover {differ:?}");
    }
}
