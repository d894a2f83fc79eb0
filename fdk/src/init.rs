//! What a state loader is given.

#[cfg(feature = "model")]
use fdk_inference::assets::Verified;
use std::ops::Deref;
#[cfg(feature = "model")]
use std::path::Path;

/// What a function knows while it loads its state. All that [`fdk_runtime::Init`] tells is here as well.
#[derive(Debug)]
pub struct Init {
    runtime: fdk_runtime::Init,
    #[cfg(feature = "model")]
    opened: std::cell::RefCell<Vec<fdk_inference::Timings>>,
}

impl Init {
    pub(crate) fn new(runtime: &fdk_runtime::Init) -> Self {
        Self {
            runtime: runtime.clone(),
            #[cfg(feature = "model")]
            opened: std::cell::RefCell::default(),
        }
    }
}

#[cfg(feature = "model")]
impl Init {
    /// The verified files of a model, by its name in `models.toml`.
    ///
    /// They are looked for in `FDK_ASSETS_DIR`, then in the image's `/function/model-assets`, then in `model-assets` of
    /// this folder or one above. A model that cannot fit in `FN_MEMORY` is refused with the numbers. With the feature
    /// `client`, a model whose files are absent and whose entry names an object-storage source is fetched into the
    /// temporary directory first, as the function's principal.
    pub fn assets(&self, name: &str) -> Result<fdk_inference::Assets, fdk_inference::Error> {
        self.assets_of(Some(name))
    }

    /// As [`Init::assets`]; without a name it is the only model there is.
    pub(crate) fn assets_of(
        &self,
        name: Option<&str>,
    ) -> Result<fdk_inference::Assets, fdk_inference::Error> {
        let folder = fdk_inference::assets::folder(self.config().get("FDK_ASSETS_DIR"))?;
        let assets = self.open(&folder, name)?;
        check_memory(&self.runtime, &assets)?;
        self.fact("model", assets.model().name.clone());
        self.fact("model_bytes", assets.bytes());
        let verified = match assets.verified() {
            Verified::AtBuild => "at build",
            Verified::AtStart => "at start",
            _ => "no: it has no entry in models.toml",
        };
        self.fact("model_verified", verified);
        self.fact("cpu", fdk_inference::cpu::features().join(" "));
        self.opened.borrow_mut().push(assets.timings().clone());
        Ok(assets)
    }

    /// How the configuration has a generating model opened: with `FDK_SYSTEM_PROMPT`, and with a context of `FDK_CONTEXT` tokens or
    /// as many as `FN_MEMORY` has room for.
    #[cfg(feature = "inference")]
    pub fn generation(&self) -> crate::Result<fdk_inference::GenerateSettings> {
        let configured = |key| self.config().get(key).filter(|value| !value.is_empty());
        let mut settings = fdk_inference::GenerateSettings::default();
        if let Some(text) = configured("FDK_SYSTEM_PROMPT") {
            settings = settings.system_prompt(text);
        }
        if let Some(tokens) = configured("FDK_CONTEXT") {
            let tokens = tokens.parse().map_err(|_| {
                crate::Error::new(format!(
                    "FDK_CONTEXT is '{tokens}': it is a number of tokens, such as 2048"
                ))
            })?;
            settings = settings.context(tokens);
        }
        if let Some(granted) = self.config().memory() {
            settings = settings.memory(granted);
        }
        Ok(settings)
    }

    #[cfg(not(feature = "client"))]
    #[expect(clippy::unused_self, reason = "with the client it needs the configuration")]
    fn open(&self, folder: &Path, name: Option<&str>) -> Result<fdk_inference::Assets, fdk_inference::Error> {
        fdk_inference::Assets::open(folder, name)
    }

    #[cfg(feature = "client")]
    fn open(&self, folder: &Path, name: Option<&str>) -> Result<fdk_inference::Assets, fdk_inference::Error> {
        let Some(remote) = fdk_inference::Assets::remote(folder, name)? else {
            return fdk_inference::Assets::open(folder, name);
        };
        let name = remote.name();
        let client = crate::principal::client(self.config()).map_err(|error| error.to_string());
        fdk_inference::Assets::obtain(
            folder,
            name,
            &std::env::temp_dir().join("fdk-assets"),
            |place, file| {
                let client = client.as_ref().map_err(Clone::clone)?;
                client
                    .object(&place.namespace, &place.bucket, &place.object(file))
                    .map_err(|error| error.to_string())
            },
        )
    }

    /// Moves what opening the models cost into the start report.
    pub(crate) fn report(&self) {
        for opened in &*self.opened.borrow() {
            for (phase, took) in opened.phases() {
                self.phase(phase, took);
            }
            for (name, value) in opened.facts() {
                self.fact(name, value);
            }
        }
    }
}

/// The cheap part of [`Init::assets`], for the model that the configuration names: made before the socket is published.
#[cfg(feature = "model")]
pub(crate) fn check_assets(init: &fdk_runtime::Init) -> Result<(), fdk_inference::Error> {
    let Some(model) = init.config().get("FDK_MODEL").filter(|model| !model.is_empty()) else { return Ok(()) };
    let folder = fdk_inference::assets::folder(init.config().get("FDK_ASSETS_DIR"))?;
    #[cfg(feature = "client")]
    if let Some(remote) = fdk_inference::Assets::remote(&folder, Some(model))? {
        return check_memory(init, &remote);
    }
    check_memory(init, &fdk_inference::Assets::locate(&folder, Some(model))?)
}

#[cfg(feature = "model")]
fn check_memory(
    init: &fdk_runtime::Init,
    assets: &fdk_inference::Assets,
) -> Result<(), fdk_inference::Error> {
    let Some(granted) = init.config().memory() else { return Ok(()) };
    assets.check_memory(granted)?;
    init.fact("memory_needed_mb", assets.memory_needed().div_ceil(1024 * 1024));
    init.fact("memory_granted_mb", granted / (1024 * 1024));
    Ok(())
}

#[cfg(feature = "client")]
impl Init {
    /// A client that reads objects and secrets as this function. An error where there is no principal.
    pub fn client(&self) -> crate::Result<fdk_principal::Client> {
        crate::principal::client(self.config())
    }
}

impl Deref for Init {
    type Target = fdk_runtime::Init;

    fn deref(&self) -> &Self::Target {
        &self.runtime
    }
}
