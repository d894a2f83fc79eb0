//! Prepared models beside their originals: `.prepared` in an assets folder is an assets folder of its own, with the same manifest
//! and heads, and each model's files as links together with what was made of them.
//!
//! A stamp says of what a model was made, so that it is made once: of files of these sizes and times, at this precision, by this
//! version of the format.

use crate::{Error, Result};
use fdk_inference::Assets;
use fdk_inference::assets::PREPARED_VERSION;
use fdk_inference::manifest::FILE_NAME;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The folder within an assets folder.
const FOLDER: &str = ".prepared";
/// A prepared file's name in a model's folder.
const PREPARED: &str = "model.prepared";

/// Tasks whose models are used from their own files.
const FROM_THEIR_FILES: [&str; 2] = ["detect_speech", "transcribe"];

/// What is known of a model without the tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is prepared, or was found to have nothing to prepare: this assets folder serves it.
    Ready(PathBuf),
    /// The tool is to prepare it.
    ToPrepare,
}

/// What a prepared model was made of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    version: u32,
    precision: String,
    /// Path, size, and nanoseconds since 1970.
    files: Vec<(String, u64, u64)>,
    /// False: it is of a kind that is used from its own files.
    prepared: bool,
}

/// Whether a model that has been fetched is to be prepared, at a precision (`f32`, `f16` or `int8`).
pub fn look(assets: &Path, name: &str, precision: &str) -> Result<State> {
    let model = locate(assets, name)?;
    let from_its_files = FROM_THEIR_FILES.contains(&model.model().task.as_str());
    // One that somebody prepared in its own folder is served as it is.
    if from_its_files || model.path(PREPARED).exists() {
        return Ok(State::Ready(assets.into()));
    }
    let beside = folder(assets);
    let now = Stamp::of(assets, &model, precision);
    Ok(match Stamp::read(&beside, name) {
        Some(then) if then == now => State::Ready(beside),
        Some(then) if then == now.without() => State::Ready(assets.into()),
        _ => State::ToPrepare,
    })
}

/// Where an assets folder's prepared models are.
pub(crate) fn folder(assets: &Path) -> PathBuf {
    assets.join(FOLDER)
}

pub(crate) fn locate(assets: &Path, name: &str) -> Result<Assets> {
    Assets::locate(assets, Some(name)).map_err(|error| Error::failed(error.to_string()))
}

impl Stamp {
    /// Of a model as it is now.
    pub(crate) fn of(assets: &Path, model: &Assets, precision: &str) -> Self {
        let head = model.head_path();
        let own = model.model().files.iter().map(|file| model.path(&file.path));
        let mut files = Vec::new();
        for path in own.chain([assets.join(FILE_NAME), head]) {
            let Ok(found) = fs::metadata(&path) else { continue };
            let modified = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let modified =
                modified.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or_default();
            let path = path.strip_prefix(assets).unwrap_or(&path).display().to_string();
            files.push((path, found.len(), modified));
        }
        Self { version: PREPARED_VERSION, precision: precision.into(), files, prepared: true }
    }

    /// The same, of a model that is used from its own files.
    pub(crate) fn without(self) -> Self {
        Self { prepared: false, ..self }
    }

    fn read(folder: &Path, name: &str) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::path(folder, name)).ok()?).ok()
    }

    #[cfg(feature = "tool")]
    pub(crate) fn write(&self, folder: &Path, name: &str) -> std::io::Result<()> {
        fs::write(Self::path(folder, name), serde_json::to_vec(self)?)
    }

    fn path(folder: &Path, name: &str) -> PathBuf {
        folder.join(format!("{name}.stamp"))
    }
}
