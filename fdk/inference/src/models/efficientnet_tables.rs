//! An EfficientNet-Lite0's checkpoint → the tables of its prepared file: each batch normalisation is folded into the convolution
//! before it, and products are in strips.

use super::precision::{Precision, halves};
use crate::error::Error;
use crate::formats::{Tensors, take};
use crate::prepared::Maker;
use fdk_kernels::dense::patches::PATCH;
use fdk_kernels::tile::strips;

/// Channels after the first convolution, of the last block, and before the classifier.
pub(crate) const STEM: usize = 32;
pub(crate) const LAST: usize = 320;
pub(crate) const HEAD: usize = 1280;
/// `BatchNormalization`'s epsilon in the original.
const EPSILON: f32 = 1e-3;
/// How often, kernel, stride, expansion, channels out.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, LAST),
];

/// The sizes of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    number: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    expansion: usize,
}

impl Block {
    /// What its tables' names begin with.
    pub(crate) fn name(&self) -> String {
        format!("block.{}", self.number)
    }

    /// Whether its input is widened.
    pub(crate) fn expands(&self) -> bool {
        self.expansion > 1
    }

    /// The channels of its depthwise convolution.
    pub(crate) fn wide(&self) -> usize {
        self.inputs * self.expansion
    }
}

/// All of them, in order.
pub(crate) fn blocks() -> impl Iterator<Item = Block> {
    let repeated = STAGES.into_iter().flat_map(|(repeats, kernel, stride, expansion, outputs)| {
        (0..repeats).map(move |repeat| (kernel, if repeat == 0 { stride } else { 1 }, expansion, outputs))
    });
    let mut inputs = STEM;
    repeated.enumerate().map(move |(number, (kernel, stride, expansion, outputs))| {
        let block = Block { number, inputs, outputs, kernel, stride, expansion };
        inputs = outputs;
        block
    })
}

/// Adds the tables of a checkpoint, whose tensors are named as in `lukemelas/EfficientNet-PyTorch`. Returns how many classes it
/// tells apart.
pub(crate) fn pack(tensors: &Tensors<'_>, precision: Precision, maker: &mut Maker) -> Result<usize, Error> {
    let mut packer = Packer { tensors, precision, maker };
    let stem = packer.folded("_conv_stem", "_bn0", &[STEM, 3, 3, 3])?;
    // As the patches are laid out: rows, columns, channels.
    let weight = |output: usize, at: usize| {
        if at < 27 { stem.weights[output * 27 + at % 3 * 9 + at / 3] } else { 0.0 }
    };
    packer.product("stem", STEM, PATCH, weight, &stem.bias)?;
    for block in blocks() {
        packer.block(&block)?;
    }
    let head = packer.folded("_conv_head", "_bn1", &[HEAD, LAST, 1, 1])?;
    packer.product("head", HEAD, LAST, |output, input| head.weights[output * LAST + input], &head.bias)?;
    let classes = tensors.get("_fc.bias").map_or(0, |bias| bias.shape.first().copied().unwrap_or(0));
    let weights = take(tensors, "_fc.weight", &[classes, HEAD])?;
    let bias = take(tensors, "_fc.bias", &[classes])?;
    packer.product("classifier", classes, HEAD, |output, input| weights[output * HEAD + input], &bias)?;
    Ok(classes)
}

/// A convolution with the normalisation after it.
struct Folded {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

struct Packer<'p> {
    tensors: &'p Tensors<'p>,
    precision: Precision,
    maker: &'p mut Maker,
}

impl Packer<'_> {
    fn block(&mut self, block: &Block) -> Result<(), Error> {
        let Block { number, inputs, outputs, kernel, .. } = *block;
        let (name, theirs, wide) = (block.name(), format!("_blocks.{number}."), block.wide());
        let of = |part: &str| format!("{theirs}{part}");
        if block.expands() {
            let layer = self.folded(&of("_expand_conv"), &of("_bn0"), &[wide, inputs, 1, 1])?;
            let weight = |output, input| layer.weights[output * inputs + input];
            self.product(&format!("{name}.expand"), wide, inputs, weight, &layer.bias)?;
        }
        let layer = self.folded(&of("_depthwise_conv"), &of("_bn1"), &[wide, 1, kernel, kernel])?;
        let taps = kernel * kernel;
        let by_tap = (0..taps * wide).map(|at| layer.weights[at % wide * taps + at / wide]);
        // Few as they are, they stay as exact as sums are.
        self.maker.add(format!("{name}.depthwise.weights"), by_tap.collect::<Vec<f32>>());
        self.maker.add(format!("{name}.depthwise.bias"), layer.bias);
        let layer = self.folded(&of("_project_conv"), &of("_bn2"), &[outputs, wide, 1, 1])?;
        let weight = |output, input| layer.weights[output * wide + input];
        self.product(&format!("{name}.project"), outputs, wide, weight, &layer.bias)
    }

    fn folded(&self, conv: &str, norm: &str, shape: &[usize]) -> Result<Folded, Error> {
        let mut weights = take(self.tensors, &format!("{conv}.weight"), shape)?;
        let outputs = shape[0];
        let statistic = |what: &str| take(self.tensors, &format!("{norm}.{what}"), &[outputs]);
        let (gamma, beta) = (statistic("weight")?, statistic("bias")?);
        let (mean, variance) = (statistic("running_mean")?, statistic("running_var")?);
        let mut bias = Vec::with_capacity(outputs);
        for (output, weights) in weights.chunks_exact_mut(shape[1..].iter().product()).enumerate() {
            let scale = gamma[output] / (variance[output] + EPSILON).sqrt();
            for weight in weights {
                *weight *= scale;
            }
            bias.push(beta[output] - mean[output] * scale);
        }
        Ok(Folded { weights, bias })
    }

    fn product(
        &mut self,
        name: &str,
        outputs: usize,
        inputs: usize,
        weight: impl Fn(usize, usize) -> f32,
        bias: &[f32],
    ) -> Result<(), Error> {
        let filled = |output, input| if output < outputs { weight(output, input) } else { 0.0 };
        let weights = strips(outputs, inputs, filled);
        let strips_of = weights.len() / inputs;
        let mut bias = bias.to_vec();
        bias.resize(strips_of, 0.0);
        self.maker.add(format!("{name}.bias"), bias);
        let name = format!("{name}.weights");
        match self.precision {
            Precision::F32 => self.maker.add(name, weights),
            Precision::F16 | Precision::Int8 => {
                let weights = halves(&weights).map_err(|why| Error::model("cannot be prepared", why))?;
                self.maker.add(name, weights);
            }
        }
        Ok(())
    }
}
