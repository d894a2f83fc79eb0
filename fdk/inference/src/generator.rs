//! A generating model: from a request to its reply, token by token.

use crate::assets::Assets;
use crate::bpe::Bpe;
use crate::chat::{Chat, Message, Role};
use crate::completion::{Completion, Limits};
use crate::decoder_file::DecoderFile;
use crate::encoder::check_size;
use crate::error::Error;
use crate::generate::{GenerateReply, GenerateRequest, GenerateSettings};
use crate::gguf::Gguf;
use crate::grammar::Constraint;
use crate::interrupt::Interrupt;
use crate::memory;
use crate::models::decoder::{Cache, Decoder, Logits};
#[cfg(target_arch = "x86_64")]
use crate::models::fused_llama::FusedLlama;
#[cfg(target_arch = "x86_64")]
use crate::models::llama::Config;
use crate::models::llama::{Llama, Precision};
use crate::sampling::Sampler;
use crate::timings::Timings;
use crate::wording::Wording;
#[cfg(target_arch = "x86_64")]
use fdk_kernels::quantised::Level;
use std::hash::{BuildHasher as _, RandomState};

/// Tokens of a reply unless a request says how many.
const MAX_TOKENS: usize = 512;
/// The least context worth serving.
pub(crate) const LEAST_CONTEXT: usize = 512;
/// The bytes of all messages together, and how many there may be.
const TEXT_BYTES: usize = 256 * 1024;
const MAX_MESSAGES: usize = 4096;

/// A generating model, open and warm.
#[derive(Debug)]
pub struct Generator {
    name: String,
    pub(crate) bpe: Bpe,
    chat: Option<Chat>,
    pub(crate) decoder: Box<dyn Decoder>,
    system: Option<Message>,
    context: usize,
    prefix: Prefix,
}

/// What each conversation begins with, computed once. A conversation goes on with a copy of it.
#[derive(Debug, Default)]
struct Prefix {
    tokens: Vec<u32>,
    cache: Cache,
}

impl Generator {
    /// Opens a GGUF of the Llama family as [`Generator::open_with`] does with the defaults.
    pub fn open(assets: Assets) -> Result<Self, Error> {
        Self::open_with(assets, &GenerateSettings::default())
    }

    /// Opens a GGUF of the Llama family, computes the system prompt, and so runs the model once.
    ///
    /// The architectures `llama`, `qwen2` and `qwen3` are served, with a vocabulary of byte-level BPE (`gpt2`) whose texts are
    /// cut as those of GPT-2, `SmolLM2`, Llama 3 or Qwen 2 are. Any other is refused by name, `SentencePiece`'s among them, which
    /// Llama 1 and 2 and Mistral have.
    #[expect(clippy::needless_pass_by_value, reason = "the files are the model's from here on")]
    pub fn open_with(assets: Assets, settings: &GenerateSettings) -> Result<Self, Error> {
        let timings = assets.timings();
        let file = DecoderFile::open(&assets)?;
        let gguf = timings.time("read", || file.gguf())?;
        let name = assets.name();
        let prepared = file.precision().map(str::to_owned);
        timings.fact(
            "prepared",
            prepared.unwrap_or_else(|| format!("no: run `cargo fdk assets prepare {name}`")),
        );
        let bpe = timings.time("tokenizer", || Bpe::read(&gguf))?;
        let needs = memory::Decoder::of(&file, &gguf, settings.precision)?;
        let decoder = timings.time("build", || decoder(&file, &gguf, settings.precision, timings))?;
        if decoder.vocabulary() < bpe.len() {
            let why = format!("{} tokens and a table of {}", bpe.len(), decoder.vocabulary());
            return Err(Error::model("has more tokens than numbers for them", why));
        }
        let mut generator = Self {
            name: assets.model().name.clone(),
            chat: Chat::read(&gguf, &bpe)?,
            bpe,
            decoder,
            system: settings.system_prompt.clone().map(|text| Message::new(Role::System, text)),
            context: needs.context(settings)?,
            prefix: Prefix::default(),
        };
        timings.time("warm-up", || generator.compute_prefix())?;
        // The prefix stays beside each conversation.
        generator.context = needs.beside(generator.prefix.tokens.len()).context(settings)?;
        Ok(generator)
    }

    /// What replies call the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The most tokens of a prompt and its reply.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Answers a request. A deadline ends a reply where it is, unless nothing of it is there yet; an error is then
    /// [`Error::is_interrupted`]. It is one of [`Error::is_input`] where a field cannot be as it is, or the prompt has more
    /// tokens than the context.
    pub fn generate(
        &self,
        request: &GenerateRequest,
        interrupt: &Interrupt<'_>,
    ) -> Result<GenerateReply, Error> {
        let mut completion = self.begin(request, interrupt)?;
        while self.advance(&mut completion, interrupt)?.is_some() {}
        Ok(completion.reply(&self.name))
    }

    /// Begins a reply that is made piece by piece, by [`Generator::advance`]. Nothing is computed yet. The interrupt is asked
    /// while the schema is compiled and the prompt is made.
    pub fn begin(&self, request: &GenerateRequest, interrupt: &Interrupt<'_>) -> Result<Completion, Error> {
        request.check()?;
        interrupt.check()?;
        let constraint = request.schema.as_ref().map(|schema| Constraint::new(schema, interrupt));
        let constraint = constraint.transpose()?;
        let (place, prompt) = self.prompt(request, interrupt)?;
        if prompt.is_empty() {
            return Err(Error::input(place, "there is nothing to go on with"));
        }
        if prompt.len() >= self.context {
            let (has, holds) = (prompt.len(), self.context);
            let message =
                format!("it has {has} tokens, and the context holds {holds} with the reply: shorten it");
            return Err(Error::input(place, message));
        }
        let room = self.context - prompt.len();
        let most = request.max_tokens.unwrap_or(MAX_TOKENS).min(room);
        let seed = request.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        let mut sampler =
            Sampler::new(request.temperature, request.top_p, request.top_k, request.repetition_penalty, seed);
        for token in &prompt {
            sampler.note(*token);
        }
        // The last token of a prompt is always computed: what comes after it is what is asked.
        let known = prompt.len() > self.prefix.tokens.len() && prompt.starts_with(&self.prefix.tokens);
        let (cached, mut cache) = if known {
            (self.prefix.tokens.len(), self.prefix.cache.clone())
        } else {
            (0, self.decoder.start())
        };
        self.decoder.reserve(&mut cache, prompt.len() - cached + most);
        let limits = Limits { prompt: prompt.len(), cached, most };
        let pending = prompt[cached..].to_vec();
        let wording = Wording::until(request.stop.clone());
        let mut completion = Completion::new(cache, pending, limits, sampler, wording);
        if let Some(constraint) = constraint {
            completion.constrain(constraint, &self.bpe)?;
        }
        Ok(completion)
    }

    /// Makes the next token of a reply and returns the text that may be handed out since the last time, which may be empty;
    /// `None` when the reply is done, as [`Completion::reply`] then has it whole.
    pub fn advance(
        &self,
        completion: &mut Completion,
        interrupt: &Interrupt<'_>,
    ) -> Result<Option<String>, Error> {
        completion.advance(self.decoder.as_ref(), &self.bpe, interrupt)
    }

    /// How surprised the model is at a text: e to the power of the mean of −ln p of each token after the first, given those
    /// before it. Lower is better; the same text compares models, precisions and kernels.
    pub fn perplexity(&self, text: &str, interrupt: &Interrupt<'_>) -> Result<f64, Error> {
        check_size(text, || "text".into())?;
        let tokens = self.bpe.plain(text)?;
        if tokens.len() < 2 || tokens.len() > self.context {
            let message = format!("{} tokens are none of 2 to {}", tokens.len(), self.context);
            return Err(Error::input("text", message));
        }
        let mut cache = self.decoder.start();
        let (mut sum, mut at) = (0.0, 0);
        for chunk in tokens.chunks(crate::completion::CHUNK) {
            let logits = self.decoder.forward(&mut cache, chunk, Logits::All, interrupt)?;
            for row in logits.chunks(self.decoder.vocabulary()) {
                at += 1;
                if let Some(next) = tokens.get(at) {
                    sum += surprise(row, *next);
                }
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a text has thousands of tokens")]
        let mean = sum / (tokens.len() - 1) as f64;
        Ok(mean.exp())
    }

    /// The ids of a request's prompt, as the model reads it.
    pub fn ids(&self, request: &GenerateRequest) -> Result<Vec<u32>, Error> {
        self.prompt(request, &Interrupt::never()).map(|(_, ids)| ids)
    }

    /// The numbers for what comes after a request's prompt, one for each token of the vocabulary.
    pub fn logits(&self, request: &GenerateRequest, interrupt: &Interrupt<'_>) -> Result<Vec<f32>, Error> {
        self.begin(request, interrupt)?.read(self.decoder.as_ref(), interrupt)
    }

    fn prompt(
        &self,
        request: &GenerateRequest,
        interrupt: &Interrupt<'_>,
    ) -> Result<(&'static str, Vec<u32>), Error> {
        match (&request.prompt, request.messages.is_empty()) {
            (Some(prompt), true) => {
                check_size(prompt, || "prompt".into())?;
                Ok(("prompt", self.bpe.encode(prompt, None, interrupt)?))
            }
            (None, false) => {
                let size: usize = request.messages.iter().map(|message| message.content.len()).sum();
                if size > TEXT_BYTES {
                    let message = format!("they have {size} bytes and may have {TEXT_BYTES}: shorten them");
                    return Err(Error::input("messages", message));
                }
                if request.messages.len() > MAX_MESSAGES {
                    let message = format!(
                        "there are {} and may be {MAX_MESSAGES}: leave out the oldest",
                        request.messages.len()
                    );
                    return Err(Error::input("messages", message));
                }
                Ok(("messages", self.conversation(&request.messages, interrupt)?))
            }
            (None, true) => Err(Error::input("messages", "send messages, or a prompt")),
            (Some(_), false) => Err(Error::input("prompt", "send messages or a prompt, not both")),
        }
    }

    fn conversation(&self, messages: &[Message], interrupt: &Interrupt<'_>) -> Result<Vec<u32>, Error> {
        let Some(chat) = &self.chat else {
            return Err(Error::input("messages", "the model was not trained to chat: send a prompt"));
        };
        let told = messages.first().is_some_and(|message| message.role == Role::System);
        let with_system: Vec<Message>;
        let messages = match &self.system {
            Some(system) if !told => {
                with_system = std::iter::once(system).chain(messages).cloned().collect();
                &with_system
            }
            _ => messages,
        };
        let prompt = chat.prompt(messages, &self.bpe, interrupt)?;
        self.bpe.encode(&prompt.text, prompt.guard, interrupt)
    }

    /// Computes what conversations have in common: the tokens that come before the user's message whatever that is.
    fn compute_prefix(&mut self) -> Result<(), Error> {
        let mut tokens = if self.chat.is_none() {
            Vec::new()
        } else {
            let one = |text: &str| self.conversation(&[Message::new(Role::User, text)], &Interrupt::never());
            let (mut tokens, others) = (one("a")?, [one("9")?, one("\n")?]);
            for other in others {
                let same = tokens.iter().zip(&other).take_while(|(one, other)| one == other).count();
                tokens.truncate(same);
            }
            tokens
        };
        if tokens.len() >= self.context {
            let why = format!("it has {} tokens, and the context holds {}", tokens.len(), self.context);
            return Err(Error::model("has no room for its system prompt", why));
        }
        let mut cache = self.decoder.start();
        self.decoder.reserve(&mut cache, tokens.len());
        for chunk in tokens.chunks(crate::completion::CHUNK) {
            self.decoder.forward(&mut cache, chunk, Logits::None, &Interrupt::never())?;
        }
        if tokens.is_empty() {
            // Only to be warm.
            self.decoder.forward(&mut self.decoder.start(), &[0], Logits::Last, &Interrupt::never())?;
        }
        tokens.shrink_to_fit();
        self.prefix = Prefix { tokens, cache };
        Ok(())
    }
}

/// The model on the kernels, or else on candle, for which a prepared file is turned back into what it was made of.
fn decoder(
    file: &DecoderFile,
    gguf: &Gguf<'_>,
    precision: Precision,
    timings: &Timings,
) -> Result<Box<dyn Decoder>, Error> {
    #[cfg(target_arch = "x86_64")]
    if precision == Precision::Quantised {
        match FusedLlama::load(Level::chosen()?, file, gguf, &Config::read(gguf)?) {
            Ok(fused) => {
                let (kernels, threads) = fused.means();
                timings.fact("kernels", format!("fused, {kernels}, {threads} threads"));
                return Ok(Box::new(fused));
            }
            Err(why) => tracing::info!(target: "fdk::assets", "candle runs the model: {why}"),
        }
    }
    timings.fact("kernels", "candle");
    if file.precision().is_some() {
        let restored = file.restore()?;
        return Ok(Box::new(Llama::load(&Gguf::parse(&restored)?, precision, &|_| {})?));
    }
    Ok(Box::new(Llama::load(gguf, precision, &|tensor| file.release(tensor))?))
}

/// −ln of the probability that numbers give a token.
fn surprise(logits: &[f32], token: u32) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    sum.ln() - f64::from(logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY) - most)
}
