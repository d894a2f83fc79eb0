//! The tests that SECURITY.md names exist.

use std::collections::BTreeSet;
use std::path::Path;
use workspace_tests::root;

/// The names of the tests in a folder's Rust files.
fn tests(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            tests(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut lines = text.lines().map(str::trim);
            while let Some(line) = lines.next() {
                if line == "#[test]" || line.starts_with("#[tokio::test") {
                    // Other attributes may be between.
                    let name = lines.find_map(|line| line.split_once("fn ")?.1.split('(').next());
                    names.extend(name.map(str::to_owned));
                }
            }
        }
    }
}

#[test]
fn each_test_that_the_security_page_names_exists() {
    let mut names = BTreeSet::new();
    for folder in ["cargo-fdk", "fdk", "tests"] {
        tests(&root().join(folder), &mut names);
    }
    let page = std::fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let promises = page.lines().filter_map(|line| line.strip_prefix("| ")?.rsplit_once(" | "));
    let mut checked = 0;
    for (promise, held) in promises.filter(|(promise, _)| *promise != "promised") {
        let tests: Vec<_> = held.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test holds: {promise}");
        for test in tests {
            assert!(names.contains(test), "SECURITY.md names {test}, and there is no such test");
            checked += 1;
        }
    }
    assert!(checked > 60, "{checked}");
}
