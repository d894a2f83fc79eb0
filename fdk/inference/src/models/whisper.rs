//! Whisper (Radford et al., 2022) as `CTranslate2` stores it: an encoder of sound, and a decoder of text that looks at it. The
//! decoder keeps the keys and values of every token so far, and those of the sound, so that a token costs one step.

use super::conv1d::Conv1d;
use crate::error::Error;
use crate::formats::{Tensors, find, take};
use crate::interrupt::Interrupt;
use crate::mel::{BANDS, FRAMES};
use fdk_kernels::dense::attention::{Memory, attend_one};
use fdk_kernels::dense::elementwise::{add, layer_norm};
use fdk_kernels::dense::matmul::{Linear, Then};

/// The frames of the sound after the second convolution.
const SOUNDS: usize = FRAMES / 2;
/// The width of a head, of every size of the model.
const HEAD: usize = 64;

/// The network, ready to run.
pub(crate) struct Whisper {
    width: usize,
    convolutions: [Conv1d; 2],
    sound_positions: Vec<f32>,
    encoder: Vec<Layer>,
    encoder_norm: Norm,
    /// The embeddings of the tokens, which are the last layer as well.
    tokens: Linear,
    token_positions: Vec<f32>,
    decoder: Vec<(Layer, Cross)>,
    decoder_norm: Norm,
}

struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

/// Attention to itself, then a layer wide and narrow.
struct Layer {
    norm: Norm,
    queries_keys_values: Linear,
    out: Linear,
    forward_norm: Norm,
    wide: Linear,
    narrow: Linear,
}

/// Attention of the text to the sound.
struct Cross {
    norm: Norm,
    queries: Linear,
    keys_values: Linear,
    out: Linear,
}

impl Whisper {
    /// Builds it of the tensors of a `WhisperSpec`.
    pub(crate) fn load(tensors: &Tensors<'_>) -> Result<Self, Error> {
        let shape = |name: &str| tensors.get(name).map(|tensor| tensor.shape.clone()).unwrap_or_default();
        let [vocabulary, width] = shape("decoder/embeddings/weight")[..] else {
            return Err(Error::assets("the model has no weights 'decoder/embeddings/weight'"));
        };
        if width == 0 || width % HEAD != 0 || vocabulary == 0 {
            return Err(Error::assets(format!("the model has a width of {width}: none that Whisper has")));
        }
        let part = Part { tensors, width };
        let layers = |half: &'static str| {
            let there = move |index: &usize| {
                tensors.contains_key(&format!("{half}/layer_{index}/ffn/linear_0/weight"))
            };
            (0..).take_while(there).map(move |index| format!("{half}/layer_{index}/"))
        };
        let decoder =
            layers("decoder").map(|name| Ok((part.layer(&name)?, part.cross(&format!("{name}attention/"))?)));
        let positions = shape("decoder/position_encodings/encodings").first().copied().unwrap_or(0);
        Ok(Self {
            width,
            convolutions: [
                Conv1d::load(tensors, "encoder/conv1/", (BANDS, width), 1)?,
                Conv1d::load(tensors, "encoder/conv2/", (width, width), 2)?,
            ],
            sound_positions: take(tensors, "encoder/position_encodings/encodings", &[SOUNDS, width])?,
            encoder: layers("encoder").map(|name| part.layer(&name)).collect::<Result<_, _>>()?,
            encoder_norm: part.norm("encoder/layer_norm/")?,
            tokens: part.weights("decoder/embeddings/weight", vocabulary, width, &[])?,
            token_positions: take(tensors, "decoder/position_encodings/encodings", &[positions, width])?,
            decoder: decoder.collect::<Result<_, Error>>()?,
            decoder_norm: part.norm("decoder/layer_norm/")?,
        })
    }

    /// How many tokens it knows.
    pub(crate) fn vocabulary(&self) -> usize {
        self.tokens.outputs()
    }

    /// The most tokens of a window, those before the text included.
    pub(crate) fn positions(&self) -> usize {
        self.token_positions.len() / self.width
    }

    /// What the encoder makes of the features of 30 seconds: 1,500 rows. The interrupt is asked before each layer.
    pub(crate) fn encode(&self, features: &[f32], interrupt: &Interrupt<'_>) -> Result<Vec<f32>, Error> {
        interrupt.check()?;
        let [first, second] = &self.convolutions;
        let wide = first.run(features, FRAMES, Then::Gelu);
        let mut x = second.run(&wide, FRAMES, Then::Gelu);
        add(&mut x, &self.sound_positions);
        for layer in &self.encoder {
            interrupt.check()?;
            let normed = layer.norm.of(&x);
            let mut each = vec![0.0; SOUNDS * 3 * self.width];
            layer.queries_keys_values.run(&normed, SOUNDS, Then::Keep, &mut each);
            let places = (self.width, 2 * self.width);
            let memory = Memory::new(&each, SOUNDS, 3 * self.width, places, (self.width / HEAD, HEAD));
            interrupt.check()?;
            let answers = memory.attend(&each, SOUNDS, 3 * self.width);
            layer.finish(&answers, SOUNDS, &mut x);
        }
        Ok(self.encoder_norm.of(&x))
    }

    /// Begins to decode what was encoded.
    pub(crate) fn decoding(&self, sound: &[f32], interrupt: &Interrupt<'_>) -> Result<Decoding<'_>, Error> {
        let mut memories = Vec::with_capacity(self.decoder.len());
        for (_, cross) in &self.decoder {
            interrupt.check()?;
            let mut each = vec![0.0; SOUNDS * 2 * self.width];
            cross.keys_values.run(sound, SOUNDS, Then::Keep, &mut each);
            let heads = (self.width / HEAD, HEAD);
            memories.push(Memory::new(&each, SOUNDS, 2 * self.width, (0, self.width), heads));
        }
        let caches = self.decoder.iter().map(|_| Cache::default()).collect();
        Ok(Decoding { model: self, memories, caches })
    }
}

/// The text of a window, as far as it is decoded.
pub(crate) struct Decoding<'m> {
    model: &'m Whisper,
    memories: Vec<Memory>,
    caches: Vec<Cache>,
}

/// The keys and values of the tokens so far, in rows.
#[derive(Default)]
struct Cache {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Decoding<'_> {
    /// Forgets all tokens, and keeps the sound.
    pub(crate) fn restart(&mut self) {
        for cache in &mut self.caches {
            cache.keys.clear();
            cache.values.clear();
        }
    }

    /// Takes further tokens and returns the logits of what follows the last. The interrupt is asked before each layer.
    pub(crate) fn step(&mut self, tokens: &[u32], interrupt: &Interrupt<'_>) -> Result<Vec<f32>, Error> {
        let (model, width, rows) = (self.model, self.model.width, tokens.len());
        let before = self.caches.first().map_or(0, |cache| cache.keys.len() / width);
        let fault = || Error::model("cannot decode", "a token is none of its vocabulary, or one too many");
        let positions =
            model.token_positions.get(before * width..(before + rows) * width).ok_or_else(fault)?;
        let mut x = Vec::with_capacity(rows * width);
        for token in tokens {
            let token = usize::try_from(*token).ok().filter(|token| *token < model.vocabulary());
            model.tokens.row(token.ok_or_else(fault)?, &mut x);
        }
        add(&mut x, positions);
        let mut scores = Vec::new();
        let layers = model.decoder.iter().zip(&self.memories).zip(&mut self.caches);
        for (((layer, cross), memory), cache) in layers {
            interrupt.check()?;
            let normed = layer.norm.of(&x);
            let mut each = vec![0.0; rows * 3 * width];
            layer.queries_keys_values.run(&normed, rows, Then::Keep, &mut each);
            let mut answers = vec![0.0; rows * width];
            for (each, answer) in each.chunks_exact(3 * width).zip(answers.chunks_exact_mut(width)) {
                cache.keys.extend_from_slice(&each[width..2 * width]);
                cache.values.extend_from_slice(&each[2 * width..]);
                attend_one(&each[..width], &cache.keys, &cache.values, HEAD, &mut scores, answer);
            }
            layer.attended(&answers, rows, &mut x);
            let normed = cross.norm.of(&x);
            let mut queries = vec![0.0; rows * width];
            cross.queries.run(&normed, rows, Then::Keep, &mut queries);
            let answers = memory.attend(&queries, rows, width);
            let residual = x.clone();
            cross.out.run(&answers, rows, Then::Add(&residual), &mut x);
            layer.forward(rows, &mut x);
        }
        let last = model.decoder_norm.of(&x[(rows - 1) * width..]);
        let mut logits = vec![0.0; model.vocabulary()];
        model.tokens.run(&last, 1, Then::Keep, &mut logits);
        Ok(logits)
    }
}

impl Norm {
    fn of(&self, rows: &[f32]) -> Vec<f32> {
        let mut normed = rows.to_vec();
        layer_norm(&mut normed, &self.gamma, &self.beta);
        normed
    }
}

impl Layer {
    /// What follows the attention to itself.
    fn finish(&self, answers: &[f32], rows: usize, x: &mut Vec<f32>) {
        self.attended(answers, rows, x);
        self.forward(rows, x);
    }

    fn attended(&self, answers: &[f32], rows: usize, x: &mut Vec<f32>) {
        let residual = std::mem::replace(x, vec![0.0; x.len()]);
        self.out.run(answers, rows, Then::Add(&residual), x);
    }

    fn forward(&self, rows: usize, x: &mut Vec<f32>) {
        let normed = self.forward_norm.of(x);
        let mut wide = vec![0.0; rows * self.wide.outputs()];
        self.wide.run(&normed, rows, Then::Gelu, &mut wide);
        let residual = std::mem::replace(x, vec![0.0; x.len()]);
        self.narrow.run(&wide, rows, Then::Add(&residual), x);
    }
}

/// Reads parts of the network by their names.
#[derive(Clone, Copy)]
struct Part<'t> {
    tensors: &'t Tensors<'t>,
    width: usize,
}

impl Part<'_> {
    fn norm(self, name: &str) -> Result<Norm, Error> {
        let part = |what: &str| take(self.tensors, &format!("{name}{what}"), &[self.width]);
        Ok(Norm { gamma: part("gamma")?, beta: part("beta")? })
    }

    /// Weights in the precision that they are stored in.
    fn weights(self, name: &str, outputs: usize, inputs: usize, bias: &[f32]) -> Result<Linear, Error> {
        let shape = [outputs, inputs];
        Ok(match find(self.tensors, name, &shape)?.to_f16() {
            Some(weights) => Linear::half(&weights, outputs, inputs, bias),
            None => Linear::new(&take(self.tensors, name, &shape)?, outputs, inputs, bias),
        })
    }

    fn linear(self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, Error> {
        let bias = take(self.tensors, &format!("{name}bias"), &[outputs])?;
        self.weights(&format!("{name}weight"), outputs, inputs, &bias)
    }

    fn layer(self, name: &str) -> Result<Layer, Error> {
        let width = self.width;
        let (attention, forward) = (format!("{name}self_attention/"), format!("{name}ffn/"));
        Ok(Layer {
            norm: self.norm(&format!("{attention}layer_norm/"))?,
            queries_keys_values: self.linear(&format!("{attention}linear_0/"), 3 * width, width)?,
            out: self.linear(&format!("{attention}linear_1/"), width, width)?,
            forward_norm: self.norm(&format!("{forward}layer_norm/"))?,
            wide: self.linear(&format!("{forward}linear_0/"), 4 * width, width)?,
            narrow: self.linear(&format!("{forward}linear_1/"), width, 4 * width)?,
        })
    }

    fn cross(self, name: &str) -> Result<Cross, Error> {
        let width = self.width;
        Ok(Cross {
            norm: self.norm(&format!("{name}layer_norm/"))?,
            queries: self.linear(&format!("{name}linear_0/"), width, width)?,
            keys_values: self.linear(&format!("{name}linear_1/"), 2 * width, width)?,
            out: self.linear(&format!("{name}linear_2/"), width, width)?,
        })
    }
}
