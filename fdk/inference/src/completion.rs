//! A reply in the making.

use crate::bpe::Bpe;
use crate::error::Error;
use crate::generate::{FinishReason, GenerateReply, GenerateUsage};
use crate::grammar::Constraint;
use crate::interrupt::Interrupt;
use crate::models::decoder::{Cache, Decoder, Logits};
use crate::sampling::{Allow, Sampler};
use crate::wording::Wording;

/// The most tokens that go through the model at once. It bounds the memory of activations, and the time until an interrupt is
/// noticed.
pub(crate) const CHUNK: usize = 128;

/// A reply in the making: a conversation of its own, which nothing else sees.
#[derive(Debug)]
pub struct Completion {
    cache: Cache,
    /// What the model has to read before it can say more.
    pending: Vec<u32>,
    limits: Limits,
    made: usize,
    sampler: Sampler,
    wording: Wording,
    constraint: Option<Constraint>,
    /// The model's numbers for what comes next, where an interrupt came before one was picked.
    unpicked: Option<Vec<f32>>,
    /// Whether the model has said anything: what a schema forces is no word of it.
    heard: bool,
    finished: Option<FinishReason>,
}

/// How long things are, in tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) prompt: usize,
    pub(crate) cached: usize,
    /// The most that the reply may have.
    pub(crate) most: usize,
}

impl Completion {
    pub(crate) fn new(
        cache: Cache,
        pending: Vec<u32>,
        limits: Limits,
        sampler: Sampler,
        wording: Wording,
    ) -> Self {
        Self {
            cache,
            pending,
            limits,
            made: 0,
            sampler,
            wording,
            constraint: None,
            unpicked: None,
            heard: false,
            finished: None,
        }
    }

    /// Holds the reply to a schema. An error when the shortest reply that fits it has too many tokens.
    pub(crate) fn constrain(&mut self, constraint: Constraint, bpe: &Bpe) -> Result<(), Error> {
        let shortest = tokens(&constraint.closing(), bpe)?.len();
        if shortest > self.limits.most {
            let message = format!(
                "the shortest reply that fits the schema has {shortest} tokens, and there may be {}",
                self.limits.most
            );
            return Err(Error::input("max_tokens", message));
        }
        self.constraint = Some(constraint);
        Ok(())
    }

    /// Why the reply ends where it does, once it is done.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finished
    }

    /// Whether the model has said anything yet: what a schema forces is no word of it.
    pub fn is_heard(&self) -> bool {
        self.heard
    }

    /// What it took so far.
    pub fn usage(&self) -> GenerateUsage {
        GenerateUsage {
            prompt_tokens: self.limits.prompt,
            completion_tokens: self.made,
            cached_tokens: self.limits.cached,
        }
    }

    /// The reply as it is; `model` is the model's name.
    pub fn reply(&self, model: &str) -> GenerateReply {
        GenerateReply {
            text: self.wording.text().to_owned(),
            finish_reason: self.finished.unwrap_or(FinishReason::Length),
            usage: self.usage(),
            model: model.to_owned(),
        }
    }

    pub(crate) fn advance(
        &mut self,
        decoder: &dyn Decoder,
        bpe: &Bpe,
        interrupt: &Interrupt<'_>,
    ) -> Result<Option<String>, Error> {
        if self.finished.is_some() {
            return Ok(None);
        }
        match self.next(decoder, bpe, interrupt) {
            // What is there is worth more than an error.
            Err(error) if error.is_interrupted() && self.heard => {
                self.close(FinishReason::Deadline, bpe).map(Some)
            }
            piece => piece.map(Some),
        }
    }

    /// The next piece. After an interrupt it goes on where it was.
    fn next(&mut self, decoder: &dyn Decoder, bpe: &Bpe, interrupt: &Interrupt<'_>) -> Result<String, Error> {
        if let Some(piece) = self.force(bpe, interrupt)? {
            return Ok(piece);
        }
        let mut logits = match self.unpicked.take() {
            Some(logits) => logits,
            None => self.read(decoder, interrupt)?,
        };
        let mut allowed = self.constraint.as_ref().map(|constraint| constraint.allowed(bpe, interrupt));
        let whole = allowed.is_some().then(|| logits.clone());
        let allow = allowed.as_mut().map(|allowed| allowed as &mut dyn Allow);
        let picked = self.sampler.pick(&mut logits, allow);
        if picked.is_err() {
            self.unpicked = whole;
        }
        let Some(token) = picked? else {
            return Err(Error::model("could not be run", "what comes next has no probability"));
        };
        self.heard = true;
        if bpe.is_end(token) {
            return Ok(self.finish(FinishReason::Stop));
        }
        if let Some(constraint) = &self.constraint {
            let after = constraint.after(bpe.bytes(token));
            match after {
                Some(after) if self.has_room(1, &after, bpe)? => self.constraint = Some(after),
                // There would be no room to end it.
                _ => return self.close(FinishReason::Length, bpe),
            }
        }
        if self.take(token, bpe) || self.constraint.as_ref().is_some_and(Constraint::is_done) {
            return Ok(self.finish(FinishReason::Stop));
        }
        if self.made >= self.limits.most {
            return self.close(FinishReason::Length, bpe);
        }
        Ok(self.wording.ready())
    }

    /// Takes what must come next without asking the model, as far as there is no choice. `None` where there is one now.
    fn force(&mut self, bpe: &Bpe, interrupt: &Interrupt<'_>) -> Result<Option<String>, Error> {
        let Some(constraint) = &self.constraint else { return Ok(None) };
        let (bytes, after) = constraint.forced(interrupt)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let forced = tokens(&bytes, bpe)?;
        if !self.has_room(forced.len(), &after, bpe)? {
            return self.close(FinishReason::Length, bpe).map(Some);
        }
        for token in forced {
            self.take(token, bpe);
        }
        let done = after.is_done();
        self.constraint = Some(after);
        Ok(Some(if done { self.finish(FinishReason::Stop) } else { self.wording.ready() }))
    }

    /// Whether the reply can still be ended as its schema has it after so many tokens more.
    fn has_room(&self, more: usize, after: &Constraint, bpe: &Bpe) -> Result<bool, Error> {
        let Some(left) = self.limits.most.checked_sub(self.made + more) else { return Ok(false) };
        let closing = after.closing();
        // No token is of less than a byte.
        Ok(closing.len() <= left || tokens(&closing, bpe)?.len() <= left)
    }

    /// Adds a token. True once a string that ends the reply has come.
    fn take(&mut self, token: u32, bpe: &Bpe) -> bool {
        self.sampler.note(token);
        self.pending.push(token);
        self.made += 1;
        self.wording.push(bpe.bytes(token))
    }

    /// Ends the reply where it is, so that it still fits its schema.
    fn close(&mut self, reason: FinishReason, bpe: &Bpe) -> Result<String, Error> {
        if let Some(constraint) = &self.constraint {
            let closing = constraint.closing();
            self.made += tokens(&closing, bpe)?.len();
            self.wording.push(&closing);
        }
        Ok(self.finish(reason))
    }

    /// Has the model read what is pending, and returns its numbers for what comes next. After an interrupt it goes on where
    /// it was.
    pub(crate) fn read(
        &mut self,
        decoder: &dyn Decoder,
        interrupt: &Interrupt<'_>,
    ) -> Result<Vec<f32>, Error> {
        loop {
            interrupt.check()?;
            let count = self.pending.len().min(CHUNK);
            let last = count == self.pending.len();
            let wanted = if last { Logits::Last } else { Logits::None };
            let logits = decoder.forward(&mut self.cache, &self.pending[..count], wanted, interrupt)?;
            self.pending.drain(..count);
            if last {
                return Ok(logits);
            }
        }
    }

    fn finish(&mut self, reason: FinishReason) -> String {
        self.finished = Some(reason);
        // Whoever keeps the reply need not keep the conversation.
        self.cache = Cache::default();
        self.wording.finish()
    }
}

/// The tokens of what a schema makes come next. Bytes that are only a part of a character are taken one by one.
fn tokens(bytes: &[u8], bpe: &Bpe) -> Result<Vec<u32>, Error> {
    let mut tokens = Vec::new();
    for chunk in bytes.utf8_chunks() {
        tokens.extend(bpe.plain(chunk.valid())?);
        tokens.extend(chunk.invalid().iter().filter_map(|byte| bpe.single(*byte)));
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::Gguf;
    use crate::grammar::tests::{fits, schemas};
    use proptest::prelude::*;
    use serde_json::json;
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A decoder whose numbers say nothing: they come of what was read, and are spread wide.
    #[derive(Debug)]
    struct Noise {
        seed: u64,
        vocabulary: usize,
        /// How often it was asked for them.
        heads: AtomicUsize,
    }

    impl Noise {
        fn new(seed: u64, vocabulary: usize) -> Self {
            Self { seed, vocabulary, heads: AtomicUsize::new(0) }
        }
    }

    impl Decoder for Noise {
        fn vocabulary(&self) -> usize {
            self.vocabulary
        }

        fn start(&self) -> Cache {
            Cache::default()
        }

        fn reserve(&self, _: &mut Cache, _: usize) {}

        fn forward(
            &self,
            cache: &mut Cache,
            tokens: &[u32],
            wanted: Logits,
            interrupt: &Interrupt<'_>,
        ) -> Result<Vec<f32>, Error> {
            interrupt.check()?;
            let cache = cache.graph().unwrap();
            cache.tokens += tokens.len();
            if wanted == Logits::None {
                return Ok(Vec::new());
            }
            self.heads.fetch_add(1, Ordering::Relaxed);
            let number = |token: usize| {
                let mut hasher = DefaultHasher::new();
                (self.seed, cache.tokens, tokens, token).hash(&mut hasher);
                f32::from((hasher.finish() >> 48) as u16) / 4096.0
            };
            Ok((0..self.vocabulary).map(number).collect())
        }
    }

    fn completion(most: usize, temperature: f32, seed: u64) -> Completion {
        let limits = Limits { prompt: 1, cached: 0, most };
        Completion::new(
            Cache::default(),
            vec![2],
            limits,
            Sampler::new(temperature, 1.0, 0, 1.0, seed),
            Wording::default(),
        )
    }

    #[test]
    fn what_a_schema_forces_is_not_asked_of_the_head() {
        let file = crate::bpe::tests::gguf();
        let bpe = Bpe::read(&Gguf::parse(&file).unwrap()).unwrap();
        let noise = Noise::new(7, bpe.len());
        let schema = json!({
            "type": "object",
            "properties": {"kind": {"const": "a rather long text"}, "right": {"type": "boolean"}},
            "required": ["kind", "right"],
            "additionalProperties": false,
        });
        let mut completion = completion(100, 0.0, 7);
        completion.constrain(Constraint::new(&schema.into(), &Interrupt::never()).unwrap(), &bpe).unwrap();
        while completion.advance(&noise, &bpe, &Interrupt::never()).unwrap().is_some() {}
        let reply = completion.reply("noise");
        assert!(reply.text.starts_with(r#"{"kind": "a rather long text", "right": "#), "{}", reply.text);
        assert!(reply.usage.completion_tokens > 20, "{reply:?}");
        let heads = noise.heads.load(Ordering::Relaxed);
        assert_eq!(heads, 1, "there is a choice between true and false, and no other: {}", reply.text);
    }

    #[test]
    fn an_interrupt_while_tokens_are_looked_through_loses_nothing() {
        let file = crate::bpe::tests::gguf();
        let bpe = Bpe::read(&Gguf::parse(&file).unwrap()).unwrap();
        let noise = Noise::new(7, bpe.len());
        let schema = json!({"type": "string", "maxLength": 20});
        let reply = |stop: usize| {
            let mut completion = completion(60, 1.0, 7);
            completion
                .constrain(Constraint::new(&schema.clone().into(), &Interrupt::never()).unwrap(), &bpe)
                .unwrap();
            let asked = std::cell::Cell::new(0);
            let once = || {
                asked.set(asked.get() + 1);
                asked.get() == stop
            };
            let mut stopped = 0;
            loop {
                match completion.advance(&noise, &bpe, &Interrupt::when(&once)) {
                    Err(error) => {
                        assert!(error.is_interrupted(), "{error}");
                        stopped += 1;
                    }
                    Ok(None) => return (completion.reply("noise"), stopped),
                    Ok(Some(_)) => {}
                }
            }
        };
        let (whole, _) = reply(usize::MAX);
        let mut mask = 0;
        for stop in 1..20 {
            let (again, stopped) = reply(stop);
            if stopped == 1 {
                assert_eq!(again, whole, "{stop}");
                mask = stop;
            }
        }
        assert!(mask >= 4, "bytes that are forced, the layers, and then the tokens ask: {mask}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn a_reply_always_fits_its_schema(schema in schemas(), seed in any::<u64>(), cold in any::<bool>(), more in 0_usize..60, stop in 0_usize..200) {
            let file = crate::bpe::tests::gguf();
            let bpe = Bpe::read(&Gguf::parse(&file).unwrap()).unwrap();
            let noise = Noise::new(seed, bpe.len());
            let constraint = Constraint::new(&schema.clone().into(), &Interrupt::never()).unwrap();
            let shortest = tokens(&constraint.closing(), &bpe).unwrap().len();
            let mut completion = completion(shortest + more, if cold { 0.0 } else { 1.0 }, seed);
            completion.constrain(constraint.clone(), &bpe).unwrap();
            let asked = std::cell::Cell::new(0);
            let late = || { asked.set(asked.get() + 1); asked.get() > stop + 2 };
            let interrupt = if stop < 100 { Interrupt::when(&late) } else { Interrupt::never() };
            let mut pieces = String::new();
            loop {
                let piece = match completion.advance(&noise, &bpe, &interrupt) {
                    // It goes on where it was.
                    Err(error) if error.is_interrupted() && !completion.is_heard() => {
                        completion.advance(&noise, &bpe, &Interrupt::never())
                    }
                    piece => piece,
                };
                let Some(piece) = piece.unwrap() else { break };
                pieces += &piece;
            }
            let reply = completion.reply("noise");
            prop_assert_eq!(&pieces, &reply.text);
            prop_assert!(reply.usage.completion_tokens <= shortest + more, "{reply:?}");
            let value: serde_json::Value = serde_json::from_str(&reply.text)
                .map_err(|error| TestCaseError::fail(format!("{error}: {}", reply.text)))?;
            prop_assert!(fits(&value, &schema), "{value} for {schema}");
            if shortest > 1 {
                let mut short = self::completion(shortest - 1, 0.0, 0);
                let refused = short.constrain(constraint, &bpe).unwrap_err();
                prop_assert_eq!(refused.path(), Some("max_tokens"));
            }
        }
    }
}
