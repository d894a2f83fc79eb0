//! EfficientNet-Lite0 (Tan and Le, 2019; the Lite variant of Liu, 2020: no squeeze-and-excitation, `ReLU6`), with each batch
//! normalisation folded into the convolution before it. Pictures are kept with their channels side by side, so that a
//! convolution of one pixel is a product of matrices.

use crate::error::Error;
use crate::formats::{Tensors, take};
use crate::interrupt::Interrupt;
use crate::kernels::dense::bottleneck::{Bottleneck, Rooms};
use crate::kernels::dense::depthwise::Depthwise;
use crate::kernels::dense::lined::Lined;
use crate::kernels::dense::matmul::{Linear, Then};
use std::sync::{Mutex, PoisonError};

/// The side of the pictures it sees.
pub(crate) const SIDE: usize = 224;
/// `BatchNormalization`'s epsilon in the original.
const EPSILON: f32 = 1e-3;
/// Channels after the first convolution, and before the classifier.
const STEM: usize = 32;
const HEAD: usize = 1280;
/// How often, kernel, stride, expansion, channels out.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

/// The network, ready to run.
pub(crate) struct EfficientNet {
    stem: Linear,
    blocks: Vec<Bottleneck>,
    head: Linear,
    classifier: Linear,
    /// What the layers write into, kept from call to call.
    scratch: Mutex<Scratch>,
}

#[derive(Default)]
struct Scratch {
    input: Lined,
    output: Lined,
    /// The patches of the first convolution, and what the last one makes.
    wide: Lined,
    rooms: Rooms,
}

impl EfficientNet {
    /// Builds it of a checkpoint's tensors, as `lukemelas/EfficientNet-PyTorch` names them.
    pub(crate) fn load(tensors: &Tensors<'_>) -> Result<Self, Error> {
        let stem = convolution(tensors, "_conv_stem", "_bn0", &[STEM, 3, 3, 3])?;
        // As the patches are laid out: rows, columns, channels.
        let mut patches = vec![0.0; stem.weights.len()];
        for (output, weights) in stem.weights.chunks_exact(27).enumerate() {
            for channel in 0..3 {
                for tap in 0..9 {
                    patches[output * 27 + tap * 3 + channel] = weights[channel * 9 + tap];
                }
            }
        }
        let mut blocks = Vec::new();
        let mut inputs = STEM;
        for (repeats, kernel, first_stride, expansion, outputs) in STAGES {
            for repeat in 0..repeats {
                let name = format!("_blocks.{}.", blocks.len());
                let stride = if repeat == 0 { first_stride } else { 1 };
                blocks.push(block(tensors, &name, (inputs, outputs), (kernel, stride, expansion))?);
                inputs = outputs;
            }
        }
        let head = convolution(tensors, "_conv_head", "_bn1", &[HEAD, inputs, 1, 1])?;
        let classes = tensors.get("_fc.bias").map_or(0, |bias| bias.shape.first().copied().unwrap_or(0));
        let weights = take(tensors, "_fc.weight", &[classes, HEAD])?;
        let bias = take(tensors, "_fc.bias", &[classes])?;
        Ok(Self {
            stem: Linear::new(&patches, STEM, 27, &stem.bias),
            blocks,
            head: Linear::new(&head.weights, HEAD, inputs, &head.bias),
            classifier: Linear::new(&weights, classes, HEAD, &bias),
            scratch: Mutex::default(),
        })
    }

    /// How many classes it tells apart.
    pub(crate) fn classes(&self) -> usize {
        self.classifier.outputs()
    }

    /// The logits of a picture of 224 × 224 in rows of RGB. The interrupt is asked before each block.
    pub(crate) fn run(&self, pixels: &[u8], interrupt: &Interrupt<'_>) -> Result<Vec<f32>, Error> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let Scratch { input, output, wide, rooms } = &mut *scratch;
        let side = SIDE / 2;
        patches(pixels, wide.room(side * side * 27));
        self.stem.run(wide, side * side, Then::Relu6, input.room(side * side * STEM));
        let mut side = side;
        for block in &self.blocks {
            interrupt.check()?;
            side = block.run(input, side, rooms, output);
            std::mem::swap(input, output);
        }
        interrupt.check()?;
        self.head.run(input, side * side, Then::Relu6, wide.room(side * side * HEAD));
        let mut mean = vec![0.0_f32; HEAD];
        for pixel in wide.chunks_exact(HEAD) {
            crate::kernels::dense::elementwise::add(&mut mean, pixel);
        }
        #[expect(clippy::cast_precision_loss, reason = "49")]
        let count = (side * side) as f32;
        for sum in &mut mean {
            *sum /= count;
        }
        let mut logits = vec![0.0; self.classes()];
        self.classifier.run(&mean, 1, Then::Keep, &mut logits);
        Ok(logits)
    }
}

/// One block of a checkpoint.
fn block(
    tensors: &Tensors<'_>,
    name: &str,
    (inputs, outputs): (usize, usize),
    (kernel, stride, expansion): (usize, usize, usize),
) -> Result<Bottleneck, Error> {
    let wide = inputs * expansion;
    let part = |conv: &str, norm: &str, shape: &[usize]| {
        convolution(tensors, &format!("{name}{conv}"), &format!("{name}{norm}"), shape)
    };
    let expand = if expansion > 1 {
        let layer = part("_expand_conv", "_bn0", &[wide, inputs, 1, 1])?;
        Some(Linear::new(&layer.weights, wide, inputs, &layer.bias))
    } else {
        None
    };
    let depthwise = part("_depthwise_conv", "_bn1", &[wide, 1, kernel, kernel])?;
    let depthwise = Depthwise::new(&depthwise.weights, depthwise.bias, kernel, stride);
    let project = part("_project_conv", "_bn2", &[outputs, wide, 1, 1])?;
    let project = Linear::new(&project.weights, outputs, wide, &project.bias);
    Ok(Bottleneck::new(expand, depthwise, project, stride == 1 && inputs == outputs))
}

/// A convolution with the normalisation after it.
struct Folded {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

fn convolution(tensors: &Tensors<'_>, conv: &str, norm: &str, shape: &[usize]) -> Result<Folded, Error> {
    let mut weights = take(tensors, &format!("{conv}.weight"), shape)?;
    let outputs = shape[0];
    let statistic = |what: &str| take(tensors, &format!("{norm}.{what}"), &[outputs]);
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

/// The patches of 3 × 3 pixels that the first convolution sees, at every second pixel; `(x - 127) / 128` of each value, and
/// zeros beyond the last row and column, as TensorFlow's `SAME` padding has them.
fn patches(pixels: &[u8], patches: &mut [f32]) {
    let out = SIDE / 2;
    patches.fill(0.0);
    for (index, patch) in patches.chunks_exact_mut(27).enumerate() {
        let (y, x) = (index / out * 2, index % out * 2);
        let columns = 3.min(SIDE - x);
        for row in 0..3.min(SIDE - y) {
            let from = ((y + row) * SIDE + x) * 3;
            let values = pixels[from..from + columns * 3].iter();
            for (to, value) in patch[row * 9..].iter_mut().zip(values) {
                *to = (f32::from(*value) - 127.0) / 128.0;
            }
        }
    }
}
