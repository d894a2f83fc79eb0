//! Takes every committed seed of the fuzz targets, past findings among them, through its property.

use std::path::Path;

type Run = fn(&[u8]);

const TARGETS: &[(&str, Run)] = &[
    ("api", properties::api::run),
    ("authorization", properties::authorization::run),
    ("chat", properties::chat::run),
    ("content", properties::content::run),
    ("deadline", properties::deadline::run),
    ("exchange", properties::exchange::run),
    ("folder", properties::folder::run),
    ("gateway", properties::gateway::run),
    ("gguf", properties::gguf::run),
    ("listener", properties::listener::run),
    ("multipart", properties::multipart::run),
    ("policy", properties::policy::run),
    ("prepared", properties::prepared::run),
    ("principal", properties::principal::run),
    ("request", properties::request::run),
    ("schema", properties::schema::run),
    ("sealed", properties::sealed::run),
    ("vocabulary", properties::vocabulary::run),
    ("weights", properties::weights::run),
];

fn main() {
    // It starts this program anew, with the environment that a listener needs.
    properties::exchange::with_listener();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let folders = std::fs::read_dir(&corpus).expect("the seeds").count();
    assert_eq!(folders, TARGETS.len(), "each target has a folder of seeds in {}", corpus.display());
    let mut broken = Vec::new();
    for (name, run) in TARGETS {
        let mut seeds: Vec<_> = std::fs::read_dir(corpus.join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .map(|entry| entry.expect("a seed").path())
            .collect();
        seeds.sort();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let before = broken.len();
        for seed in &seeds {
            let input = std::fs::read(seed).expect("a seed");
            if std::panic::catch_unwind(|| run(&input)).is_err() {
                broken.push(seed.display().to_string());
            }
        }
        let outcome = if broken.len() == before { "ok" } else { "FAILED" };
        println!("test {name} ... {outcome} ({} seeds)", seeds.len());
    }
    let own = format!("-{}", std::process::id());
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("fuzz-") && name.ends_with(&own) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    assert!(broken.is_empty(), "these break their properties:\n{}", broken.join("\n"));
    // A server of one of them may still run.
    std::process::exit(0);
}
