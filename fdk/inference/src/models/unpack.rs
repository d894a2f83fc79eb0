//! An encoder's prepared file → the tensors of its checkpoint, by BERT's names, for candle: `pack.rs` backwards. Numbers of f32 are
//! the checkpoint's own; those of f16 and of 8 bits are what the file has made of them.

use super::family::Family;
use super::pack;
use super::precision::Precision;
use crate::error::Error;
use crate::prepared::Prepared;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use fdk_kernels::encoder::Shape;
use fdk_kernels::gemm::{DEPTH, PANEL};
use fdk_kernels::numbers::Numbers;
use fdk_kernels::quantised::Format;
use fdk_kernels::tile::STRIP;
use half::f16;
use std::collections::HashMap;

/// The encoder's tensors.
pub(crate) fn unpack(file: &Prepared, family: &Family) -> Result<VarBuilder<'static>, Error> {
    let config = &family.config;
    let shape = pack::shape(family).map_err(unfit)?;
    let precision = Precision::parse(file.precision()).ok_or_else(|| unfit("its precision is unknown"))?;
    let mut unpacker = Unpacker { file, shape, precision, tensors: HashMap::new() };
    let (width, row, attended) = (shape.width, shape.row(), shape.attended());

    let words = config.vocab_size.saturating_mul(row);
    let words = match precision {
        Precision::F32 => file.exactly::<f32>("words", words)?.get().to_vec(),
        Precision::F16 | Precision::Int8 => {
            file.exactly::<u16>("words", words)?.get().iter().map(|bits| widened(*bits)).collect()
        }
    };
    unpacker.put("embeddings.word_embeddings.weight", unpacker.rows(&words), &[config.vocab_size, width])?;
    // Rows before the first position are the padding's, a token of the vocabulary: nothing reads them.
    if family.first_position() > config.vocab_size {
        return Err(unfit("its padding is no token of the vocabulary"));
    }
    let positions = file.exactly::<f32>("positions", family.positions().saturating_mul(row))?;
    let mut placed = vec![0.0; family.first_position() * width];
    placed.extend(unpacker.rows(positions.get()));
    let sides = [config.max_position_embeddings, width];
    unpacker.put("embeddings.position_embeddings.weight", placed, &sides)?;
    if config.type_vocab_size > 0 {
        let kinds = file.exactly::<f32>("kinds", config.type_vocab_size.saturating_mul(row))?;
        let sides = [config.type_vocab_size, width];
        unpacker.put("embeddings.token_type_embeddings.weight", unpacker.rows(kinds.get()), &sides)?;
    }
    unpacker.norm("norm", "embeddings.LayerNorm")?;

    let (plain, wide): (Vec<usize>, Vec<usize>) = ((0..width).collect(), (0..shape.forward).collect());
    let size = width / shape.heads;
    let heads = |part: usize| -> Vec<usize> {
        plain.iter().map(|at| part * attended + at / size * shape.head() + at % size).collect()
    };
    let down = shape.forward.next_multiple_of(DEPTH);
    for number in 0..config.num_hidden_layers {
        let ours = |part: &str| format!("layer.{number}.{part}");
        let theirs = |part: &str| format!("encoder.layer.{number}.{part}");
        for (part, name) in ["query", "key", "value"].into_iter().enumerate() {
            let theirs = theirs(&format!("attention.self.{name}"));
            unpacker.linear(&ours("attention"), &theirs, (3 * attended, row), &heads(part), &plain)?;
        }
        let output = theirs("attention.output.dense");
        unpacker.linear(&ours("output"), &output, (width, attended), &plain, &heads(0))?;
        unpacker.norm(&ours("attention_norm"), &theirs("attention.output.LayerNorm"))?;
        let up = theirs("intermediate.dense");
        unpacker.linear(&ours("up"), &up, (shape.forward, row), &wide, &plain)?;
        unpacker.linear(&ours("down"), &theirs("output.dense"), (width, down), &plain, &wide)?;
        unpacker.norm(&ours("norm"), &theirs("output.LayerNorm"))?;
    }
    Ok(VarBuilder::from_tensors(unpacker.tensors, DType::F32, &Device::Cpu))
}

struct Unpacker<'p> {
    file: &'p Prepared,
    shape: Shape,
    precision: Precision,
    tensors: HashMap<String, Tensor>,
}

impl Unpacker<'_> {
    fn put(&mut self, name: &str, numbers: Vec<f32>, sides: &[usize]) -> Result<(), Error> {
        let tensor = Tensor::from_vec(numbers, sides, &Device::Cpu).map_err(unfit)?;
        self.tensors.insert(name.to_owned(), tensor);
        Ok(())
    }

    /// Rows of the width, without what fills them.
    fn rows(&self, filled: &[f32]) -> Vec<f32> {
        filled.chunks_exact(self.shape.row()).flat_map(|row| &row[..self.shape.width]).copied().collect()
    }

    fn norm(&mut self, ours: &str, theirs: &str) -> Result<(), Error> {
        for (ours_too, theirs_too) in [("gain", "weight"), ("bias", "bias")] {
            let numbers = self.file.exactly::<f32>(&format!("{ours}.{ours_too}"), self.shape.row())?;
            self.put(&format!("{theirs}.{theirs_too}"), self.rows(numbers.get()), &[self.shape.width])?;
        }
        Ok(())
    }

    /// A layer of so many outputs and so deep, as it is packed: these of its outputs and of its depths are the checkpoint's.
    fn linear(
        &mut self,
        ours: &str,
        theirs: &str,
        (outputs, depth): (usize, usize),
        rows: &[usize],
        columns: &[usize],
    ) -> Result<(), Error> {
        let outputs = outputs.next_multiple_of(PANEL);
        let bias = self.file.exactly::<f32>(&format!("{ours}.bias"), outputs)?;
        let weights = Weights::of(self.file, self.precision, &format!("{ours}.weights"), outputs, depth)?;
        let mut numbers = Vec::with_capacity(rows.len() * columns.len());
        let mut whole = vec![0.0; depth];
        for output in rows {
            weights.row(*output, &mut whole);
            numbers.extend(columns.iter().map(|column| whole[*column]));
        }
        let bias = rows.iter().map(|output| bias.get()[*output]).collect();
        self.put(&format!("{theirs}.weight"), numbers, &[rows.len(), columns.len()])?;
        self.put(&format!("{theirs}.bias"), bias, &[rows.len()])
    }
}

/// A layer's weights, as a file keeps them.
enum Weights {
    F32(Numbers<f32>),
    F16(Numbers<u16>),
    Int8(Numbers<u8>),
}

impl Weights {
    fn of(
        file: &Prepared,
        precision: Precision,
        name: &str,
        outputs: usize,
        depth: usize,
    ) -> Result<Self, Error> {
        let blocks =
            || Format::Q8_0.packed_bytes(outputs, depth).ok_or_else(|| unfit("it has parts of blocks"));
        Ok(match precision {
            Precision::F32 => Self::F32(file.exactly(name, outputs * depth)?),
            Precision::F16 => Self::F16(file.exactly(name, outputs * depth)?),
            Precision::Int8 => Self::Int8(file.exactly(name, blocks()?)?),
        })
    }

    /// What one output multiplies its inputs with.
    fn row(&self, output: usize, row: &mut [f32]) {
        // Outputs are in strips, depth by depth.
        let first = output / STRIP * row.len() * STRIP + output % STRIP;
        match self {
            Self::F32(numbers) => {
                let strip = numbers.get()[first..].iter().step_by(STRIP);
                row.iter_mut().zip(strip).for_each(|(to, number)| *to = *number);
            }
            Self::F16(numbers) => {
                let strip = numbers.get()[first..].iter().step_by(STRIP);
                row.iter_mut().zip(strip).for_each(|(to, number)| *to = widened(*number));
            }
            Self::Int8(blocks) => Format::Q8_0.row(blocks.get(), output, row),
        }
    }
}

fn widened(bits: u16) -> f32 {
    f16::from_bits(bits).to_f32()
}

fn unfit(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::model("has a prepared file that cannot be used", why)
}
