//! The encoder as the bench asks it: `encoder_worker ASSETS MODEL TEXTS`. A line on stdin is how often, a tab, and the name of
//! a case in the JSON file of texts; the answer is the seconds of each. `encoder_worker ASSETS MODEL tokenizer ROUNDS` prints
//! what tokenising takes, beside the `tokenizers` crate.

use fdk_inference::{Assets, EmbedRequest, Embedder, Interrupt, Tokenizer};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [assets, model, "tokenizer", rounds] => {
            tokenizer(&Assets::open(assets.as_ref(), Some(model))?, rounds.parse()?)
        }
        [assets, model, texts] => serve(Assets::open(assets.as_ref(), Some(model))?, &std::fs::read(texts)?),
        _ => Err("usage: encoder_worker ASSETS MODEL (TEXTS | tokenizer ROUNDS)".into()),
    }
}

fn serve(assets: Assets, texts: &[u8]) -> Result<()> {
    // Sorted by name, which is the order of the vectors.
    let cases: Vec<(String, EmbedRequest)> = serde_json::from_slice::<serde_json::Map<_, _>>(texts)?
        .into_iter()
        .map(|(case, texts)| Ok((case, EmbedRequest::new(serde_json::from_value::<Vec<String>>(texts)?))))
        .collect::<Result<_>>()?;
    let model = Embedder::open(assets)?;
    let named: BTreeMap<&str, &EmbedRequest> =
        cases.iter().map(|(name, request)| (name.as_str(), request)).collect();
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (times, case) = line.split_once('\t').ok_or("a line is how often, a tab, and a case")?;
        if times == "vectors" {
            let mut vectors = Vec::new();
            for (_, request) in &cases {
                vectors.extend(model.embed(request, &Interrupt::never())?.embeddings);
            }
            writeln!(stdout, "{}", serde_json::to_string(&vectors)?)?;
        } else {
            let request = named.get(case).ok_or_else(|| format!("no case '{case}'"))?;
            for _ in 0..times.parse::<usize>()? {
                let began = Instant::now();
                std::hint::black_box(model.embed(request, &Interrupt::never())?);
                write!(stdout, "{:.7} ", began.elapsed().as_secs_f64())?;
            }
            writeln!(stdout)?;
        }
        stdout.flush()?;
    }
    Ok(())
}

/// Texts of many scripts, some with accents, marks, emoji and control characters.
fn mixed() -> Vec<String> {
    let parts = [
        "The quick brown fox jumps over the lazy dog, twice; unbelievably so.",
        "Ça n'a pas été très déçu à Noël, naïve façade.",
        "Die Straßenbahn fährt über große Brücken nach Köln.",
        "Привет, как дела? Съешь ещё этих мягких булок.",
        "这是一个测试句子，用于分词。東京は日本の首都です。",
        "한국어 문장은 띄어쓰기가 있습니다.",
        "مرحبا بالعالم، كيف حالك اليوم؟",
        "नमस्ते दुनिया, आप कैसे हैं?",
        "Γειά σου Κόσμε! Αθήνα, ΣΊΣΥΦΟΣ.",
        "e\u{301}a\u{308} \u{0}\u{fffd}\u{200b} zero\u{200d}width İstanbul ﬁ ½ ™ 👩‍👩‍👧 🎉",
        "https://example.com/path?query=1&other=%20#fragment user@host.tld",
        "fn main() { println!(\"{:?}\", [1, 2, 3]); } // [MASK] [SEP]",
    ];
    (0..1000)
        .map(|number| {
            let some = (0..=(number % 5)).map(|at| parts[(number * 7 + at * 5) % parts.len()]);
            format!("{number} {}", some.collect::<Vec<_>>().join(" "))
        })
        .collect()
}

fn tokenizer(assets: &Assets, rounds: usize) -> Result<()> {
    let failed = |error: tokenizers::Error| error.to_string();
    let texts = mixed();
    let median = |mut taken: Vec<f64>| {
        taken.sort_by(f64::total_cmp);
        taken[taken.len() / 2] * 1e3
    };
    let (mut own, mut theirs, mut own_ready, mut theirs_ready, mut equal) =
        (vec![], vec![], vec![], vec![], true);
    for _ in 0..rounds {
        let began = Instant::now();
        let ours = Tokenizer::open(assets)?;
        own_ready.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        let mut crates = tokenizers::Tokenizer::from_file(assets.path("tokenizer.json")).map_err(failed)?;
        theirs_ready.push(began.elapsed().as_secs_f64());
        crates.with_padding(None).with_truncation(None).map_err(failed)?;
        let began = Instant::now();
        let found: Vec<Vec<u32>> =
            texts.iter().map(|text| ours.encode(text)).collect::<std::result::Result<_, _>>()?;
        own.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        let expected: Vec<_> = texts
            .iter()
            .map(|text| crates.encode_fast(text.as_str(), true))
            .collect::<std::result::Result<_, _>>()
            .map_err(failed)?;
        theirs.push(began.elapsed().as_secs_f64());
        equal &= found.iter().zip(&expected).all(|(found, expected)| found == expected.get_ids());
    }
    let figures = serde_json::json!({
        "texts": texts.len(), "own_ms": median(own), "crate_ms": median(theirs), "own_ready_ms": median(own_ready),
        "crate_ready_ms": median(theirs_ready), "equal": equal,
    });
    writeln!(std::io::stdout(), "{figures}")?;
    Ok(())
}
