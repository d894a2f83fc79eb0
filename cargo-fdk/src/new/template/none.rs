//! `{"name"}` → `{"message"}`.

use fdk::{Context, Json, Result};

#[derive(serde::Deserialize)]
struct In {
    name: String,
}
#[derive(serde::Serialize)]
struct Out {
    message: String,
}

fn main() -> std::process::ExitCode {
    fdk::run(hello)
}

async fn hello(_cx: Context, Json(input): Json<In>) -> Result<Json<Out>> {
    Ok(Json(Out {
        message: format!("Hello {}", input.name),
    }))
}

#[cfg(test)]
mod tests {
    use super::hello;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn greets() {
        let reply = fdk::testing::function(hello)
            .json(json!({"name": "Fn"}))
            .call()
            .await;
        assert_eq!(reply.json::<Value>(), json!({"message": "Hello Fn"}));
    }
}
