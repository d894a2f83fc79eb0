//! From a function folder to a function of the platform: what `fn deploy --local` does, without an engine.

use crate::function::{self, Function};
use crate::images::{self, Image};
use crate::platform::Platform;
use crate::sandbox::USER;
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

/// Refuses a model that not everybody may read: within its walls a function is another user than root. Its files may be
/// somebody's own, or other names of theirs, and so nothing is changed here.
fn check_readable(model: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut left = vec![model.to_owned()];
    while let Some(path) = left.pop() {
        let failed = |error: std::io::Error| Error::failed(format!("{}: {error}", path.display()));
        let found = std::fs::metadata(&path).map_err(failed)?;
        let needed = if found.is_dir() { 0o005 } else { 0o004 };
        if found.permissions().mode() & needed != needed {
            return Err(Error::failed(format!(
                "{}: only its owner may read it, and a function is user {USER}: run `chmod -R a+rX {}`",
                path.display(),
                model.display()
            )));
        }
        if !path.is_symlink() && found.is_dir() {
            let entries = std::fs::read_dir(&path).map_err(failed)?;
            let own = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
            left.extend(entries.flatten().filter(|entry| !own(&entry.file_name())).map(|entry| entry.path()));
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
        check_readable(&assets.join(model))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_model_that_only_its_owner_may_read_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (model, own) = (folder.path().join("m"), folder.path().join("own"));
        fs::create_dir_all(model.join("1_Pooling")).unwrap();
        fs::write(model.join("1_Pooling/config.json"), "{}").unwrap();
        fs::write(&own, "weights").unwrap();
        let mode = |path: &Path, mode: u32| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        for path in [&model, &model.join("1_Pooling")] {
            mode(path, 0o755);
        }
        mode(&model.join("1_Pooling/config.json"), 0o644);
        fs::write(model.join(".lock"), "").unwrap();
        mode(&model.join(".lock"), 0o600);
        check_readable(&model).unwrap();
        // Another name of a file of the user's own, and a link to it.
        mode(&own, 0o600);
        let links: [fn(&Path, &Path) -> std::io::Result<()>; 2] =
            [|from, to| fs::hard_link(from, to), |from, to| std::os::unix::fs::symlink(from, to)];
        for link in links {
            let weights = model.join("w");
            link(&own, &weights).unwrap();
            assert_eq!(
                check_readable(&model).unwrap_err().to_string(),
                format!(
                    "{}: only its owner may read it, and a function is user 1000: run `chmod -R a+rX {}`",
                    weights.display(),
                    model.display()
                )
            );
            assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o600);
            fs::remove_file(weights).unwrap();
        }
        mode(&model, 0o700);
        assert!(check_readable(&model).is_err());
    }
}
