//! The memory in which a member of the team takes rows through an encoder, made once.

use super::attention::sizes;
use super::encoder::Shape;
use super::gemm::PANEL;
#[cfg(target_arch = "x86_64")]
use {super::quantised::Activations, std::sync::Mutex};

/// Room for the rows of a portion, for one member.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(super) shape: Shape,
    pub(super) rows: usize,
    /// Between two rows of vectors, and of wide ones.
    pub(super) stride: usize,
    pub(super) wide_stride: usize,
    pub(super) vectors: Buffer,
    pub(super) between: Buffer,
    pub(super) wide: Buffer,
    pub(super) keys: Buffer,
    pub(super) values: Buffer,
    pub(super) scores: Buffer,
    pub(super) widened: Buffer,
    /// Rows in bfloat16, and how far they are apart, for layers of half precision.
    #[cfg(target_arch = "x86_64")]
    pub(super) rounded: (Buffer, usize),
    /// Rows in 8 bits, for layers whose weights are.
    #[cfg(target_arch = "x86_64")]
    pub(super) narrow: Mutex<Activations>,
}

impl Desk {
    /// For portions of so many rows, none of whose texts has more tokens than that. The memory is the system's zero pages
    /// until it is used.
    pub(crate) fn new(shape: Shape, rows: usize) -> Self {
        let (stride, wide_stride) = (apart(shape.row()), apart(shape.wide()));
        let [keys, values, scores] = sizes(rows, shape.head());
        let deepest = deepest(shape);
        Self {
            shape,
            rows,
            stride,
            wide_stride,
            vectors: Buffer::new(rows * stride),
            between: Buffer::new(rows * stride),
            wide: Buffer::new(rows * wide_stride),
            keys: Buffer::new(keys),
            values: Buffer::new(values),
            scores: Buffer::new(scores),
            widened: Buffer::new(deepest * PANEL),
            #[cfg(target_arch = "x86_64")]
            rounded: (Buffer::new(rows * brief(deepest) / 2), brief(deepest)),
            #[cfg(target_arch = "x86_64")]
            narrow: Mutex::new(Activations::new(rows, deepest)),
        }
    }

    /// How many rows it holds.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes of one.
    pub(crate) fn bytes(shape: Shape, rows: usize) -> usize {
        let [keys, values, scores] = sizes(rows, shape.head());
        let deepest = deepest(shape);
        // A number of 8 bits, and for each block of 32 three of 32 bits.
        let narrow = rows * deepest * 3 / 2;
        // The two kinds of rows are never used by one model.
        narrow.max(2 * rows * brief(deepest))
            + 4 * (rows * (2 * apart(shape.row()) + apart(shape.wide()))
                + keys
                + values
                + scores
                + deepest * PANEL)
    }

    /// The vectors of a row, after a pass.
    pub(crate) fn vector(&self, row: usize) -> &[f32] {
        let at = row * self.stride;
        &self.vectors.numbers()[at..at + self.shape.width]
    }
}

/// The most numbers that a layer has for an output, in whole blocks.
fn deepest(shape: Shape) -> usize {
    shape.row().max(shape.attended().next_multiple_of(PANEL)).max(shape.forward.next_multiple_of(PANEL))
}

/// The distance of two rows of 16 bits: a cache line more than they have.
fn brief(width: usize) -> usize {
    width + 32
}

/// Rows whose distance is a multiple of a large power of two fall on the same few lines of a cache.
fn apart(width: usize) -> usize {
    if width.is_multiple_of(512) { width + 16 } else { width }
}

/// Numbers that members of a team write through a shared reference, each its own; aligned to a cache line.
#[derive(Debug)]
pub(super) struct Buffer {
    start: *mut f32,
    length: usize,
    owner: Vec<f32>,
}

// SAFETY: `start` points into `owner`, which moves with it and is never touched otherwise.
unsafe impl Send for Buffer {}
// SAFETY: whoever writes through `start` vouches that nobody else uses the same numbers meanwhile.
unsafe impl Sync for Buffer {}

impl Buffer {
    fn new(length: usize) -> Self {
        const LINE: usize = 16;
        let mut owner = vec![0.0; length + LINE];
        let offset = owner.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { start: owner[offset..].as_mut_ptr(), length, owner }
    }

    pub(super) fn start(&self) -> *mut f32 {
        self.start
    }

    fn numbers(&self) -> &[f32] {
        debug_assert!(self.owner.len() >= self.length);
        // SAFETY: the numbers are the owner's and initialised; a pass, which writes them, borrows the desk mutably.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}
