//! What a function links: no more than it asks for, and candle as the command line has it.

use std::collections::BTreeSet;
use workspace_tests::root;

/// The crates of a package, a line each.
fn linked(package: &str) -> String {
    tree(package, &["-e", "normal"])
}

fn tree(package: &str, arguments: &[&str]) -> String {
    let output = cargo_fdk::compile::cargo()
        .args(["tree", "--offline", "--prefix", "none", "-p", package])
        .args(arguments)
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

/// Cargo builds a crate once for two packages when they, and all that it needs, have the same features in both.
#[test]
fn one_candle_serves_the_command_line_and_functions() {
    let lines = |package: &str, format: &str| -> BTreeSet<String> {
        let tree = tree(package, &["-e", "normal,build", "-f", format]);
        tree.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
    };
    let needed = lines("candle-transformers", "{p}");
    let of_candle = |package: &str| -> BTreeSet<String> {
        let all = lines(package, "{p}|{f}").into_iter();
        all.filter(|line| line.split_once('|').is_some_and(|(crate_, _)| needed.contains(crate_))).collect()
    };
    let (function, command_line) = (of_candle("embed"), of_candle("cargo-fdk"));
    assert!(function.len() > 50, "{function:?}");
    let differ: Vec<_> = function.symmetric_difference(&command_line).collect();
    assert!(differ.is_empty(), "{differ:?}");
}
