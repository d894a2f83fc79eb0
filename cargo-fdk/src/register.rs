//! From a function folder to a function of the platform: what `fn deploy --local` does, without an engine.

use crate::function::{self, Function};
use crate::images::{self, Image};
use crate::platform::Platform;
use crate::store::model::{App, Func, Trigger};
use crate::store::{Refusal, Window};
use crate::{Error, Result, compile, invoke};
use std::path::{Path, PathBuf};

/// The function folders in these: each itself, or those beneath it that have a `func.yaml`.
pub(crate) fn find(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in folders {
        let these =
            if folder.join("func.yaml").is_file() { vec![folder.clone()] } else { function::beneath(folder) };
        if these.is_empty() {
            return Err(Error::usage(format!(
                "{}: no func.yaml here or in a folder beneath; cargo fdk new makes a function",
                folder.display()
            )));
        }
        found.extend(these);
    }
    Ok(found)
}

/// The image of a function whose executable was built.
pub(crate) fn image(function: &Function, executable: PathBuf, assets: Option<PathBuf>) -> Image {
    let config = assets.iter().map(|dir| ("FDK_ASSETS_DIR".to_owned(), dir.display().to_string()));
    Image {
        name: images::name(function.name(), function.version()),
        source: function.folder().canonicalize().unwrap_or_else(|_| function.folder().into()),
        executable,
        config: config.collect(),
        visible: assets.into_iter().collect(),
    }
}

/// Lets everybody read a model that root fetched, as the Dockerfile does: within its walls a function is user 1000.
fn open_to_all(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let mut permissions = entry.metadata()?.permissions();
        let folder = entry.file_type()?.is_dir();
        let wanted = permissions.mode() | if folder { 0o055 } else { 0o044 };
        if wanted != permissions.mode() {
            permissions.set_mode(wanted);
            std::fs::set_permissions(entry.path(), permissions)?;
        }
        if folder {
            open_to_all(&entry.path())?;
        }
    }
    Ok(())
}

/// Fetches the function's model, builds the function and keeps it as an image. Returns where cargo left it, too.
pub(crate) async fn build(platform: &Platform, function: &Function) -> Result<(Image, PathBuf)> {
    let assets = invoke::assets(function).await?;
    if let (Some(assets), Some(model)) = (&assets, function.model())
        && rustix::process::geteuid().is_root()
    {
        let folder = assets.join(model);
        open_to_all(&folder).map_err(|error| Error::failed(format!("{}: {error}", folder.display())))?;
    }
    let executable = compile::build_while_serving(function).await?;
    let image = image(function, executable.clone(), assets);
    platform.images.keep(&image)?;
    Ok((image, executable))
}

/// Creates or updates application, function and triggers, in the order in which the CLI does. Returns the function's id.
pub(crate) fn register(platform: &Platform, app: &str, function: &Function, image: &Image) -> Result<String> {
    let store = &platform.store;
    let refused = |refusal: Refusal| Error::usage(format!("{}: {refusal}", function.name()));
    let app = match store.app_named(app) {
        Ok(app) => app,
        Err(_) => store.create_app(App { name: app.into(), ..App::default() }).map_err(refused)?,
    };
    let seconds = |duration: std::time::Duration| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
    let wanted = Func {
        image: image.name.clone(),
        memory: function.memory(),
        timeout: seconds(function.timeout()),
        idle_timeout: seconds(function.idle_timeout()),
        config: function.config().clone(),
        ..Func::default()
    };
    let func = if let Ok(func) = store.func_named(&app.id, function.name()) {
        store.update_func(&func.id, wanted)
    } else {
        store.create_func(Func { name: function.name().into(), app_id: app.id.clone(), ..wanted })
    };
    let func = func.map_err(refused)?;
    let mut left = store.triggers(&app.id, Some(&func.id), None, &Window::whole()).map_err(refused)?.items;
    for (name, source) in function.triggers() {
        let wanted = Trigger {
            name: name.into(),
            app_id: app.id.clone(),
            fn_id: func.id.clone(),
            kind: "http".into(),
            source,
            ..Trigger::default()
        };
        match left.iter().position(|trigger| trigger.name == wanted.name) {
            Some(place) => {
                let trigger = left.remove(place);
                store.update_trigger(&trigger.id, wanted).map(drop).map_err(refused)?;
            }
            None => drop(store.create_trigger(wanted).map_err(refused)?),
        }
    }
    Ok(func.id)
}
