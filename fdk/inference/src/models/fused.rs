//! The BERT family on the fused kernels. `bert.rs` is the same on candle, and what this must equal.

use super::family::Family;
use super::pack;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::memory::BATCH_TOKENS;
use crate::prepared::Prepared;
use crate::tokenizer::Input;
use fdk_kernels::Isa;
use fdk_kernels::encoder::{Embeddings, Layer, Linear, Shape, Text};
use fdk_kernels::gemm::{DEPTH, Weights};
use fdk_kernels::numbers::Numbers;
use fdk_kernels::portions::{Outcome, Room};
#[cfg(target_arch = "x86_64")]
use fdk_kernels::quantised;
use fdk_kernels::rows::Norm;
use fdk_kernels::team::{Team, threads};
use std::sync::{Mutex, PoisonError};

/// An encoder whose weights are read in place.
pub(crate) struct Fused {
    isa: Isa,
    shape: Shape,
    epsilon: f32,
    words: Matrix,
    positions: Numbers<f32>,
    kinds: Numbers<f32>,
    norm: [Numbers<f32>; 2],
    layers: Vec<Tables>,
    /// One run at a time.
    room: Mutex<Room>,
}

/// Weights in one of the precisions.
enum Matrix {
    F32(Numbers<f32>),
    F16(Numbers<u16>),
}

impl Matrix {
    fn weights(&self) -> Weights<'_> {
        match self {
            Self::F32(numbers) => Weights::F32(numbers.get()),
            Self::F16(numbers) => Weights::F16(numbers.get()),
        }
    }
}

struct Tables {
    attention: Dense,
    output: Dense,
    attention_norm: [Numbers<f32>; 2],
    up: Dense,
    down: Dense,
    norm: [Numbers<f32>; 2],
}

struct Dense {
    weights: Layered,
    bias: Numbers<f32>,
    depth: usize,
}

/// How a layer's weights lie.
enum Layered {
    Panels(Matrix),
    #[cfg(target_arch = "x86_64")]
    Blocks(quantised::Matrix, quantised::Level),
}

impl Dense {
    fn linear(&self) -> Option<Linear<'_>> {
        match &self.weights {
            Layered::Panels(weights) => Linear::new(weights.weights(), self.bias.get(), self.depth),
            #[cfg(target_arch = "x86_64")]
            Layered::Blocks(matrix, level) => Linear::blocks(matrix, *level, self.bias.get()),
        }
    }
}

/// A layer's weights in blocks of 8 bits, in place.
#[cfg(target_arch = "x86_64")]
fn blocks(file: &Prepared, name: &str, outputs: usize, depth: usize) -> Result<Layered, Error> {
    let unfit =
        || Error::model("has a prepared file that cannot be used", format!("{name} is of another size"));
    let bytes = file.numbers::<u8>(name)?;
    let (owner, range) = bytes.place();
    let matrix = quantised::Matrix::view(quantised::Format::Q8_0, outputs, depth, owner.clone(), range);
    let level = quantised::Level::chosen()?;
    matrix.zip(level).map(|(matrix, level)| Layered::Blocks(matrix, level)).ok_or_else(unfit)
}

/// Takes a text's index and its vectors.
type Each<'a> = dyn FnMut(usize, &[f32]) -> Result<(), Error> + 'a;

impl Fused {
    /// Takes the tables of a prepared file; they must be of the sizes that the configuration states.
    pub(crate) fn open(file: &Prepared, family: &Family, isa: Isa) -> Result<Self, Error> {
        let shape =
            pack::shape(family).map_err(|why| Error::model("cannot be run by the fused kernels", why))?;
        let config = &family.config;
        let row = shape.row();
        let norm = |name: &str| -> Result<[Numbers<f32>; 2], Error> {
            Ok([file.exactly(&format!("{name}.gain"), row)?, file.exactly(&format!("{name}.bias"), row)?])
        };
        let matrix = |name: &str, outputs: usize, depth: usize| -> Result<Layered, Error> {
            let weights = format!("{name}.weights");
            Ok(Layered::Panels(match file.precision() {
                "f16" => Matrix::F16(file.exactly(&weights, outputs * depth)?),
                #[cfg(target_arch = "x86_64")]
                "int8" => return blocks(file, &weights, outputs, depth),
                _ => Matrix::F32(file.exactly(&weights, outputs * depth)?),
            }))
        };
        let dense = |name: &str, depth: usize, outputs: usize| -> Result<Dense, Error> {
            let outputs = outputs.next_multiple_of(fdk_kernels::gemm::PANEL);
            let weights = matrix(name, outputs, depth)?;
            Ok(Dense { weights, bias: file.exactly(&format!("{name}.bias"), outputs)?, depth })
        };
        let layer = |number: usize| -> Result<Tables, Error> {
            let name = |part: &str| format!("layer.{number}.{part}");
            Ok(Tables {
                attention: dense(&name("attention"), row, 3 * shape.attended())?,
                output: dense(&name("output"), shape.attended(), shape.width)?,
                attention_norm: norm(&name("attention_norm"))?,
                up: dense(&name("up"), row, shape.forward)?,
                down: dense(&name("down"), shape.forward.next_multiple_of(DEPTH), shape.width)?,
                norm: norm(&name("norm"))?,
            })
        };
        let words = config.vocab_size * row;
        let positions = family.positions();
        #[expect(clippy::cast_possible_truncation, reason = "candle's is f32 as well")]
        let epsilon = config.layer_norm_eps as f32;
        Ok(Self {
            isa,
            shape,
            epsilon,
            words: match file.precision() {
                "f32" => Matrix::F32(file.exactly("words", words)?),
                _ => Matrix::F16(file.exactly("words", words)?),
            },
            positions: file.exactly("positions", positions * row)?,
            kinds: file.exactly("kinds", config.type_vocab_size.max(1) * row)?,
            norm: norm("norm")?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_, _>>()?,
            room: Mutex::new(Room::new(Team::new(threads()), shape, positions, BATCH_TOKENS)),
        })
    }

    fn norm<'n>(&self, [gain, bias]: &'n [Numbers<f32>; 2]) -> Norm<'n> {
        Norm { gain: gain.get(), bias: bias.get(), width: self.shape.width, epsilon: self.epsilon }
    }

    /// The size of a token's vector.
    pub(crate) fn width(&self) -> usize {
        self.shape.width
    }

    /// The instruction set and how many threads it works with.
    pub(crate) fn means(&self) -> (Isa, usize) {
        (self.isa, self.room.lock().unwrap_or_else(PoisonError::into_inner).threads())
    }

    /// Encodes texts, of at most [`BATCH_TOKENS`] tokens together unless it is one, and hands each one's vectors
    /// (`tokens × width` in rows) to `each`.
    pub(crate) fn forward(
        &self,
        texts: &[&Input],
        interrupt: &Interrupt<'_>,
        each: &mut Each<'_>,
    ) -> Result<(), Error> {
        let unfit = || Error::model("could not be run", "an id or a length is not one of the model's tables");
        let layers = self.layers.iter().map(|tables| {
            Some(Layer {
                attention: tables.attention.linear()?,
                output: tables.output.linear()?,
                attention_norm: self.norm(&tables.attention_norm),
                up: tables.up.linear()?,
                down: tables.down.linear()?,
                norm: self.norm(&tables.norm),
            })
        });
        let layers: Vec<Layer<'_>> = layers.collect::<Option<_>>().ok_or_else(unfit)?;
        let embeddings = Embeddings {
            words: self.words.weights(),
            positions: self.positions.get(),
            kinds: self.kinds.get(),
            norm: self.norm(&self.norm),
        };
        // Families without kinds have one row, whatever the tokenizer says.
        let kinds =
            |text: &'_ Input| if self.kinds.get().len() > self.shape.row() { text.types.len() } else { 0 };
        let rows: Vec<Text<'_>> =
            texts.iter().map(|text| Text { ids: &text.ids, kinds: &text.types[..kinds(text)] }).collect();
        // A run that panicked has left nothing that the next one reads.
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        match room.run(self.isa, &embeddings, &layers, &rows, &|| interrupt.check().is_ok()) {
            Outcome::Done => {}
            Outcome::Stopped => return Err(Error::interrupted()),
            Outcome::Unfit => return Err(unfit()),
        }
        let mut row = 0;
        for (index, text) in texts.iter().enumerate() {
            each(index, room.vectors(row..row + text.ids.len()))?;
            row += text.ids.len();
        }
        Ok(())
    }
}
