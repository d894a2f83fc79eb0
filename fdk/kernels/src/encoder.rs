//! A BERT encoder over texts that lie one after the other, without padding.
//!
//! One text, or few, is split among the team's members inside each layer. Many are dealt out in portions that each member
//! takes through all layers by itself, which needs no waiting in between.

use super::Isa;
use super::attention::{Head, Room, attend};
use super::desk::Desk;
use super::functions::Activation;
use super::gemm::{Finish, PANEL, Product, Weights, multiply};
use super::rows::{Norm, embed, normalize};
use super::team::Team;
use std::ops::Range;
#[cfg(target_arch = "x86_64")]
use {
    super::bf16,
    super::gemm::finish_panels,
    super::isa::Set,
    super::quantised::{Activations, Level, Matrix, ROWS as GROUP, multiply_groups, quantise_rows},
    std::sync::PoisonError,
};

/// How many rows a member takes at a time.
const ROWS_AT_ONCE: usize = 16;

/// The sizes of an encoder, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Of a token's vector.
    pub width: usize,
    /// How many heads attend.
    pub heads: usize,
    /// Of the wider layer.
    pub forward: usize,
    /// Between the wider layer's two products.
    pub activation: Activation,
}

impl Shape {
    /// A row of vectors: the width, filled.
    pub fn row(&self) -> usize {
        self.width.next_multiple_of(PANEL)
    }

    /// One head, filled.
    pub fn head(&self) -> usize {
        (self.width / self.heads).next_multiple_of(16)
    }

    /// What attention scores are multiplied by: one over the root of a head's size.
    #[expect(clippy::cast_precision_loss, reason = "a head has a few hundred numbers")]
    fn scale(&self) -> f32 {
        1.0 / ((self.width / self.heads) as f32).sqrt()
    }

    /// All heads.
    pub fn attended(&self) -> usize {
        self.heads * self.head()
    }

    /// Where a wide row has what attention gives, after queries, keys and values.
    fn context(&self) -> usize {
        (3 * self.attended()).next_multiple_of(PANEL)
    }

    /// A wide row: queries, keys, values and what attention gives; or the wider layer.
    pub(super) fn wide(&self) -> usize {
        (self.context() + self.attended()).max(self.forward.next_multiple_of(PANEL))
    }
}

/// A linear layer, packed.
#[derive(Debug, Clone, Copy)]
pub struct Linear<'w> {
    weights: Layered<'w>,
    bias: &'w [f32],
    depth: usize,
}

/// How a layer's weights lie.
#[derive(Debug, Clone, Copy)]
enum Layered<'w> {
    /// In panels, to be multiplied as f32.
    Panels(Weights<'w>),
    /// In blocks of 8 bits, to be multiplied with activations of as many.
    #[cfg(target_arch = "x86_64")]
    Blocks(&'w Matrix, Level),
}

impl<'w> Linear<'w> {
    /// `None` when the numbers are not as many as `depth` and the bias say, or not in whole panels.
    pub fn new(weights: Weights<'w>, bias: &'w [f32], depth: usize) -> Option<Self> {
        let outputs = bias.len();
        let numbers = match weights {
            Weights::F32(numbers) => numbers.len(),
            Weights::F16(numbers) => numbers.len(),
        };
        let fits = outputs.is_multiple_of(PANEL)
            && depth.is_multiple_of(super::gemm::DEPTH)
            && Some(numbers) == outputs.checked_mul(depth);
        fits.then_some(Self { weights: Layered::Panels(weights), bias, depth })
    }

    /// As [`Linear::new`], of weights in blocks.
    #[cfg(target_arch = "x86_64")]
    pub fn blocks(matrix: &'w Matrix, level: Level, bias: &'w [f32]) -> Option<Self> {
        let fits = matrix.rows() == bias.len() && bias.len().is_multiple_of(PANEL);
        fits.then_some(Self { weights: Layered::Blocks(matrix, level), bias, depth: matrix.columns() })
    }

    fn panels(&self) -> usize {
        self.bias.len() / PANEL
    }
}

/// One layer.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'w> {
    /// Queries, keys and values, side by side.
    pub attention: Linear<'w>,
    /// What is done to what attention gives.
    pub output: Linear<'w>,
    /// After attention and its residual.
    pub attention_norm: Norm<'w>,
    /// To the wider layer.
    pub up: Linear<'w>,
    /// And back.
    pub down: Linear<'w>,
    /// After it and its residual.
    pub norm: Norm<'w>,
}

/// What a token's vector is made of.
#[derive(Debug, Clone, Copy)]
pub struct Embeddings<'w> {
    /// A row for each word.
    pub words: Weights<'w>,
    /// A row for each position.
    pub positions: &'w [f32],
    /// One row for each text of a pair; a row of zeros in families that do not tell them apart.
    pub kinds: &'w [f32],
    /// Of the sum.
    pub norm: Norm<'w>,
}

/// One text: ids, and which text of a pair each is of (empty when all are of one).
#[derive(Debug, Clone, Copy)]
pub struct Text<'t> {
    /// Of its tokens.
    pub ids: &'t [u32],
    /// Which text of a pair each token is of.
    pub kinds: &'t [u32],
}

/// Who does the chunks of a loop: a team, or one member by itself.
pub(crate) trait Crew {
    fn size(&self) -> usize;
    fn run(&mut self, chunks: usize, work: impl Fn(usize, usize) + Sync);
}

impl Crew for Team {
    fn size(&self) -> usize {
        Self::size(self)
    }

    fn run(&mut self, chunks: usize, work: impl Fn(usize, usize) + Sync) {
        Self::run(self, chunks, work);
    }
}

/// A member by itself.
#[derive(Debug)]
pub(crate) struct Alone;

impl Crew for Alone {
    fn size(&self) -> usize {
        1
    }

    fn run(&mut self, chunks: usize, work: impl Fn(usize, usize) + Sync) {
        (0..chunks).for_each(|chunk| work(chunk, 0));
    }
}

/// A pass of texts through an encoder, at the first desk; members beyond the first use only the small room of theirs.
pub(crate) struct Pass<'p, C> {
    isa: Isa,
    shape: Shape,
    desks: &'p [Desk],
    crew: &'p mut C,
    texts: &'p [Text<'p>],
    /// The rows of all texts together.
    rows: usize,
}

impl<'p, C: Crew> Pass<'p, C> {
    /// Puts the texts' embeddings on the desk. `None` when an id, a position or a kind has no row in the tables, or the desk
    /// is too small.
    pub(crate) fn begin(
        isa: Isa,
        embeddings: &Embeddings<'_>,
        texts: &'p [Text<'p>],
        desks: &'p mut [Desk],
        crew: &'p mut C,
    ) -> Option<Self> {
        let desks: &'p [Desk] = desks;
        let desk = desks.first()?;
        let shape = desk.shape;
        let rows = texts.iter().map(|text| text.ids.len()).sum();
        let fits = rows <= desk.rows
            && desks.len() >= crew.size()
            && desks.iter().all(|other| other.shape == shape && other.rows == desk.rows)
            && embeddings.norm.fits(shape.row());
        if !fits {
            return None;
        }
        let row = |table: &[f32], number: usize| {
            let numbers = number * shape.row()..(number + 1) * shape.row();
            numbers.end <= table.len()
        };
        let words = match embeddings.words {
            Weights::F32(table) => table.len(),
            Weights::F16(table) => table.len(),
        } / shape.row();
        for text in texts {
            let kinds = text.kinds.is_empty() || text.kinds.len() == text.ids.len();
            let known = text.ids.iter().all(|id| (*id as usize) < words)
                && text.kinds.iter().all(|kind| row(embeddings.kinds, *kind as usize));
            let placed = text.ids.is_empty() || row(embeddings.positions, text.ids.len() - 1);
            if !(kinds && known && placed && row(embeddings.kinds, 0)) {
                return None;
            }
        }
        let mut at = 0;
        for text in texts {
            for (position, id) in text.ids.iter().enumerate() {
                let kind = text.kinds.get(position).map_or(0, |kind| *kind as usize);
                let of = |table: &'_ [f32], number: usize| {
                    let from = number * shape.row();
                    from..from + shape.row().min(table.len())
                };
                let position = &embeddings.positions[of(embeddings.positions, position)];
                let kind = &embeddings.kinds[of(embeddings.kinds, kind)];
                // SAFETY: the row is one of the desk's, which is borrowed for this pass alone; the tables have these rows.
                unsafe {
                    let row = desk.vectors.start().add(at * desk.stride);
                    embed(isa, &embeddings.norm, &embeddings.words, *id as usize, position, kind, row);
                }
                at += 1;
            }
        }
        Some(Self { isa, shape, desks, crew, texts, rows })
    }

    /// Takes the rows through one layer. False when the layer is not of this shape.
    #[must_use]
    pub(crate) fn layer(&mut self, layer: &Layer<'_>) -> bool {
        let shape = self.shape;
        let fits = |linear: &Linear<'_>, depth: usize, outputs: usize| {
            linear.depth == depth && linear.bias.len() == outputs.next_multiple_of(PANEL)
        };
        let forward = shape.forward.next_multiple_of(super::gemm::DEPTH);
        let all = fits(&layer.attention, shape.row(), 3 * shape.attended())
            && fits(&layer.output, shape.attended(), shape.width)
            && fits(&layer.up, shape.row(), shape.forward)
            && fits(&layer.down, forward, shape.width)
            && layer.attention_norm.fits(shape.row())
            && layer.norm.fits(shape.row());
        if !all {
            return false;
        }
        let desk = &self.desks[0];
        let (vectors, between, wide) = (desk.vectors.start(), desk.between.start(), desk.wide.start());
        let (stride, wide_stride) = (desk.stride, desk.wide_stride);
        self.multiply(&layer.attention, (vectors, stride), Finish::Bias, (wide, wide_stride));
        self.attend();
        let context = wide.wrapping_add(shape.context());
        self.multiply(
            &layer.output,
            (context, wide_stride),
            Finish::Residual(vectors, stride),
            (between, stride),
        );
        self.normalize(&layer.attention_norm, between);
        let activate = Finish::Activate(shape.activation);
        self.multiply(&layer.up, (between, stride), activate, (wide, wide_stride));
        self.multiply(&layer.down, (wide, wide_stride), Finish::Residual(between, stride), (vectors, stride));
        self.normalize(&layer.norm, vectors);
        true
    }

    fn multiply(
        &mut self,
        linear: &Linear<'_>,
        input: (*mut f32, usize),
        finish: Finish,
        output: (*mut f32, usize),
    ) {
        let weights = match linear.weights {
            Layered::Panels(weights) => weights,
            #[cfg(target_arch = "x86_64")]
            Layered::Blocks(..) => Weights::F32(&[]),
        };
        let product = Product {
            input: input.0,
            input_stride: input.1,
            rows: self.rows,
            depth: linear.depth,
            weights,
            bias: linear.bias,
            finish,
            output: output.0,
            output_stride: output.1,
        };
        let panels = linear.panels();
        let (isa, desks) = (self.isa, self.desks);
        let chunk_of = chunks(panels, self.crew.size());
        #[cfg(target_arch = "x86_64")]
        match (linear.weights, isa.set()) {
            (Layered::Blocks(matrix, level), _) => {
                return self.multiply_blocks(&product, matrix, level, chunk_of);
            }
            (Layered::Panels(Weights::F16(_)), Set::Avx512Bf16) => {
                return self.multiply_rounded(&product, chunk_of);
            }
            _ => {}
        }
        self.crew.run(panels.div_ceil(chunk_of), |chunk, member| {
            let some: Range<usize> = chunk * chunk_of..((chunk + 1) * chunk_of).min(panels);
            // SAFETY: `layer` has checked the sizes against the shape that the desk was made for, and `begin` the rows;
            // input and output are different buffers, or different columns of the wide one; panels are different
            // columns, and a member has its desk's small room to itself.
            unsafe { multiply(isa, &product, some, desks[member].widened.start()) }
        });
    }

    /// As [`Pass::multiply`], where weights are whole numbers: the rows are quantised first, all of them once.
    #[cfg(target_arch = "x86_64")]
    fn multiply_blocks(&mut self, product: &Product<'_>, matrix: &Matrix, level: Level, chunk_of: usize) {
        let (isa, panels) = (self.isa, product.bias.len() / PANEL);
        // Nobody else has it: a desk belongs to one pass.
        let mut narrow = self.desks[0].narrow.lock().unwrap_or_else(PoisonError::into_inner);
        narrow.set_columns(product.depth);
        {
            let to = narrow.rows_mut();
            self.crew.run(product.rows.div_ceil(ROWS_AT_ONCE), |chunk, _| {
                let rows = chunk * ROWS_AT_ONCE..((chunk + 1) * ROWS_AT_ONCE).min(product.rows);
                // SAFETY: the input has these rows, and they are this chunk's alone.
                unsafe { quantise_rows(level, product.source(), rows, &to) }
            });
        }
        let narrow: &Activations = &narrow;
        self.crew.run(panels.div_ceil(chunk_of), |chunk, _| {
            for panel in chunk * chunk_of..((chunk + 1) * chunk_of).min(panels) {
                let groups = panel * PANEL / GROUP..(panel + 1) * PANEL / GROUP;
                // SAFETY: as in `multiply`.
                unsafe {
                    multiply_groups(level, narrow, product.rows, matrix, groups, product.target());
                    finish_panels(isa, product, panel..panel + 1);
                }
            }
        });
    }

    /// As [`Pass::multiply`], where both sides are rounded to bfloat16: the rows first, all of them once.
    #[cfg(target_arch = "x86_64")]
    fn multiply_rounded(&mut self, product: &Product<'_>, chunk_of: usize) {
        let (isa, desks, panels) = (self.isa, self.desks, product.bias.len() / PANEL);
        let (rounded, stride) = &desks[0].rounded;
        let to = || (rounded.start().cast::<u16>(), *stride);
        self.crew.run(product.rows.div_ceil(ROWS_AT_ONCE), |chunk, _| {
            let rows = chunk * ROWS_AT_ONCE..((chunk + 1) * ROWS_AT_ONCE).min(product.rows);
            // SAFETY: the CPU has the features, as `isa` says; the input has these rows and the desk room for them, as deep
            // as any layer, and they are this chunk's alone.
            unsafe { bf16::round(product, rows, to()) }
        });
        self.crew.run(panels.div_ceil(chunk_of), |chunk, member| {
            let near = desks[member].widened.start().cast::<u16>();
            for panel in chunk * chunk_of..((chunk + 1) * chunk_of).min(panels) {
                // SAFETY: as in `multiply`; nobody writes the rounded rows any more.
                unsafe {
                    bf16::multiply(product, (to().0.cast_const(), *stride), panel, near);
                    finish_panels(isa, product, panel..panel + 1);
                }
            }
        });
    }

    fn attend(&mut self) {
        let (isa, desks, shape, texts) = (self.isa, self.desks, self.shape, self.texts);
        let desk = &desks[0];
        self.crew.run(texts.len() * shape.heads, |chunk, member| {
            let (text, head) = (chunk / shape.heads, chunk % shape.heads);
            let first: usize = texts[..text].iter().map(|text| text.ids.len()).sum();
            let room = &desks[member];
            // SAFETY: these are columns of the wide rows of one text, which the desk has; each chunk writes the output
            // columns of its own text and head, and a member has its desk's small room to itself.
            unsafe {
                let row = desk.wide.start().add(first * desk.wide_stride);
                let column = |part: usize| row.add((part * shape.heads + head) * shape.head());
                let head = Head {
                    queries: column(0),
                    keys: column(1),
                    values: column(2),
                    stride: desk.wide_stride,
                    tokens: texts[text].ids.len(),
                    size: shape.head(),
                    scale: shape.scale(),
                    output: row.add(shape.context() + head * shape.head()),
                    room: Room {
                        keys: room.keys.start(),
                        values: room.values.start(),
                        scores: room.scores.start(),
                    },
                };
                attend(isa, &head);
            }
        });
    }

    fn normalize(&mut self, norm: &Norm<'_>, rows: *mut f32) {
        let (isa, count, stride) = (self.isa, self.rows, self.desks[0].stride);
        let rows = Shared(rows);
        self.crew.run(count.div_ceil(ROWS_AT_ONCE), |chunk, _| {
            for row in chunk * ROWS_AT_ONCE..((chunk + 1) * ROWS_AT_ONCE).min(count) {
                // SAFETY: the row is one of the desk's, and of this chunk alone; `layer` has checked the norm's width.
                unsafe { normalize(isa, norm, rows.at(row * stride)) }
            }
        });
    }
}

/// How many panels a member takes at a time: few enough that nobody waits long for the last, many enough that taking
/// them costs nothing.
fn chunks(panels: usize, members: usize) -> usize {
    if members == 1 { panels } else { (panels / (members * 6)).clamp(1, 8) }
}

/// A pointer that the members of a loop share; each uses rows of its own.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: it is dereferenced only where the loop says why that is sound.
unsafe impl Sync for Shared {}

impl Shared {
    fn at(&self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}
