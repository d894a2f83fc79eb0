//! A function that uses its identity: it fetches its model with it, and reads objects and secrets as it is asked to.

use fdk::{Client, Context, EmbedRequest, Embedder, Error, Json, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Read as _;
use std::process::ExitCode;

/// What to read, or what to embed.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ask {
    Object { bucket: String, name: String, first: u64, last: Option<u64> },
    Secret(String),
    Embed(String),
}

fn main() -> ExitCode {
    let function = fdk::function().state(|init| match init.config().get("MODEL") {
        Some(model) => Embedder::open(init.assets(model)?).map(Some).map_err(Error::from),
        None => Ok(None),
    });
    function.run(answer)
}

async fn answer(cx: Context<Option<Embedder>>, Json(ask): Json<Ask>) -> Result<Json<Value>> {
    let client = cx.client();
    match ask {
        Ask::Object { bucket, name, first, last } => object(&client?, &bucket, &name, first, last).map(Json),
        Ask::Secret(id) => Ok(Json(json!(client?.secret(&id)?.text()))),
        Ask::Embed(text) => {
            let reply = cx.infer(move |model, interrupt| {
                let model = model.as_ref().ok_or_else(|| Error::new("there is no model"))?;
                model.embed(&EmbedRequest::new([text]), interrupt).map_err(Error::from)
            });
            let Json(reply) = reply.await?;
            Ok(Json(json!(reply.embeddings[0].len())))
        }
    }
}

fn object(client: &Client, bucket: &str, name: &str, first: u64, last: Option<u64>) -> Result<Value> {
    let object = match last {
        Some(last) => client.object_range("ns", bucket, name, first..=last),
        None => client.object_range("ns", bucket, name, first..),
    };
    let mut object = object?;
    let mut content = Vec::new();
    object.read_to_end(&mut content)?;
    Ok(json!({"bytes": content.len(), "text": String::from_utf8_lossy(&content[..content.len().min(100)])}))
}
