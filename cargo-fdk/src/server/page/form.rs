//! The form to call a function with its task's own inputs.

use super::render::{escape, funcs};
use crate::platform::Platform;
use crate::server::Doors;
use crate::store::model::Func;
use std::fmt::Write as _;
use std::path::Path;

/// The form; where callers must sign, what they do instead.
pub(super) fn render(platform: &Platform, doors: &Doors) -> String {
    let mut html = "<h2>Call a function</h2>".to_owned();
    if doors.no_fn {
        html.push_str(
            "<p class=\"faint\">Callers sign their requests here: <code>oci fn function invoke</code> and the SDKs do. \
             <code>--with-fn-api</code> lets this page call, too, and everybody else.</p>",
        );
        return html;
    }
    html.push_str("<form id=\"invoke\"><label>Function<select name=\"function\">");
    for (app, func) in funcs(platform) {
        let _ = write!(
            html,
            "<option value=\"{}\" data-as=\"{}\">{} in {}</option>",
            escape(&func.id),
            inputs(platform, &func),
            escape(&func.name),
            escape(&app)
        );
    }
    html + "</select></label><label>Input<select name=\"as\"><option value=\"texts\">texts</option>\
        <option value=\"chat\">chat</option><option value=\"picture\">a picture</option>\
        <option value=\"recording\">a recording</option><option value=\"raw\">body as it is</option></select></label>\
        <label><span id=\"hint\">The request's body</span><textarea name=\"input\" spellcheck=\"false\"></textarea>\
        <input name=\"file\" type=\"file\" hidden></label>\
        <button>Call</button></form><div id=\"answer\" aria-live=\"polite\"></div>\
        <noscript><p>Calling from this page needs its script; <code>fn invoke</code> and <code>curl</code> do not.</p></noscript>"
}

/// Which inputs suit a function: those of its task, which its configuration says, or its model's entry.
fn inputs(platform: &Platform, func: &Func) -> &'static str {
    let said = func.config.get("FDK_TASK").cloned();
    match said.or_else(|| task_of_model(platform, func)).as_deref() {
        Some("generate" | "chat") => "chat",
        Some("embed" | "classify" | "tokens") => "texts",
        Some("classify_image") => "picture",
        Some("transcribe" | "detect_speech") => "recording",
        None if func.config.contains_key("FDK_MODEL") => "texts",
        _ => "raw",
    }
}

fn task_of_model(platform: &Platform, func: &Func) -> Option<String> {
    let model = func.config.get("FDK_MODEL")?;
    let (_, image) = platform.images.find(&func.image)?;
    let (_, assets) = image.config.iter().find(|(key, _)| key == "FDK_ASSETS_DIR")?;
    fdk_models::task(Path::new(assets), model)
}
