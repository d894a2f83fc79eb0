//! Compiles a model's files into its prepared file.

use crate::assets::{Assets, sha256};
use crate::decoder_file;
use crate::error::Error;
use crate::manifest::File;
use crate::map::map;
use crate::models::checkpoint::Checkpoint;
use crate::models::family::Family;
use crate::models::head::Head;
use crate::models::pack;
use crate::models::precision::Precision;
use crate::picture_file;
use crate::prepared::{self, Maker, Origin};
use crate::verified::Mark;
use crate::wordpiece::{self, WordPiece};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::BufWriter;
use std::path::PathBuf;

/// The files that an encoder's tables are made of.
const SOURCES: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];

/// What was prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The prepared file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// The files that the function can do without now.
    pub replaced: Vec<String>,
}

/// Writes the prepared file of a model into its folder, whole or not at all, and marks it as verified. `None` for a model
/// that is none of an encoder, a decoder that the kernels compute, and one of pictures, or whose own files are gone. A decoder's
/// weights stay as they are quantised, whatever the precision.
pub fn prepare(assets: &Assets, precision: Precision) -> Result<Option<Report>, Error> {
    let whole = SOURCES.iter().all(|file| assets.path(file).exists());
    let family = Family::read(assets).ok().filter(|family| whole && pack::shape(family).is_ok());
    let mut maker = match family {
        Some(family) => tables(assets, &family, precision)?,
        None if picture_file::is_there(assets) => picture_file::tables(assets, precision)?,
        None => match decoder(assets)? {
            Some(maker) => maker,
            None => return Ok(None),
        },
    };
    // What nobody else says a start must be able to hold the folder against, and need not read again.
    let mut marked = Vec::new();
    for origin in maker.unstated() {
        let path = assets.path(&origin.path);
        let fails = |error| Error::assets(format!("{}: {error}", path.display()));
        origin.sha256 = sha256(&path).map_err(fails)?;
        marked.push(File { path: origin.path.clone(), size: origin.size, sha256: origin.sha256.clone() });
    }
    let path = assets.path(prepared::FILE_NAME);
    let partial = assets.path(&format!("{}.part", prepared::FILE_NAME));
    let fails = |error: std::io::Error| Error::assets(format!("{}: {error}", path.display()));
    let written = fs::File::create(&partial).and_then(|file| {
        let mut out = BufWriter::new(file);
        maker.write(&mut out)?;
        // On the disk before it has its name.
        out.get_ref().sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&partial, &path)) {
        let _ = fs::remove_file(&partial);
        return Err(fails(error));
    }
    let file = prepared::Prepared::map(&path)?;
    // What is on the disk now is what it should be.
    file.check_content()?;
    marked.push(File { path: prepared::FILE_NAME.into(), size: file.bytes(), sha256: file.sha256().into() });
    Mark::write(&assets.path(""), &marked).map_err(fails)?;
    let replaced =
        file.made_of().iter().filter(|origin| origin.replaced).map(|origin| origin.path.clone()).collect();
    Ok(Some(Report { path, bytes: file.bytes(), replaced }))
}

fn decoder(assets: &Assets) -> Result<Option<Maker>, Error> {
    // Elsewhere candle runs it, of the GGUF.
    if cfg!(target_arch = "x86_64") && assets.gguf().is_ok_and(|file| file.is_file()) {
        return decoder_file::tables(assets);
    }
    Ok(None)
}

/// An encoder's tables, from the files of its checkpoint.
pub(crate) fn tables(assets: &Assets, family: &Family, precision: Precision) -> Result<Maker, Error> {
    let shape = pack::shape(family).map_err(|why| Error::model("cannot be prepared", why))?;
    let fails = |error| Error::model("has a model.safetensors that does not fit its config.json", error);
    let mut maker = Maker::new(prepared::ENCODER, precision.name());
    let file = map(&assets.path("model.safetensors"))
        .map_err(|error| Error::model("has no readable model.safetensors", error))?;
    let checkpoint = Checkpoint::parse(&file)?;
    let weights = checkpoint.weights();
    pack::pack(&family.encoder(weights), family, shape, precision, &mut maker).map_err(fails)?;
    let encoders = checkpoint.used();
    Head::of(weights, family).map_err(fails)?;
    for name in checkpoint.used().difference(&encoders) {
        let tensor = weights.get_unchecked(name).map_err(fails)?;
        let numbers = tensor.flatten_all().and_then(|tensor| tensor.to_vec1::<f32>()).map_err(fails)?;
        maker.add_shaped(format!("head.{name}"), numbers, tensor.dims());
    }
    checkpoint.check(family)?;
    let text = fs::read(assets.path("tokenizer.json"))
        .map_err(|error| Error::model("has no usable tokenizer.json", error))?;
    let json: Value =
        serde_json::from_slice(&text).map_err(|error| Error::model("has no usable tokenizer.json", error))?;
    let mut about = Map::new();
    let own = WordPiece::prepare(&json, &mut maker);
    // Where tokens stand in a text the crate says, from the original.
    let tokenizer = own.is_some() && !family.is_token_classifier();
    about.insert(wordpiece::ABOUT.into(), json!(own));
    let origin = |file: &File| Origin {
        path: file.path.clone(),
        size: file.size,
        sha256: file.sha256.clone(),
        replaced: file.path == "model.safetensors" || (tokenizer && file.path == "tokenizer.json"),
    };
    let sources = assets.model().files.iter().filter(|file| SOURCES.contains(&file.path.as_str()));
    maker.describe(sources.map(origin).collect(), Value::Object(about));
    Ok(maker)
}
