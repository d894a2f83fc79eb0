//! A text encoder as its tasks use it: tokenizer and model, batches, and the time that is left.

use crate::assets::Assets;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::map::map;
use crate::models::bert::Bert;
use crate::models::checkpoint::Checkpoint;
use crate::models::family::Family;
use crate::models::fused::Fused;
use crate::models::head::Head;
use crate::models::pack;
use crate::models::precision::Precision;
use crate::models::unpack::unpack;
use crate::prepare;
use crate::prepared::Prepared;
use crate::tokenizer::{Input, Tokenizer};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use fdk_kernels::Isa;
use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

/// The most tokens, with candle padding included, that go through the model at once. It bounds the memory of activations, and the
/// time until an interrupt is noticed.
const BATCH_TOKENS: usize = crate::memory::BATCH_TOKENS;
/// The most bytes of one text: the tokenizer takes over a hundred bytes of memory for each. A text of the model's limit
/// has a few thousand.
const MAX_TEXT: usize = 256 * 1024;
/// Computed so long, the speed so far says something about the rest.
const TELLING: Duration = Duration::from_millis(200);

/// An encoder, with the head of the checkpoint where it has one.
pub(crate) struct Encoder {
    name: String,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) family: Family,
    graph: Graph,
    head: Option<Head>,
}

/// What computes the vectors.
enum Graph {
    Fused(Box<Fused>),
    /// Where the CPU has not what the kernels need, or they do not compute the model.
    Candle(Box<Bert>),
}

/// What to do when there is not time for all texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// Fail as soon as that is known; this is where the request has the texts.
    Refuse(&'static str),
    /// Keep what is done.
    Stop,
}

impl Encoder {
    /// Opens the model's prepared file, or else `config.json`, `tokenizer.json` and `model.safetensors`.
    pub(crate) fn open(assets: &Assets) -> Result<Self, Error> {
        let family = Family::read(assets)?;
        let isa = Isa::chosen()?.filter(|_| pack::shape(&family).is_ok());
        Self::with(assets, family, isa)
    }

    /// As [`Encoder::open`], on an instruction set, or on candle.
    pub(crate) fn with(assets: &Assets, family: Family, isa: Option<Isa>) -> Result<Self, Error> {
        let timings = assets.timings();
        let mut prepared = assets.prepared(crate::prepared::ENCODER)?;
        let name = assets.name();
        let found = prepared.as_ref().map(|file| file.precision().to_owned());
        timings
            .fact("prepared", found.unwrap_or_else(|| format!("no: run `cargo fdk assets prepare {name}`")));
        if isa.is_some() && prepared.is_none() {
            tracing::info!(
                target: "fdk::assets", model = name,
                "there is no prepared file: the model's own files are packed, which takes time and memory at each start; run `cargo fdk assets prepare {name}`"
            );
            let packed = || prepare::tables(assets, &family, Precision::F32)?.open();
            prepared = Some(timings.time("pack", packed)?);
        }
        let tokenizer = timings.time("tokenizer", || Tokenizer::of(assets, prepared.as_ref()))?;
        let checkpoint = assets.path("model.safetensors");
        let (graph, head) = timings.time("build", || if let (Some(isa), Some(prepared)) = (isa, &prepared) {
            let graph = Graph::Fused(Box::new(Fused::open(prepared, &family, isa)?));
            Ok::<_, Error>((graph, Head::of(&tensors(prepared)?, &family).map_err(misfit)?))
        } else if let Some(prepared) = prepared.as_ref().filter(|_| !checkpoint.exists()) {
            tracing::info!(
                target: "fdk::assets", model = name,
                "candle runs the model on weights that are made of the prepared file, {} widened to f32, which takes time and memory at each start",
                prepared.precision()
            );
            let graph = Bert::load(&unpack(prepared, &family)?, &family).map_err(misfit)?;
            let head = Head::of(&tensors(prepared)?, &family).map_err(misfit)?;
            Ok((Graph::Candle(Box::new(graph)), head))
        } else {
            let file = timings
                .time("read", || map(&checkpoint))
                .map_err(|error| Error::model("has no readable model.safetensors", error))?;
            let checkpoint = Checkpoint::parse(&file)?;
            let weights = checkpoint.weights();
            let graph = Bert::load(&family.encoder(weights), &family).map_err(misfit)?;
            let head = Head::of(weights, &family).map_err(misfit)?;
            checkpoint.check(&family)?;
            Ok((Graph::Candle(Box::new(graph)), head))
        })?;
        match &graph {
            Graph::Fused(fused) => {
                let (isa, threads) = fused.means();
                timings.fact("kernels", format!("fused, {}, {threads} threads", isa.name()));
            }
            Graph::Candle(_) => timings.fact("kernels", "candle"),
        }
        Ok(Self { name: assets.model().name.clone(), tokenizer, family, graph, head })
    }

    /// What replies call the model.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The size of a token's vector.
    pub(crate) fn width(&self) -> usize {
        match &self.graph {
            Graph::Fused(graph) => graph.width(),
            Graph::Candle(graph) => graph.width(),
        }
    }

    /// The ids of texts, each behind the prompt; `place` is where the request has them. With `truncate` a text over the
    /// model's limit is cut, else it is refused: its prompt counts.
    pub(crate) fn tokenise<'t>(
        &self,
        place: &str,
        prompt: &str,
        texts: impl IntoIterator<Item = &'t String>,
        truncate: bool,
        interrupt: &Interrupt<'_>,
    ) -> Result<Vec<Input>, Error> {
        let one = |(index, text): (usize, &String)| {
            let place = || format!("{place}[{index}]");
            interrupt.check()?;
            let prompted: String;
            let text = if prompt.is_empty() {
                text
            } else {
                prompted = format!("{prompt}{text}");
                &prompted
            };
            check_size(text, place)?;
            let ids = self.tokenizer.ids(text)?;
            if ids.is_truncated() && !truncate {
                let message = format!(
                    "the text has {} tokens and the model takes {}: shorten it, or set truncate to true",
                    ids.whole,
                    self.tokenizer.limit()
                );
                return Err(Error::input(place(), message));
            }
            Ok(ids)
        };
        texts.into_iter().enumerate().map(one).collect()
    }

    /// Runs the model over texts and hands each one's vectors (`tokens × width` in rows) to `each`, with its index, in an
    /// order of its own. Returns the indices of those there was no time for, sorted.
    pub(crate) fn run(
        &self,
        texts: &[Input],
        shortage: Shortage,
        interrupt: &Interrupt<'_>,
        mut each: impl FnMut(usize, &[f32]) -> Result<(), Error>,
    ) -> Result<Vec<usize>, Error> {
        let batches = match &self.graph {
            Graph::Fused(_) => packed(texts),
            Graph::Candle(_) => padded(texts),
        };
        let cost = |batch: &[usize]| batch.iter().map(|index| texts[*index].ids.len()).sum::<usize>();
        let mut left: usize = batches.iter().map(|batch| cost(batch)).sum();
        let (began, mut done) = (Instant::now(), 0);
        for (at, batch) in batches.iter().enumerate() {
            let skipped = || {
                let mut skipped: Vec<usize> = batches[at..].iter().flatten().copied().collect();
                skipped.sort_unstable();
                skipped
            };
            let took = began.elapsed();
            if let Some(remaining) = interrupt.remaining()
                && took >= TELLING
            {
                match shortage {
                    Shortage::Refuse(place) => {
                        let needed = estimate(took, done, left);
                        if needed.is_some_and(|needed| needed > remaining.mul_f64(1.5)) {
                            return Err(Error::too_much(place, needed.unwrap_or_default(), remaining));
                        }
                    }
                    Shortage::Stop => {
                        if estimate(took, done, cost(batch)).is_some_and(|needed| needed > remaining) {
                            return Ok(skipped());
                        }
                    }
                }
            }
            let inputs: Vec<&Input> = batch.iter().map(|index| &texts[*index]).collect();
            let mut deliver = |at: usize, vectors: &[f32]| each(batch[at], vectors);
            let ran = match &self.graph {
                Graph::Fused(graph) => graph.forward(&inputs, interrupt, &mut deliver),
                Graph::Candle(graph) => graph.forward(&inputs, interrupt).and_then(|hidden| {
                    hidden.iter().enumerate().try_for_each(|(at, vectors)| deliver(at, vectors))
                }),
            };
            match ran {
                Err(error) if error.is_interrupted() && shortage == Shortage::Stop && at > 0 => {
                    return Ok(skipped());
                }
                ran => ran?,
            }
            done += cost(batch);
            left -= cost(batch);
        }
        Ok(Vec::new())
    }

    /// The head's numbers for a text's vectors: one row for the text, or one for each token.
    pub(crate) fn logits(&self, hidden: &[f32]) -> Result<Vec<Vec<f32>>, Error> {
        let head =
            self.head.as_ref().ok_or_else(|| Error::model("has no classification head", "config.json"))?;
        head.logits(hidden, self.width()).map_err(|error| Error::model("could not be run", error))
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("name", &self.name)
            .field("width", &self.width())
            .finish_non_exhaustive()
    }
}

/// How long tokens will take, by the time that those before them took. `None` before there were any: a process may be frozen
/// at any moment, so that time alone says nothing.
fn estimate(took: Duration, done: usize, tokens: usize) -> Option<Duration> {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let seconds = took.as_secs_f64() * tokens as f64 / done as f64;
    Duration::try_from_secs_f64(seconds).ok().filter(|_| done > 0)
}

/// Refuses a text that the tokenizer would take too much memory for.
pub(crate) fn check_size(text: &str, place: impl FnOnce() -> String) -> Result<(), Error> {
    if text.len() <= MAX_TEXT {
        return Ok(());
    }
    let message = format!("the text has {} bytes and may have {MAX_TEXT}: split it", text.len());
    Err(Error::input(place(), message))
}

fn misfit(error: candle_core::Error) -> Error {
    Error::model("has a model.safetensors that does not fit its config.json", error)
}

/// The tensors of a head, as a prepared file keeps them.
fn tensors(prepared: &Prepared) -> Result<VarBuilder<'static>, Error> {
    let mut tensors = HashMap::new();
    for (name, shape) in prepared.named("head.") {
        let numbers = prepared.numbers::<f32>(&format!("head.{name}"))?;
        let tensor = Tensor::from_slice(numbers.get(), shape, &Device::Cpu).map_err(misfit)?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu))
}

/// Groups texts as they come, within [`BATCH_TOKENS`]: nothing is padded.
fn packed(texts: &[Input]) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut held = 0;
    for (index, text) in texts.iter().enumerate() {
        let length = text.ids.len();
        match batches.last_mut() {
            Some(batch) if held + length <= BATCH_TOKENS => batch.push(index),
            _ => {
                batches.push(vec![index]);
                held = 0;
            }
        }
        held += length;
    }
    batches
}

/// Groups texts of like length, so that little is padded, within [`BATCH_TOKENS`].
fn padded(texts: &[Input]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|index| texts[*index].ids.len());
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for index in order {
        let length = texts[index].ids.len();
        match batches.last_mut() {
            // Sorted: this text is the longest of its batch.
            Some(batch) if (batch.len() + 1) * length <= BATCH_TOKENS => batch.push(index),
            _ => batches.push(vec![index]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(length: usize) -> Input {
        Input { ids: vec![0; length], types: Vec::new(), whole: length }
    }

    #[test]
    fn batches_hold_each_text_once_within_the_budget() {
        let texts: Vec<Input> = [256, 3, 256, 17, 256, 3, 256, 256, 90].map(text).into();
        for (of, is_padded) in [(padded as fn(&[Input]) -> Vec<Vec<usize>>, true), (packed, false)] {
            let batches = of(&texts);
            let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..texts.len()).collect::<Vec<_>>());
            for batch in &batches {
                let lengths = || batch.iter().map(|index| texts[*index].ids.len());
                let padded = batch.len() * lengths().max().unwrap();
                assert!(if is_padded { padded } else { lengths().sum() } <= BATCH_TOKENS);
            }
            assert!(of(&[]).is_empty());
        }
    }

    /// A small seeded checkpoint of each family, as the black-box tests have them.
    fn checkpoint(name: &str) -> (tempfile::TempDir, Assets) {
        let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/inference/checkpoints")
            .join(name);
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(name)).unwrap();
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            std::fs::copy(from.join(file), folder.path().join(name).join(file)).unwrap();
        }
        let assets = Assets::open(folder.path(), Some(name)).unwrap();
        (folder, assets)
    }

    fn vectors(encoder: &Encoder, texts: &[Input]) -> Vec<Vec<f32>> {
        let mut vectors = vec![Vec::new(); texts.len()];
        let keep = |index: usize, hidden: &[f32]| {
            vectors[index] = hidden.to_vec();
            Ok(())
        };
        encoder.run(texts, Shortage::Refuse("inputs"), &Interrupt::never(), keep).unwrap();
        vectors
    }

    fn cosine(a: &[f32], b: &[f32]) -> f64 {
        let sum = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        sum(a, b) / (sum(a, a) * sum(b, b)).sqrt()
    }

    #[test]
    fn time_before_the_first_token_says_nothing_of_the_rest() {
        let second = Duration::from_secs(1);
        assert_eq!(estimate(second, 0, 10), None, "the process was frozen before the first batch");
        assert_eq!(estimate(second, 0, 0), None);
        assert_eq!(estimate(second, 10, 25), Some(Duration::from_millis(2500)));
        assert_eq!(estimate(second, 10, 0), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_cut_off_a_text_takes_no_memory() {
        let (_folder, assets) = checkpoint("cross");
        let family = Family::read(&assets).unwrap();
        let long = "!".repeat(MAX_TEXT);
        // On the tables of a prepared file, and by the crate.
        for isa in [Isa::chosen().unwrap(), None] {
            let tokenizer = Encoder::with(&assets, family.clone(), isa).unwrap().tokenizer;
            let limit = tokenizer.limit();
            let (one, first) = (tokenizer.ids(&long).unwrap(), tokenizer.first(&long).unwrap());
            assert_eq!((one.ids.len(), one.whole), (limit, MAX_TEXT + 2));
            assert!(one.ids.capacity() <= limit, "{isa:?}: {}", one.ids.capacity());
            for (second, whole) in [("!!", MAX_TEXT + 5), (long.as_str(), 2 * MAX_TEXT + 3)] {
                let pair = tokenizer.pair(&first, second).unwrap();
                assert_eq!((pair.ids.len(), pair.types.len(), pair.whole), (limit, limit, whole));
                let capacity = pair.ids.capacity().max(pair.types.capacity());
                assert!(capacity <= limit, "{isa:?}: {capacity}");
            }
        }
    }

    #[test]
    fn the_kernels_compute_what_candle_does() {
        for name in ["cross", "mood", "topic", "names"] {
            let (_folder, assets) = checkpoint(name);
            let family = Family::read(&assets).unwrap();
            let candle = Encoder::with(&assets, family.clone(), None).unwrap();
            let limit = candle.tokenizer.limit();
            let ids = |seed: usize, length: usize| {
                let id = |at| u32::try_from((seed * 31 + at * 7) % family.config.vocab_size).unwrap();
                let ids: Vec<u32> = (0..length).map(id).collect();
                let types = if seed.is_multiple_of(2) {
                    Vec::new()
                } else {
                    (0..length).map(|at| u32::from(at > length / 2)).collect()
                };
                let types = if family.config.type_vocab_size > 1 { types } else { Vec::new() };
                Input { ids, types, whole: length }
            };
            // Many, so that they are dealt out, of all lengths.
            let texts: Vec<Input> = (0..90).map(|seed| ids(seed, 1 + (seed * 13) % limit)).collect();
            let expected = vectors(&candle, &texts);
            for isa in Isa::available() {
                let fused = Encoder::with(&assets, family.clone(), Some(isa)).unwrap();
                for some in [&texts[..], &texts[3..4], &texts[5..7]] {
                    let at = texts.iter().position(|text| text == &some[0]).unwrap();
                    for (found, expected) in vectors(&fused, some).iter().zip(&expected[at..]) {
                        assert_eq!(found.len(), expected.len());
                        let worst =
                            found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                        assert!(worst < 2e-5, "{name} {isa:?}: {worst}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_prepared_model_runs_on_candle_without_its_files() {
        let worst = |found: &[Vec<f32>], expected: &[Vec<f32>]| {
            assert_eq!(found.len(), expected.len());
            let pairs = found.iter().flatten().zip(expected.iter().flatten());
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        for name in ["cross", "mood", "topic", "names"] {
            // What is stated of each precision.
            for (precision, least) in
                [(Precision::F32, 1.0), (Precision::F16, 0.9999), (Precision::Int8, 0.999)]
            {
                let (folder, assets) = checkpoint(name);
                let family = Family::read(&assets).unwrap();
                let types = |length: u32| (0..length).map(|at| (at / 3).min(1)).collect();
                let types =
                    |length| if family.config.type_vocab_size > 1 { types(length) } else { Vec::new() };
                let text = |length| Input { ids: (1..=length).collect(), types: types(length), whole: 0 };
                let texts: Vec<Input> = (1..9).map(text).collect();
                let logits = |encoder: &Encoder, of: &[Vec<f32>]| -> Vec<Vec<f32>> {
                    of.iter().flat_map(|hidden| encoder.logits(hidden).unwrap()).collect()
                };
                let original = Encoder::with(&assets, family.clone(), None).unwrap();
                let expected = vectors(&original, &texts);
                for file in crate::prepare::prepare(&assets, precision).unwrap().unwrap().replaced {
                    std::fs::remove_file(assets.path(&file)).unwrap();
                }
                let again = Assets::open(folder.path(), Some(name)).unwrap();
                let candle = Encoder::with(&again, family.clone(), None).unwrap();
                let found = vectors(&candle, &texts);
                let cosines = found.iter().zip(&expected).map(|(a, b)| cosine(a, b));
                let cosine = cosines.fold(f64::INFINITY, f64::min);
                println!("{name} {precision:?}: {cosine}");
                if precision == Precision::F32 {
                    assert!(found == expected, "{name}: the weights are the same");
                } else {
                    assert!(cosine >= least, "{name} {precision:?}: {cosine}");
                }
                let apart = worst(&logits(&candle, &expected), &logits(&original, &expected));
                assert!(apart == 0.0, "the head of {name} is another: {apart}");
                // The kernels round to 8 bits, or to bfloat16, what they multiply weights with; else it is the same model.
                let isa = Isa::available().into_iter().find(|_| precision != Precision::Int8);
                if let Some(isa) = isa {
                    let fused = vectors(&Encoder::with(&again, family.clone(), Some(isa)).unwrap(), &texts);
                    assert!(worst(&fused, &found) < 2e-5, "{name} {precision:?}: {}", worst(&fused, &found));
                }
            }
        }
    }

    #[test]
    fn a_tensor_that_nothing_computes_with_is_refused_by_name() {
        for (name, odd, fine) in [
            ("cross", "bert.encoder.layer.2.output.dense.bias", "bert.embeddings.position_ids"),
            ("mood", "distilbert.transformer.layer.0.ffn.lin3.bias", "vocab_projector.bias"),
            ("topic", "classifier.bias", "lm_head.bias"),
            ("names", "a\nb", "bert.pooler.dense.weight"),
        ] {
            let (_folder, assets) = checkpoint(name);
            let family = Family::read(&assets).unwrap();
            let path = assets.path("model.safetensors");
            let whole = std::fs::read(&path).unwrap();
            let with = |more: &str| {
                let parsed = safetensors::SafeTensors::deserialize(&whole).unwrap();
                let mut tensors = parsed.tensors();
                let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]);
                tensors.push((more.to_owned(), view.unwrap()));
                std::fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
            };
            let isas: Vec<Option<Isa>> =
                [None].into_iter().chain(Isa::available().into_iter().map(Some)).collect();
            with(fine);
            for isa in &isas {
                Encoder::with(&assets, family.clone(), *isa).unwrap();
            }
            with(odd);
            let refused = |result: Result<(), Error>| {
                assert_eq!(
                    result.unwrap_err().to_string(),
                    format!(
                        "the model has a tensor that nothing here computes with, {odd:?}: it cannot be served"
                    )
                );
            };
            for isa in &isas {
                refused(Encoder::with(&assets, family.clone(), *isa).map(drop));
            }
            refused(crate::prepare::prepare(&assets, Precision::F32).map(drop));
        }
    }

    #[test]
    fn a_prepared_model_computes_nearly_what_its_files_do() {
        for name in ["cross", "mood", "names"] {
            let (folder, assets) = checkpoint(name);
            let family = Family::read(&assets).unwrap();
            let texts: Vec<Input> = (1..9)
                .map(|length| Input { ids: (1..=length).collect(), types: Vec::new(), whole: 0 })
                .collect();
            let expected = vectors(&Encoder::with(&assets, family.clone(), None).unwrap(), &texts);
            for (precision, least) in
                [(Precision::F32, 0.999_999_9), (Precision::F16, 0.9999), (Precision::Int8, 0.999)]
            {
                let report = crate::prepare::prepare(&assets, precision).unwrap().unwrap();
                assert_eq!(std::fs::metadata(&report.path).unwrap().len(), report.bytes);
                for isa in Isa::available() {
                    // The replaced files are not missed.
                    for file in &report.replaced {
                        let _ = std::fs::rename(assets.path(file), assets.path(&format!("../{file}")));
                    }
                    let again = Assets::open(folder.path(), Some(name)).unwrap();
                    let encoder = Encoder::with(&again, family.clone(), Some(isa)).unwrap();
                    for (found, expected) in vectors(&encoder, &texts).iter().zip(&expected) {
                        let cosine = cosine(found, expected);
                        assert!(cosine >= least, "{name} {precision:?} {isa:?}: {cosine}");
                    }
                    assert!(
                        again
                            .timings()
                            .facts()
                            .iter()
                            .any(|(name, value)| *name == "prepared" && value == precision.name())
                    );
                    assert!(
                        again.timings().phases().iter().all(|(phase, _)| *phase != "hash"),
                        "the mark vouches for it"
                    );
                    for file in &report.replaced {
                        std::fs::rename(assets.path(&format!("../{file}")), assets.path(file)).unwrap();
                    }
                }
            }
        }
    }
}
