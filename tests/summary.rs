//! Counts the tests that could not run for want of a tool. Cargo runs it after the others, whose names sort before it.

#![allow(clippy::print_stdout, reason = "this is what a person reads at the end")]

fn main() {
    let tally = workspace_tests::not_run::tally();
    let tests = std::fs::read_to_string(&tally).unwrap_or_default();
    let _ = std::fs::remove_file(tally);
    println!("\nNOT RUN: {} tests", tests.lines().count());
    for test in tests.lines() {
        println!("  {test}");
    }
    println!();
}
