//! Takes every committed seed of the fuzz targets, past findings among them, through its property.

use std::path::Path;

type Run = fn(&[u8]);

const TARGETS: &[(&str, Run)] = &[
    ("api", properties::api::run),
    ("authorization", properties::authorization::run),
    ("content", properties::content::run),
    ("deadline", properties::deadline::run),
    ("exchange", properties::exchange::run),
    ("folder", properties::folder::run),
    ("gateway", properties::gateway::run),
    ("gguf", properties::gguf::run),
    ("listener", properties::listener::run),
    ("policy", properties::policy::run),
    ("prepared", properties::prepared::run),
    ("principal", properties::principal::run),
    ("request", properties::request::run),
    ("weights", properties::weights::run),
];

fn main() {
    // It starts this program anew, with the environment that a listener needs.
    properties::exchange::with_listener();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let folders = std::fs::read_dir(&corpus).expect("the seeds").count();
    assert_eq!(folders, TARGETS.len(), "each target has a folder of seeds in {}", corpus.display());
    for (name, run) in TARGETS {
        let mut seeds: Vec<_> = std::fs::read_dir(corpus.join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .map(|entry| entry.expect("a seed").path())
            .collect();
        seeds.sort();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in &seeds {
            // A panic ends this with the name before it.
            let input = std::fs::read(seed).expect("a seed");
            let held = std::panic::catch_unwind(|| run(&input)).is_ok();
            assert!(held, "{} breaks its property", seed.display());
        }
        println!("test {name} ... ok ({} seeds)", seeds.len());
    }
    // A server of one of them may still run.
    std::process::exit(0);
}
