//! The prepared file of a model's folder: whether there is one to be used, and whether it is still of the files beside it.

use super::{DECODER, FILE_NAME, Origin, Prepared};
use crate::assets::{Assets, sha256};
use crate::error::Error;
use crate::manifest::File;
use crate::verified::Mark;
use std::fs;
use std::path::Path;

impl Assets {
    /// The model's prepared file, checked, which must be of this kind. `None` when there is none, or when it is not to be used
    /// and the files it would stand for are there; that is told in the log.
    pub(crate) fn prepared(&self, kind: &str) -> Result<Option<Prepared>, Error> {
        let path = self.path(FILE_NAME);
        if !path.exists() {
            return Ok(None);
        }
        let why = match self.open_prepared(&path, kind) {
            Ok(file) => return Ok(Some(file)),
            Err(why) => why,
        };
        let name = self.name();
        let here = |path: &str| self.path(path).exists();
        // An unlisted folder lists only what is there; what is not there the prepared file knows.
        let replaces_absent = Prepared::map(&path)
            .is_ok_and(|file| file.made_of().iter().any(|origin| origin.replaced && !here(&origin.path)));
        if !replaces_absent && self.model().files.iter().all(|file| here(&file.path)) {
            tracing::warn!(
                target: "fdk::assets", model = name,
                "{}: {why}; the model's own files are used instead, slower: run `cargo fdk assets prepare {name}`",
                path.display()
            );
            return Ok(None);
        }
        Err(Error::assets(format!("{}: {why}; run `cargo fdk assets prepare {name}`", path.display())))
    }

    /// Whether its prepared file is a decoder's.
    pub(crate) fn is_decoder(&self) -> bool {
        Prepared::map(&self.path(FILE_NAME)).is_ok_and(|file| file.kind() == DECODER)
    }

    fn open_prepared(&self, path: &Path, kind: &str) -> Result<Prepared, String> {
        let because = |error: Error| match std::error::Error::source(&error) {
            Some(source) => source.to_string(),
            None => error.to_string(),
        };
        let timings = self.timings();
        let file = timings.time("map", || Prepared::map(path)).map_err(because)?;
        if file.kind() != kind {
            return Err(format!("it is for a model of another kind, {}", file.kind()));
        }
        let mark = Mark::read(&self.path(""));
        for origin in file.made_of() {
            if !self.has_still(origin, &mark) {
                return Err(format!("it was made of another {}", origin.path));
            }
        }
        let own = File { path: FILE_NAME.into(), size: file.bytes(), sha256: file.sha256().into() };
        let found = fs::metadata(path).map_err(|error| error.to_string())?;
        if !mark.vouches(&own, &found) {
            timings.time("hash", || file.check_content()).map_err(because)?;
        }
        Ok(file)
    }

    /// Whether a file is what it was when the prepared one was made of it, or is not there and not needed. What the manifest
    /// lists has been verified against it; any other file is read again unless the mark vouches for it.
    fn has_still(&self, origin: &Origin, mark: &Mark) -> bool {
        let now = self.model().files.iter().find(|now| now.path == origin.path);
        // An unlisted folder has only what is there.
        let Some(now) = now else { return !self.is_listed() && origin.replaced };
        if self.is_listed() || now.size != origin.size {
            return now.size == origin.size && now.sha256 == origin.sha256;
        }
        let path = self.path(&origin.path);
        let then = File { path: origin.path.clone(), size: origin.size, sha256: origin.sha256.clone() };
        fs::metadata(&path).is_ok_and(|found| mark.vouches(&then, &found))
            || self.timings().time("hash", || sha256(&path)).is_ok_and(|found| found == origin.sha256)
    }
}
