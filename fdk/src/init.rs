//! What a state loader is given.

use std::ops::Deref;

/// What a function knows while it loads its state. All that [`fdk_runtime::Init`] tells is here as well.
#[derive(Debug)]
pub struct Init {
    runtime: fdk_runtime::Init,
    #[cfg(feature = "inference")]
    opened: std::cell::RefCell<Vec<fdk_inference::Timings>>,
}

impl Init {
    pub(crate) fn new(runtime: &fdk_runtime::Init) -> Self {
        Self {
            runtime: runtime.clone(),
            #[cfg(feature = "inference")]
            opened: std::cell::RefCell::default(),
        }
    }
}

#[cfg(feature = "inference")]
impl Init {
    /// The verified files of a model, by its name in `models.toml`.
    ///
    /// They are looked for in `FDK_ASSETS_DIR`, then in the image's `/function/model-assets`, then in `model-assets` of
    /// this folder or one above. A model that cannot fit in `FN_MEMORY` is refused with the numbers.
    pub fn assets(&self, name: &str) -> Result<fdk_inference::Assets, fdk_inference::Error> {
        let folder = fdk_inference::assets::folder(self.config().get("FDK_ASSETS_DIR"))?;
        let assets = fdk_inference::Assets::open(&folder, Some(name))?;
        check_memory(&self.runtime, &assets)?;
        self.fact("model", assets.model().name.clone());
        self.fact("model_bytes", assets.bytes());
        self.fact("cpu", fdk_inference::cpu::features().join(" "));
        self.opened.borrow_mut().push(assets.timings().clone());
        Ok(assets)
    }

    /// Moves what opening the models cost into the start report.
    pub(crate) fn report(&self) {
        for (phase, took) in self.opened.borrow().iter().flat_map(fdk_inference::Timings::phases) {
            self.phase(phase, took);
        }
    }
}

/// The cheap part of [`Init::assets`], for the model that the configuration names: made before the socket is published.
#[cfg(feature = "inference")]
pub(crate) fn check_assets(init: &fdk_runtime::Init) -> Result<(), fdk_inference::Error> {
    let Some(model) = init.config().get("FDK_MODEL").filter(|model| !model.is_empty()) else { return Ok(()) };
    let folder = fdk_inference::assets::folder(init.config().get("FDK_ASSETS_DIR"))?;
    check_memory(init, &fdk_inference::Assets::locate(&folder, Some(model))?)
}

#[cfg(feature = "inference")]
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

impl Deref for Init {
    type Target = fdk_runtime::Init;

    fn deref(&self) -> &Self::Target {
        &self.runtime
    }
}
