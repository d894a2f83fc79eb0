//! Counts the tests that could not run for want of a tool. Cargo runs it after the others, whose names sort before it.

use std::collections::BTreeSet;

fn main() {
    let tally = workspace_tests::not_run::tally();
    let tests = std::fs::read_to_string(&tally).unwrap_or_default();
    // An earlier run that failed before it came here leaves its own lines.
    let tests: BTreeSet<&str> = tests.lines().collect();
    let _ = std::fs::remove_file(tally);
    println!("\nNOT RUN: {} tests", tests.len());
    for test in tests {
        println!("  {test}");
    }
    println!();
}
