#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    #[tokio::test]
    async fn answers() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/model-assets");
        let model = "@MODEL@";
        if !std::path::Path::new(folder).join(model).is_dir() {
            eprintln!("NOT RUN: the model; fetch it with cargo fdk assets fetch {model}");
            return;
        }
        let function = @FUNCTION@
            .test(@HANDLER@)
            .config("FDK_ASSETS_DIR", folder)
            .config("FDK_MODEL", model)
            .config("FDK_TASK", "@TASK@");
        let request = json!(@REQUEST@);
        let reply = function.json(request).call().await.json::<Value>();
        assert!(!reply[@FIELD@].is_null(), "{reply}");
    }
}
