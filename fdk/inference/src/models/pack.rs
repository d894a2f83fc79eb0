//! An encoder's checkpoint → the tables that the fused kernels read. `unpack.rs` has it back for candle.

use super::family::{Family, HiddenAct};
use super::precision::{self, Precision};
use crate::prepared::Maker;
use candle_core::{Error, Result};
use candle_nn::VarBuilder;
use fdk_kernels::encoder::Shape;
use fdk_kernels::functions::Activation;
use fdk_kernels::gemm::{DEPTH, PANEL};
use fdk_kernels::quantised::{BLOCK, Format};
use fdk_kernels::tile::{STRIP, strips};

/// The sizes of a family's encoder, or why the kernels do not compute it.
pub(crate) fn shape(family: &Family) -> std::result::Result<Shape, String> {
    let config = &family.config;
    let (width, heads) = (config.hidden_size, config.num_attention_heads);
    if width == 0 || heads == 0 || config.intermediate_size == 0 || !width.is_multiple_of(heads) {
        return Err(format!("a width of {width} is not that of {heads} heads"));
    }
    let activation = match config.hidden_act {
        HiddenAct::Gelu => Activation::Gelu,
        HiddenAct::GeluApproximate => Activation::GeluTanh,
        HiddenAct::Relu => Activation::Relu,
    };
    Ok(Shape { width, heads, forward: config.intermediate_size, activation })
}

/// Packs an encoder's weights, by BERT's names.
pub(crate) fn pack(
    weights: &VarBuilder<'_>,
    family: &Family,
    shape: Shape,
    precision: Precision,
    maker: &mut Maker,
) -> Result<()> {
    let config = &family.config;
    let mut packer = Packer { shape, precision, maker };

    let embeddings = weights.pp("embeddings");
    let table = |name: &str, rows: usize| numbers(&embeddings.pp(name), &[rows, shape.width], "weight");
    let words = packer.filled(&table("word_embeddings", config.vocab_size)?);
    match precision {
        Precision::F32 => packer.maker.add("words", words),
        Precision::F16 | Precision::Int8 => packer.maker.add("words", halves(&words)?),
    }
    let positions = table("position_embeddings", config.max_position_embeddings)?;
    let positions = &positions[family.first_position() * shape.width..];
    packer.maker.add("positions", packer.filled(positions));
    let kinds = match config.type_vocab_size {
        0 => vec![0.0; shape.width],
        count => table("token_type_embeddings", count)?,
    };
    packer.maker.add("kinds", packer.filled(&kinds));
    packer.norm("norm", &embeddings.pp("LayerNorm"))?;

    for number in 0..config.num_hidden_layers {
        let layer = weights.pp(format!("encoder.layer.{number}"));
        let name = |part: &str| format!("layer.{number}.{part}");
        packer.attention(&name("attention"), &layer.pp("attention.self"))?;
        packer.output(&name("output"), &layer.pp("attention.output.dense"))?;
        packer.norm(&name("attention_norm"), &layer.pp("attention.output.LayerNorm"))?;
        packer.plain(
            &name("up"),
            &layer.pp("intermediate.dense"),
            shape.width,
            shape.forward,
            shape.row(),
        )?;
        let depth = shape.forward.next_multiple_of(DEPTH);
        packer.plain(&name("down"), &layer.pp("output.dense"), shape.forward, shape.width, depth)?;
        packer.norm(&name("norm"), &layer.pp("output.LayerNorm"))?;
    }
    Ok(())
}

struct Packer<'m> {
    shape: Shape,
    precision: Precision,
    maker: &'m mut Maker,
}

impl Packer<'_> {
    /// Rows of the width, filled with zeros.
    fn filled(&self, rows: &[f32]) -> Vec<f32> {
        let (width, row) = (self.shape.width, self.shape.row());
        let mut filled = vec![0.0; rows.len() / width * row];
        for (to, from) in filled.chunks_exact_mut(row).zip(rows.chunks_exact(width)) {
            to[..width].copy_from_slice(from);
        }
        filled
    }

    fn norm(&mut self, name: &str, weights: &VarBuilder<'_>) -> Result<()> {
        for (ours, theirs) in [("gain", "weight"), ("bias", "bias")] {
            // Old checkpoints call them gamma and beta.
            let old = if theirs == "weight" { "gamma" } else { "beta" };
            let theirs = if weights.contains_tensor(theirs) { theirs } else { old };
            let numbers = self.filled(&numbers(weights, &[self.shape.width], theirs)?);
            self.maker.add(format!("{name}.{ours}"), numbers);
        }
        Ok(())
    }

    /// Queries, keys and values as one layer, head by head, each head filled.
    fn attention(&mut self, name: &str, weights: &VarBuilder<'_>) -> Result<()> {
        let Shape { width, heads, .. } = self.shape;
        let (size, filled, attended) = (width / heads, self.shape.head(), self.shape.attended());
        let mut parts = Vec::new();
        for part in ["query", "key", "value"] {
            let weights = weights.pp(part);
            parts.push((numbers(&weights, &[width, width], "weight")?, numbers(&weights, &[width], "bias")?));
        }
        let source = |output: usize| {
            let (part, within) = (output / attended, output % attended);
            let (head, number) = (within / filled, within % filled);
            (part < 3 && number < size).then(|| (part, head * size + number))
        };
        let weight = |output, depth| match source(output) {
            Some((part, row)) if depth < width => parts[part].0[row * width + depth],
            _ => 0.0,
        };
        let bias = |output| source(output).map_or(0.0, |(part, row)| parts[part].1[row]);
        self.linear(name, 3 * attended, self.shape.row(), weight, bias)
    }

    /// What follows attention: its inputs are heads, filled.
    fn output(&mut self, name: &str, weights: &VarBuilder<'_>) -> Result<()> {
        let Shape { width, heads, .. } = self.shape;
        let (size, filled, attended) = (width / heads, self.shape.head(), self.shape.attended());
        let (matrix, bias) =
            (numbers(weights, &[width, width], "weight")?, numbers(weights, &[width], "bias")?);
        let weight = |output: usize, depth: usize| {
            let (head, number) = (depth / filled, depth % filled);
            if output < width && number < size { matrix[output * width + head * size + number] } else { 0.0 }
        };
        self.linear(name, width, attended, weight, |output| bias.get(output).copied().unwrap_or(0.0))
    }

    fn plain(
        &mut self,
        name: &str,
        weights: &VarBuilder<'_>,
        inputs: usize,
        outputs: usize,
        depth: usize,
    ) -> Result<()> {
        let matrix = numbers(weights, &[outputs, inputs], "weight")?;
        let bias = numbers(weights, &[outputs], "bias")?;
        let weight = |output: usize, depth: usize| {
            if output < outputs && depth < inputs { matrix[output * inputs + depth] } else { 0.0 }
        };
        self.linear(name, outputs, depth, weight, |output| bias.get(output).copied().unwrap_or(0.0))
    }

    /// Packs a layer into panels.
    fn linear(
        &mut self,
        name: &str,
        outputs: usize,
        depth: usize,
        weight: impl Fn(usize, usize) -> f32,
        bias: impl Fn(usize) -> f32,
    ) -> Result<()> {
        let outputs = outputs.next_multiple_of(PANEL);
        let panels = strips(outputs, depth, weight);
        self.maker.add(format!("{name}.bias"), (0..outputs).map(bias).collect::<Vec<f32>>());
        let name_of = format!("{name}.weights");
        match self.precision {
            Precision::F32 => self.maker.add(name_of, panels),
            Precision::F16 => self.maker.add(name_of, halves(&panels)?),
            Precision::Int8 => {
                let at = |output: usize, input: usize| {
                    panels[(output / STRIP * depth + input) * STRIP + output % STRIP]
                };
                self.maker.add(name_of, blocks(outputs, depth, at)?);
            }
        }
        Ok(())
    }
}

/// One tensor as f32.
fn numbers(weights: &VarBuilder<'_>, shape: &[usize], name: &str) -> Result<Vec<f32>> {
    weights.get(shape, name)?.flatten_all()?.to_vec1()
}

fn halves(numbers: &[f32]) -> Result<Vec<u16>> {
    precision::halves(numbers).map_err(Error::msg)
}

/// Blocks of 32 inputs of an output, each of whole numbers from −127 to 127 and a scale, in the order of the kernels.
fn blocks(outputs: usize, depth: usize, weight: impl Fn(usize, usize) -> f32) -> Result<Vec<u8>> {
    let mut file = Vec::with_capacity(outputs * depth / BLOCK * Format::Q8_0.block_bytes());
    for output in 0..outputs {
        for first in (0..depth).step_by(BLOCK) {
            let numbers: Vec<f32> =
                (first..first + BLOCK).map(|at| if at < depth { weight(output, at) } else { 0.0 }).collect();
            let most = numbers.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
            let scale = half::f16::from_f32(most / 127.0);
            // What the kernels multiply with is the rounded one.
            let factor = if scale.to_f32() > 0.0 { scale.to_f32().recip() } else { 0.0 };
            file.extend(scale.to_le_bytes());
            #[expect(clippy::cast_possible_truncation, reason = "it is clamped")]
            let whole = |number: &f32| (number * factor).round().clamp(-127.0, 127.0) as i8;
            file.extend(numbers.iter().map(|number| whole(number).cast_unsigned()));
        }
    }
    let unfit = || Error::msg("its layers are not of whole blocks of 32: prepare it with --precision f16");
    let mut packed = vec![0; Format::Q8_0.packed_bytes(outputs, depth).ok_or_else(unfit)?];
    Format::Q8_0.interleave(&file, outputs, depth, &mut packed);
    Ok(packed)
}
