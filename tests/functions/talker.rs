//! A function that tells when a model has begun to talk and how it ended: once its caller has left, nothing else shows whether
//! a reply was made to its end.

use fdk::{Context, GenerateReply, GenerateRequest, Generator, Json, Result, inference};
use std::process::ExitCode;

fn main() -> ExitCode {
    fdk::function().state(|init| Generator::open(init.assets("smollm2")?)).run(talk)
}

async fn talk(cx: Context<Generator>, Json(request): Json<GenerateRequest>) -> Result<Json<GenerateReply>> {
    let most = request.max_tokens.unwrap_or_default();
    cx.infer(|model, interrupt| {
        let mut completion = model.begin(&request, interrupt)?;
        while model.advance(&mut completion, interrupt)?.is_some() {
            if completion.usage().completion_tokens == 1 {
                println!("begun {most}");
            }
        }
        let reply = completion.reply(model.name());
        println!("ended {most}: {:?} after {}", reply.finish_reason, reply.usage.completion_tokens);
        Ok::<_, inference::Error>(reply)
    })
    .await
}
