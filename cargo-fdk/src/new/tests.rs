use super::*;
use crate::function::Function;
use std::collections::HashSet;
use std::io::Read as _;

#[test]
fn each_task_is_a_function_folder_that_resolves_offline() {
    for task in Task::value_variants() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("shop");
        write(&folder, &project::files("shop", *task, false).unwrap()).unwrap();
        let function = Function::read(&folder).unwrap();
        assert_eq!((function.name(), function.package()), ("shop", "shop"));
        assert_eq!(function.model().is_some(), *task != Task::None);
        let workflow = std::fs::read_to_string(folder.join(".github/workflows/ci.yml")).unwrap();
        let workflow: serde_json::Value = serde_yaml_ng::from_str(&workflow).unwrap();
        let steps = workflow["jobs"]["function"]["steps"].as_array().unwrap();
        let fetches = steps.iter().filter_map(|step| step["run"].as_str()).any(|run| run.contains(" fetch "));
        assert_eq!(fetches, *task != Task::None);
        let judged = steps.last().unwrap()["run"].as_str().unwrap();
        assert!(judged.starts_with("cargo fdk check --image shop") && !judged.contains('@'), "{judged}");
        let tree = crate::compile::cargo()
            .args(["tree", "--offline", "--manifest-path"])
            .arg(folder.join("Cargo.toml"))
            .output()
            .unwrap();
        assert!(tree.status.success(), "{task:?}: {}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8_lossy(&tree.stdout);
        assert!(tree.contains("vendor/fdk/fdk/runtime"), "{task:?}");
        let light = matches!(task, Task::None | Task::ClassifyImage | Task::Transcribe);
        assert_eq!(tree.contains("candle"), !light, "{task:?}");
    }
}

#[test]
fn a_folder_that_is_there_is_left_alone() {
    let above = tempfile::tempdir().unwrap();
    let refused = write(above.path(), &[]).unwrap_err();
    assert!(refused.to_string().contains("File exists"), "{refused}");
}

#[test]
fn the_tar_has_folders_before_files_and_no_compression() {
    let files = project::files("shop", Task::None, true).unwrap();
    let tar = archive(&files).unwrap();
    let mut made = HashSet::from([String::new()]);
    let mut names = Vec::new();
    for entry in tar::Archive::new(tar.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let path = path.trim_end_matches('/').to_owned();
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        assert!(made.contains(above), "{path} before {above}");
        if entry.header().entry_type().is_dir() {
            made.insert(path);
        } else {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert_eq!(content, files.iter().find(|file| file.path == path).unwrap().content);
            names.push(path);
        }
    }
    assert!(names.contains(&"func.init.yaml".into()) && !names.contains(&"func.yaml".into()));
    assert_eq!(names.len(), files.len());
}
