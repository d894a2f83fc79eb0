//! Compiles fetched models into prepared files.

use super::progress::Progress;
use crate::{Error, Result};
use fdk_inference::manifest::Manifest;
use fdk_inference::{Assets, Precision};
use std::error::Error as _;
use std::fs;
use std::path::Path;

/// Prepares models of an assets folder; all of the manifest's when `names` is empty. With `only`, what a prepared file stands
/// for is removed.
pub fn prepare(assets: &Path, names: &[String], precision: Precision, only: bool) -> Result<()> {
    let names: Vec<String> = if names.is_empty() {
        let manifest = Manifest::read(assets).map_err(|error| Error::failed(error.to_string()))?;
        manifest.names().map(str::to_owned).collect()
    } else {
        names.to_vec()
    };
    for name in &names {
        let progress = Progress::new(name);
        let model = Assets::open(assets, Some(name)).map_err(|error| Error::failed(error.to_string()))?;
        progress.line("packing its weights");
        let report = fdk_inference::prepare(&model, precision).map_err(|error| match error.source() {
            Some(source) => Error::failed(format!("{name}: {error}: {source}")),
            None => Error::failed(format!("{name}: {error}")),
        })?;
        let Some(report) = report else {
            progress.line("no model that can be prepared: it is used from its own files");
            continue;
        };
        let megabytes = report.bytes.div_ceil(1024 * 1024);
        progress.line(&format!("{} has {megabytes} MB", report.path.display()));
        for file in report.replaced.iter().filter(|_| only) {
            fs::remove_file(model.path(file))
                .map_err(|error| Error::failed(format!("{name}: {file}: {error}")))?;
            progress.line(&format!("removed {file}, which it stands for"));
        }
    }
    Ok(())
}
