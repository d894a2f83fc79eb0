//! Takes the FDK's own sources into the command line, so that `cargo fdk new` can put them into a project.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = here.parent().unwrap_or(&here).to_owned();
    let mut files = Vec::new();
    for name in ["Cargo.toml", "Cargo.lock", "model-assets/models.toml", "LICENSE"] {
        if root.join(name).is_file() {
            files.push(root.join(name));
        }
    }
    gather(&root.join("fdk"), &mut files)?;
    files.sort();
    let mut source = "&[\n".to_owned();
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.strip_prefix(&root).unwrap_or(file).display().to_string();
        writeln!(source, "({name:?}, include_bytes!({:?}).as_slice()),", file.display().to_string())
            .map_err(io::Error::other)?;
    }
    source.push(']');
    println!("cargo::rerun-if-changed=../fdk");
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("sources.rs"), source)
}

/// The files of a folder, without those of tests.
fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !["tests", "target"].contains(&name.as_str()) {
            gather(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}
