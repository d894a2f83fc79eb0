//! EfficientNet-Lite0 (Tan and Le, 2019; the Lite variant of Liu, 2020: no squeeze-and-excitation, `ReLU6`), of a prepared file.
//! Pictures are kept with their channels side by side, so that a convolution of one pixel is a product of matrices.

use super::efficientnet_tables::{Block, HEAD, LAST, STEM, blocks};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::prepared::Prepared;
use fdk_kernels::dense::bottleneck::{Bottleneck, Rooms};
use fdk_kernels::dense::deal;
use fdk_kernels::dense::depthwise::Depthwise;
use fdk_kernels::dense::elementwise;
use fdk_kernels::dense::lined::{Lined, Table};
use fdk_kernels::dense::matmul::{Linear, Mapped, Then};
use fdk_kernels::dense::patches::{PATCH, patches};
use std::sync::{Mutex, PoisonError};

/// The side of the pictures it sees.
pub(crate) const SIDE: usize = 224;

/// Rows of the first convolution's result that are made at once: of so many the patches stay in a core's own cache.
const STEM_ROWS: usize = 8;

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
    /// The patches of the first convolution, part by part.
    patched: Vec<Lined>,
    /// What the last one makes.
    wide: Lined,
    rooms: Rooms,
}

impl EfficientNet {
    /// The network of a prepared file, in place.
    pub(crate) fn open(file: &Prepared, classes: usize) -> Result<Self, Error> {
        Ok(Self {
            stem: linear(file, "stem", STEM, PATCH)?,
            blocks: blocks().map(|block| bottleneck(file, &block)).collect::<Result<_, _>>()?,
            head: linear(file, "head", HEAD, LAST)?,
            classifier: linear(file, "classifier", classes, HEAD)?,
            scratch: Mutex::default(),
        })
    }

    /// The logits of a picture of 224 × 224 in rows of RGB. The interrupt is asked before each block.
    pub(crate) fn run(&self, pixels: &[u8], interrupt: &Interrupt<'_>) -> Result<Vec<f32>, Error> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let Scratch { input, output, wide, patched, rooms } = &mut *scratch;
        let mut side = SIDE / 2;
        let parts = input.room(side * side * STEM).chunks_mut(STEM_ROWS * side * STEM);
        patched.resize_with(parts.len(), Lined::default);
        deal(parts.zip(patched), |index, (out, patched)| {
            let rows = out.len() / STEM;
            let patched = patched.room(rows * PATCH);
            patches(pixels, SIDE, index * STEM_ROWS, patched);
            self.stem.run_here(patched, rows, Then::Relu6, out);
        });
        for block in &self.blocks {
            interrupt.check()?;
            side = block.run(input, side, rooms, output);
            std::mem::swap(input, output);
        }
        interrupt.check()?;
        self.head.run(input, side * side, Then::Relu6, wide.room(side * side * HEAD));
        let mut mean = vec![0.0_f32; HEAD];
        for pixel in wide.chunks_exact(HEAD) {
            elementwise::add(&mut mean, pixel);
        }
        #[expect(clippy::cast_precision_loss, reason = "49")]
        let count = (side * side) as f32;
        for sum in &mut mean {
            *sum /= count;
        }
        let mut logits = vec![0.0; self.classifier.outputs()];
        self.classifier.run(&mean, 1, Then::Keep, &mut logits);
        Ok(logits)
    }
}

fn bottleneck(file: &Prepared, block: &Block) -> Result<Bottleneck, Error> {
    let Block { inputs, outputs, kernel, stride, .. } = *block;
    let (name, wide) = (block.name(), block.wide());
    let expand =
        if block.expands() { Some(linear(file, &format!("{name}.expand"), wide, inputs)?) } else { None };
    let table = |what: &str, count: usize| {
        Ok::<_, Error>(Table::Mapped(file.exactly(&format!("{name}.depthwise.{what}"), count)?))
    };
    let (weights, bias) = (table("weights", kernel * kernel * wide)?, table("bias", wide)?);
    let depthwise = Depthwise::new(weights, bias, kernel, stride);
    let project = linear(file, &format!("{name}.project"), outputs, wide)?;
    Ok(Bottleneck::new(expand, depthwise, project, stride == 1 && inputs == outputs))
}

/// The layer of this name, in place.
fn linear(file: &Prepared, name: &str, outputs: usize, inputs: usize) -> Result<Linear, Error> {
    let (weights, bias) = (format!("{name}.weights"), format!("{name}.bias"));
    let mapped = match file.precision() {
        "f32" => Mapped::F32(file.numbers(&weights)?),
        _ => Mapped::F16(file.numbers(&weights)?),
    };
    let unfit = || {
        Error::model(
            "has a prepared file that cannot be used",
            format!("the tables of {name} are of another size"),
        )
    };
    Linear::mapped(mapped, file.numbers(&bias)?, outputs, inputs).ok_or_else(unfit)
}
