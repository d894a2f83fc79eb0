//! `cargo fdk new`: a function project that builds, tests, starts here and deploys; and the same as an init image's output.

mod project;

use crate::{Error, Result};
use clap::{Args, ValueEnum};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct Options {
    /// The function's name, and the folder to make; what `fn init` says when not given
    #[arg(env = "FN_FUNCTION_NAME")]
    name: String,
    /// What it is for
    #[arg(long, value_enum, default_value = "none", env = "FDK_TASK")]
    task: Task,
    /// Write a tar of the files to stdout instead, with func.init.yaml: what `fn init --init-image` wants of an image
    #[arg(long)]
    tar: bool,
}

/// What a function is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Task {
    /// Sentence embeddings
    Embed,
    /// Labels, those of the request or the model's own
    Classify,
    /// The order of documents by a query
    Rerank,
    /// Chat and completion
    Generate,
    /// What is in a picture
    #[value(name = "classify_image")]
    ClassifyImage,
    /// What is said in a recording
    Transcribe,
    /// No model: JSON in, JSON out
    None,
}

/// One file of a project.
pub(crate) struct File {
    /// Within the project, with slashes.
    pub(crate) path: String,
    pub(crate) content: Vec<u8>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = Path::new(&options.name);
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !starts_well || !name.chars().all(plain) {
        return Err(Error::usage(format!(
            "{name:?} names no function: lower-case letters, digits, - and _, a letter first"
        )));
    }
    let files = project::files(name, options.task, options.tar)?;
    if options.tar {
        let stdout = std::io::stdout();
        if stdout.is_terminal() {
            return Err(Error::usage("--tar writes binary to stdout: give it a pipe or a file"));
        }
        let tar = archive(&files).map_err(unwritten)?;
        return stdout.lock().write_all(&tar).map_err(unwritten);
    }
    write(folder, &files)?;
    let _ = writeln!(
        anstream::stderr(),
        "{} is there: cd {0} && cargo test, cargo fdk start, fn deploy --app APP",
        folder.display()
    );
    Ok(())
}

/// Makes the folder; one that is there is left alone.
fn write(folder: &Path, files: &[File]) -> Result<()> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| Error::failed(format!("{path}: {error}"))
    };
    std::fs::create_dir(folder).map_err(failed(folder))?;
    for file in files {
        let path: PathBuf = folder.join(&file.path);
        if let Some(above) = path.parent() {
            std::fs::create_dir_all(above).map_err(failed(above))?;
        }
        std::fs::write(&path, &file.content).map_err(failed(&path))?;
    }
    Ok(())
}

/// An uncompressed tar, each folder before what is in it: the CLI makes no folder by itself (`untarStream`).
fn archive(files: &[File]) -> std::io::Result<Vec<u8>> {
    let mut folders: Vec<&str> = files
        .iter()
        .flat_map(|file| file.path.match_indices('/').map(|(end, _)| &file.path[..end]))
        .collect();
    // What is above sorts before.
    folders.sort_unstable();
    folders.dedup();
    let mut tar = tar::Builder::new(Vec::new());
    let header = |kind, size, mode| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(mode);
        header.set_mtime(0);
        header
    };
    for folder in folders {
        tar.append_data(&mut header(tar::EntryType::Directory, 0, 0o755), folder, std::io::empty())?;
    }
    for file in files {
        let mut header = header(tar::EntryType::Regular, file.content.len() as u64, 0o644);
        tar.append_data(&mut header, &file.path, file.content.as_slice())?;
    }
    tar.into_inner()
}

#[expect(clippy::needless_pass_by_value, reason = "it is a mapper of errors")]
fn unwritten(error: std::io::Error) -> Error {
    Error::failed(format!("the tar cannot be written: {error}"))
}

#[cfg(test)]
mod tests;
