//! The weights of a classifier of pictures: its prepared file, or its checkpoint made into one.

use crate::assets::Assets;
use crate::error::Error;
use crate::formats::legacy_pth;
use crate::manifest::File;
use crate::map::map;
use crate::models::efficientnet_tables;
use crate::models::precision::Precision;
use crate::prepared::{self, Maker, Origin};
use serde_json::json;

/// What the header says of the number of classes.
const CLASSES: &str = "classes";

/// Whether the model classifies pictures and has its checkpoint still.
#[cfg(feature = "text")]
pub(crate) fn is_there(assets: &Assets) -> bool {
    assets.model().task == "classify_image" && assets.file_ending(".pth").is_ok_and(|path| path.is_file())
}

/// The tables of the model's checkpoint (`.pth`). There are none of eight bits: they are of half precision then.
pub(crate) fn tables(assets: &Assets, precision: Precision) -> Result<Maker, Error> {
    let precision = if precision == Precision::Int8 { Precision::F16 } else { precision };
    let path = assets.file_ending(".pth")?;
    let file = map(&path).map_err(|error| Error::assets(format!("{}: {error}", path.display())))?;
    let mut maker = Maker::new(prepared::PICTURES, precision.name());
    let classes = efficientnet_tables::pack(&legacy_pth::read(&file)?, precision, &mut maker)?;
    let checkpoint = |file: &&File| assets.path(&file.path) == path;
    let made_of = assets.model().files.iter().filter(checkpoint).map(|file| Origin {
        path: file.path.clone(),
        size: file.size,
        sha256: file.sha256.clone(),
        replaced: true,
    });
    maker.describe(made_of.collect(), json!({ CLASSES: classes }));
    Ok(maker)
}

/// The model's prepared file and its number of classes. Where there is none it is made in memory, exactly.
#[cfg(feature = "vision")]
pub(crate) fn open(assets: &Assets) -> Result<(prepared::Prepared, usize), Error> {
    let (timings, name) = (assets.timings(), assets.name());
    let found = assets.prepared(prepared::PICTURES)?;
    let precision = found.as_ref().map(|file| file.precision().to_owned());
    timings
        .fact("prepared", precision.unwrap_or_else(|| format!("no: run `cargo fdk assets prepare {name}`")));
    let file = if let Some(file) = found {
        file
    } else {
        tracing::info!(
            target: "fdk::assets", model = name,
            "there is no prepared file: the model's own files are packed, which takes time and memory at each start; run `cargo fdk assets prepare {name}`"
        );
        timings.time("pack", || tables(assets, Precision::F32)?.open())?
    };
    let classes = file.about().get(CLASSES).and_then(serde_json::Value::as_u64);
    let classes = classes.and_then(|classes| usize::try_from(classes).ok());
    let lacks = || {
        Error::model("has a prepared file that cannot be used", "it does not say how many classes there are")
    };
    Ok((file, classes.ok_or_else(lacks)?))
}
