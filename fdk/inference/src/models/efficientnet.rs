//! EfficientNet-Lite0 (Tan and Le, 2019; the Lite variant of Liu, 2020: no squeeze-and-excitation, `ReLU6`), of a prepared file.
//! Pictures are kept with their channels side by side, so that a convolution of one pixel is a product of matrices.

use super::efficientnet_tables::{Block, HEAD, LAST, PATCH, STEM, blocks};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::kernels::dense::bottleneck::{Bottleneck, Rooms};
use crate::kernels::dense::depthwise::Depthwise;
use crate::kernels::dense::lined::{Lined, Table};
use crate::kernels::dense::matmul::{Linear, Then};
use crate::kernels::dense::{deal, dispatch};
use crate::prepared::Prepared;
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
            stem: Linear::open(file, "stem", STEM, PATCH)?,
            blocks: blocks().map(|block| bottleneck(file, &block)).collect::<Result<_, _>>()?,
            head: Linear::open(file, "head", HEAD, LAST)?,
            classifier: Linear::open(file, "classifier", classes, HEAD)?,
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
            patches(pixels, index * STEM_ROWS, patched);
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
            crate::kernels::dense::elementwise::add(&mut mean, pixel);
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
    let expand = if block.expands() {
        Some(Linear::open(file, &format!("{name}.expand"), wide, inputs)?)
    } else {
        None
    };
    let table = |what: &str, count: usize| {
        Ok::<_, Error>(Table::Mapped(file.exactly(&format!("{name}.depthwise.{what}"), count)?))
    };
    let (weights, bias) = (table("weights", kernel * kernel * wide)?, table("bias", wide)?);
    let depthwise = Depthwise::new(weights, bias, kernel, stride);
    let project = Linear::open(file, &format!("{name}.project"), outputs, wide)?;
    Ok(Bottleneck::new(expand, depthwise, project, stride == 1 && inputs == outputs))
}

dispatch! {
    /// The patches of 3 × 3 pixels that the first convolution sees, at every second pixel of some rows of the result: `(x - 127) / 128`
    /// of each value, zeros beyond the last row and column, as TensorFlow's `SAME` padding has them, and a zero at its end.
    fn patches(pixels: &[u8], first: usize, patches: &mut [f32]) {
        /// A row of pixels, and one of zeros.
        const ROW: usize = (SIDE + 1) * 3;
        for (index, patches) in patches.chunks_exact_mut(SIDE / 2 * PATCH).enumerate() {
            let mut lines = [[0.0_f32; ROW]; 3];
            let seen = pixels[(first + index) * 2 * SIDE * 3..].chunks_exact(SIDE * 3);
            for (line, pixels) in lines.iter_mut().zip(seen) {
                for (to, value) in line.iter_mut().zip(pixels) {
                    *to = (f32::from(*value) - 127.0) / 128.0;
                }
            }
            for (x, patch) in patches.as_chunks_mut::<PATCH>().0.iter_mut().enumerate() {
                for (row, line) in lines.iter().enumerate() {
                    patch[row * 9..][..9].copy_from_slice(&line[x * 6..][..9]);
                }
                patch[27] = 0.0;
            }
        }
    }
}
