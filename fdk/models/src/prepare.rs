//! Compiles fetched models into prepared files.

use crate::cli;
use crate::fetch::lock;
use crate::prepared::{self, Stamp, State, locate};
use crate::progress::Progress;
use crate::{Error, Result};
use fdk_inference::manifest::{FILE_NAME, Manifest};
use fdk_inference::verified::Mark;
use fdk_inference::{Assets, Precision};
use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Prepares models of an assets folder; all of the manifest's when none is named.
pub(crate) fn run(options: &cli::Prepare) -> Result<()> {
    let unknown = || Error::usage(format!("there is no precision '{}'", options.precision));
    let precision = Precision::parse(&options.precision).ok_or_else(unknown)?;
    let Some((assets, mut names)) = options.models.chosen()? else { return Ok(()) };
    if names.is_empty() {
        let manifest = Manifest::read(&assets).map_err(|error| Error::failed(error.to_string()))?;
        names = manifest.names().map(str::to_owned).collect();
    }
    for name in &names {
        if options.beside {
            beside(&assets, name, precision)?;
        } else {
            in_place(&assets, name, precision, options.only)?;
        }
    }
    Ok(())
}

/// Puts the prepared file into the model's own folder. With `only`, what it stands for is removed.
fn in_place(assets: &Path, name: &str, precision: Precision, only: bool) -> Result<()> {
    let progress = Progress::new(name);
    let model = Assets::open(assets, Some(name)).map_err(|error| Error::failed(error.to_string()))?;
    progress.line("packing its weights");
    let Some(report) = compile(&model, name, precision)? else {
        progress.line("no model that can be prepared: it is used from its own files");
        return Ok(());
    };
    progress.line(&format!("{} has {} MB", report.path.display(), megabytes(report.bytes)));
    for file in report.replaced.iter().filter(|_| only) {
        fs::remove_file(model.path(file))
            .map_err(|error| Error::failed(format!("{name}: {file}: {error}")))?;
        progress.line(&format!("removed {file}, which it stands for"));
    }
    Ok(())
}

/// Prepares in the folder beside the originals, unless it is done. Processes that prepare the same model wait for each other.
fn beside(assets: &Path, name: &str, precision: Precision) -> Result<()> {
    let progress = Progress::new(name);
    let original = locate(assets, name)?;
    let to = prepared::folder(assets);
    let folder = to.join(name);
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| Error::failed(format!("{path}: {error}"))
    };
    fs::create_dir_all(&folder).map_err(failed(&folder))?;
    let _lock = lock(&folder, &progress)?;
    if prepared::look(assets, name, precision.name())? != State::ToPrepare {
        return Ok(());
    }
    let began = Instant::now();
    progress.line(&format!("preparing it as {}, once", precision.name()));
    let stamp = Stamp::of(assets, &original, precision.name());
    let _ = fs::remove_file(folder.join("model.prepared"));
    if assets.join(FILE_NAME).is_file() {
        link(&assets.join(FILE_NAME), &to.join(FILE_NAME))?;
    }
    let head = original.head_path();
    if let (true, Ok(path)) = (head.is_file(), head.strip_prefix(assets)) {
        link(&head, &to.join(path))?;
    }
    for file in &original.model().files {
        // A file that an earlier prepared one stands for is not there.
        if original.path(&file.path).is_file() {
            link(&original.path(&file.path), &folder.join(&file.path))?;
        }
    }
    let model = Assets::open(&to, Some(name)).map_err(|error| Error::failed(error.to_string()))?;
    if model.is_listed() {
        // What has just been verified need not be read at each start.
        Mark::write(&folder, &model.model().files).map_err(failed(&folder))?;
    }
    let report = compile(&model, name, precision)?;
    let stamp = if let Some(report) = &report {
        let (seconds, size) = (began.elapsed().as_secs_f64(), megabytes(report.bytes));
        progress.line(&format!("prepared in {seconds:.1} s, {size} MB; this is done once"));
        stamp
    } else {
        progress.line("no model that can be prepared: it is used from its own files");
        stamp.without()
    };
    stamp.write(&to, name).map_err(failed(&to))
}

fn compile(model: &Assets, name: &str, precision: Precision) -> Result<Option<fdk_inference::Report>> {
    fdk_inference::prepare(model, precision).map_err(|error| match error.source() {
        Some(source) => Error::failed(format!("{name}: {error}: {source}")),
        None => Error::failed(format!("{name}: {error}")),
    })
}

/// Another name for a file, or a copy with the same times where it is on another file system.
fn link(from: &Path, to: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Error::failed(format!("{}: {error}", to.display()));
    if let Some(above) = to.parent() {
        fs::create_dir_all(above).map_err(failed)?;
    }
    match fs::remove_file(to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to).map_err(failed)?;
    let modified = fs::metadata(from).and_then(|found| found.modified()).map_err(failed)?;
    fs::File::options().write(true).open(to).and_then(|file| file.set_modified(modified)).map_err(failed)
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1024 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small classifier with seeded weights, of this workspace's tests.
    const MODEL: &str = "mood";

    fn assets() -> tempfile::TempDir {
        let assets = tempfile::tempdir().unwrap();
        let from =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/inference/checkpoints").join(MODEL);
        fs::create_dir(assets.path().join(MODEL)).unwrap();
        for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
            fs::copy(entry.path(), assets.path().join(MODEL).join(entry.file_name())).unwrap();
        }
        assets
    }

    #[test]
    fn a_model_is_prepared_beside_its_files_and_once() {
        let folder = assets();
        let assets = folder.path();
        let look = |precision| prepared::look(assets, MODEL, precision).unwrap();
        assert_eq!(look("f16"), State::ToPrepare);
        beside(assets, MODEL, Precision::F16).unwrap();
        let ready = State::Ready(assets.join(".prepared"));
        assert_eq!(look("f16"), ready);
        assert!(
            !assets.join(MODEL).join("model.prepared").exists(),
            "the model's own folder is left as it was"
        );
        let made = assets.join(".prepared").join(MODEL).join("model.prepared");
        let first = fs::metadata(&made).unwrap().modified().unwrap();
        beside(assets, MODEL, Precision::F16).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().modified().unwrap(), first, "it was made again");
        // Another precision, or another file, is another model.
        assert_eq!(look("int8"), State::ToPrepare);
        let config = assets.join(MODEL).join("config.json");
        let text = fs::read_to_string(&config).unwrap();
        fs::remove_file(&config).unwrap();
        fs::write(&config, text + "\n").unwrap();
        assert_eq!(look("f16"), State::ToPrepare);
        beside(assets, MODEL, Precision::F16).unwrap();
        assert_eq!(look("f16"), ready);
    }

    #[test]
    fn one_that_cannot_be_prepared_is_served_from_its_files_and_not_tried_again() {
        let folder = assets();
        let assets = folder.path();
        fs::write(assets.join(MODEL).join("config.json"), "{\"model_type\": \"other\"}").unwrap();
        beside(assets, MODEL, Precision::F16).unwrap();
        assert_eq!(prepared::look(assets, MODEL, "f16").unwrap(), State::Ready(assets.into()));
    }

    #[test]
    fn one_that_was_prepared_in_its_own_folder_is_served_as_it_is() {
        let folder = assets();
        let assets = folder.path();
        in_place(assets, MODEL, Precision::F32, true).unwrap();
        assert!(!assets.join(MODEL).join("model.safetensors").exists());
        assert_eq!(prepared::look(assets, MODEL, "f16").unwrap(), State::Ready(assets.into()));
    }
}
