//! The decoder as the bench asks it: `decoder_worker ASSETS MODEL IDS`. It writes the ids of its prompt to the file IDS. A line
//! on stdin is how often, a tab, and a case; the answer is the seconds of each. `decode` is one token of 32; `prefill` is
//! from a prompt to the first token of the reply; `prefix` is that where what the system says was computed at start;
//! `text` is the reply, and `perplexity` that of the prompt.

use fdk_inference::{Assets, Completion, GenerateRequest, GenerateSettings, Generator, Interrupt};
use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const STEPS: usize = 32;
const SYSTEM: &str = "You are a helpful assistant of a shop that rents bicycles. Answer in one short sentence, be polite, \
    and never promise a discount. The shop is open from nine to six on weekdays and from ten to four on Saturdays. A city \
    bicycle costs eight euros an hour, an electric one fifteen. Bring an identity card and leave a deposit of fifty euros.";
const USER: &str = "How much would two electric bicycles cost for three hours on a Saturday morning, and what is to be brought?";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [assets, model, ids] = &arguments[..] else {
        return Err("usage: decoder_worker ASSETS MODEL IDS".into());
    };
    let open = |settings: &GenerateSettings| {
        Generator::open_with(Assets::open(assets.as_ref(), Some(model))?, &settings.clone().context(1024))
    };
    let told = open(&GenerateSettings::default().system_prompt(SYSTEM))?;
    let request = GenerateRequest::chat(USER).max_tokens(STEPS + 2);
    let prompt = told.ids(&request)?;
    std::fs::write(ids, prompt.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))?;
    // The same tokens, none of them computed before: what a conversation without a system prompt begins with is another.
    let plain = open(&GenerateSettings::default())?;
    let whole = GenerateRequest::conversation([
        fdk_inference::Message::new(fdk_inference::Role::System, SYSTEM),
        fdk_inference::Message::new(fdk_inference::Role::User, USER),
    ]);
    let whole = whole.max_tokens(STEPS + 2);
    if plain.ids(&whole)? != prompt {
        return Err("the prompts differ".into());
    }
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (times, case) = line.split_once('\t').ok_or("a line is how often, a tab, and a case")?;
        for _ in 0..times.parse::<usize>()? {
            match case {
                "prefill" | "prefix" => {
                    let (model, request) =
                        if case == "prefix" { (&told, &request) } else { (&plain, &whole) };
                    let began = Instant::now();
                    step(model, &mut model.begin(request, &Interrupt::never())?)?;
                    write!(stdout, "{:.7} ", began.elapsed().as_secs_f64())?;
                }
                "decode" => {
                    let mut completion = plain.begin(&whole, &Interrupt::never())?;
                    step(&plain, &mut completion)?;
                    let began = Instant::now();
                    let mut steps = 0;
                    while steps < STEPS && step(&plain, &mut completion)? {
                        steps += 1;
                    }
                    write!(
                        stdout,
                        "{:.7} ",
                        began.elapsed().as_secs_f64() / f64::from(u32::try_from(steps)?)
                    )?;
                }
                "text" => {
                    let reply = plain.generate(&whole, &Interrupt::never())?;
                    write!(stdout, "{}", serde_json::to_string(&reply)?)?;
                }
                "perplexity" => {
                    write!(
                        stdout,
                        "{} ",
                        plain.perplexity(&format!("{SYSTEM} {USER}"), &Interrupt::never())?
                    )?;
                }
                other => return Err(format!("no case '{other}'").into()),
            }
        }
        writeln!(stdout)?;
        stdout.flush()?;
    }
    Ok(())
}

/// Makes a token; false when the reply is done.
fn step(model: &Generator, completion: &mut Completion) -> Result<bool> {
    Ok(std::hint::black_box(model.advance(completion, &Interrupt::never())?).is_some())
}
