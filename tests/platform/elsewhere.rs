//! A model that is there as its prepared file alone, on a CPU that the kernels do not run on: `FDK_KERNELS=candle` is one.

use cargo_fdk::agent::Container;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use tempfile::TempDir;
use workspace_tests::command_line::fdk;
use workspace_tests::function;

/// The model's folder after `cargo fdk assets prepare --only`.
fn prepared(precision: &str) -> TempDir {
    let from = fdk_models::obtain("minilm").unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Within its walls a function is another user.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(from.join("models.toml"), folder.path().join("models.toml")).unwrap();
    let model = folder.path().join("minilm");
    fs::create_dir_all(model.join("1_Pooling")).unwrap();
    let files = [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "sentence_bert_config.json",
        "1_Pooling/config.json",
    ];
    for file in files {
        symlink(from.join("minilm").join(file), model.join(file)).unwrap();
    }
    let arguments = ["assets", "prepare", "minilm", "--only", "--precision", precision, "--dir"];
    let output = fdk().args(arguments).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in ["model.safetensors", "tokenizer.json"] {
        assert!(!model.join(file).exists(), "{file}");
    }
    folder
}

/// The embeddings that the example gives, and what it logs; of its own model's files unless a folder is named.
async fn answer(folder: Option<&Path>) -> (Vec<Vec<f64>>, String) {
    let mut spec = function::spec("embed");
    // candle's tensors are beside the prepared file that they are made of.
    spec.memory = 512;
    let more = folder.map(|folder| ("FDK_ASSETS_DIR".to_owned(), folder.display().to_string()));
    let settings = [("FDK_KERNELS", "candle"), ("FDK_LOG_FORMAT", "text")];
    spec.config
        .extend(settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().chain(more));
    if let Some(folder) = folder {
        spec.visible = vec![folder.to_owned(), fdk_models::obtain("minilm").unwrap()];
    }
    let container = Container::start(&spec).await.unwrap_or_else(|fault| panic!("{fault}"));
    let texts =
        ["The cat dozes on the warm windowsill.", "Interest rates were raised.", "", "naïve café 東京"];
    let mut connection = function::connect(&container).await;
    let reply = connection.call(&[], json!({ "inputs": texts }).to_string().as_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let lines = function::wait_for_line(&container, "candle").await;
    let Value::Array(vectors) = &reply.json()["embeddings"] else { panic!("{}", reply.text()) };
    let vectors = vectors.iter().map(|vector| serde_json::from_value(vector.clone()).unwrap());
    (vectors.collect(), lines.join("\n"))
}

#[tokio::test]
async fn a_prepared_file_serves_where_the_kernels_do_not_run() {
    let (expected, _) = answer(None).await;
    for (precision, least) in [("f32", 1.0), ("f16", 0.999_99), ("int8", 0.999)] {
        let folder = prepared(precision);
        let (found, said) = answer(Some(folder.path())).await;
        assert!(said.contains(&format!("made of the prepared file, {precision} widened to f32")), "{said}");
        if precision == "f32" {
            assert!(found == expected, "the weights are the same");
        }
        for (found, expected) in found.iter().zip(&expected) {
            let cosine: f64 = found.iter().zip(expected).map(|(a, b)| a * b).sum();
            println!("{precision}: {cosine}");
            assert!(cosine > least - 1e-6, "{precision}: {cosine}");
        }
    }
}
