//! One pass of tokens through a decoder.

use super::attention::{self, attend};
use super::cache::Cache;
use super::rotary::{Angles, remember};
use super::rows::{Before, quantise};
use crate::quantised::{Activations, BLOCK, Into, Level, Matrix, ROWS, multiply};
use crate::team::Team;

/// The most tokens that go through a layer together. More would not be faster, and would need more memory.
const TOKENS: usize = 128;

/// The sizes of a decoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// The width of a hidden state.
    pub hidden: usize,
    /// How many layers it has.
    pub layers: usize,
    /// The heads that ask.
    pub heads: usize,
    /// The heads that have keys and values of their own.
    pub key_heads: usize,
    /// The numbers of a head.
    pub width: usize,
    /// The width of the inner layer.
    pub inner: usize,
    /// The tokens there are.
    pub vocabulary: usize,
    /// Added to the mean square by each norm.
    pub epsilon: f32,
}

impl Shape {
    /// Whether the kernels can run it.
    fn is_fused(&self) -> bool {
        let whole = |size: usize, of: usize| size > 0 && size.is_multiple_of(of);
        whole(self.hidden, BLOCK)
            && whole(self.inner, BLOCK)
            && whole(self.width, ROWS)
            && whole(self.heads * self.width, BLOCK)
            && self.key_heads > 0
            && whole(self.heads, self.key_heads)
            && self.layers > 0
            && self.vocabulary > 0
    }
}

/// Which logits are wanted: they cost a product with the whole vocabulary for each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// None: what follows is known.
    Nothing,
    /// The last token's.
    Last,
    /// Every token's.
    All,
}

/// The pass was stopped by its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// The weights of a layer.
#[derive(Debug)]
pub struct Layer {
    /// Before attention.
    pub attention_norm: Vec<f32>,
    /// Queries of all heads.
    pub query: Matrix,
    /// Keys of all key heads.
    pub key: Matrix,
    /// Their values.
    pub value: Matrix,
    /// What is done to what attention gives.
    pub output: Matrix,
    /// Before the inner layer.
    pub inner_norm: Vec<f32>,
    /// The inner layer's gate.
    pub gate: Matrix,
    /// What the gate is multiplied with.
    pub up: Matrix,
    /// Back from the inner layer.
    pub down: Matrix,
}

impl Layer {
    fn fits(&self, shape: &Shape) -> bool {
        let (queries, keys) = (shape.heads * shape.width, shape.key_heads * shape.width);
        let is = |matrix: &Matrix, rows: usize, columns: usize| {
            (matrix.rows(), matrix.columns()) == (rows, columns)
        };
        is(&self.query, queries, shape.hidden)
            && is(&self.key, keys, shape.hidden)
            && is(&self.value, keys, shape.hidden)
            && is(&self.output, shape.hidden, queries)
            && is(&self.gate, shape.inner, shape.hidden)
            && is(&self.up, shape.inner, shape.hidden)
            && is(&self.down, shape.hidden, shape.inner)
            && self.attention_norm.len() == shape.hidden
            && self.inner_norm.len() == shape.hidden
    }
}

/// A decoder: sizes and weights, which nothing changes.
#[derive(Debug)]
pub struct Decoder {
    pub(super) level: Level,
    pub(super) shape: Shape,
    pub(super) embedding: Matrix,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Vec<f32>,
    pub(super) frequencies: Vec<f32>,
    /// `None` where the embedding's matrix is the head's as well.
    pub(super) head: Option<Matrix>,
}

/// The threads and all memory of a pass, made once.
#[derive(Debug)]
pub struct Arena {
    team: Team,
    context: usize,
    angles: Angles,
    hidden: Vec<f32>,
    /// Of a row: queries, keys and values; or gates and ups.
    wide: Vec<f32>,
    /// What attention gives.
    mixed: Vec<f32>,
    /// Rows as wide as the model, as all of its heads, and as its inner layer.
    narrow: Activations,
    heads: Activations,
    inner: Activations,
    scratch: Vec<f32>,
    logits: Vec<f32>,
}

impl Decoder {
    /// A decoder whose positions turn pairs of a head's neighbours by these frequencies. `None` if the weights are not of
    /// that shape, or the shape is not one that the kernels can run.
    pub fn new(
        level: Level,
        shape: Shape,
        frequencies: Vec<f32>,
        (embedding, head): (Matrix, Option<Matrix>),
        layers: Vec<Layer>,
        norm: Vec<f32>,
    ) -> Option<Self> {
        let vocabulary = (shape.vocabulary, shape.hidden);
        let fits = shape.is_fused()
            && (embedding.rows(), embedding.columns()) == vocabulary
            && head.as_ref().is_none_or(|head| (head.rows(), head.columns()) == vocabulary)
            && layers.len() == shape.layers
            && layers.iter().all(|layer| layer.fits(&shape))
            && norm.len() == shape.hidden
            && 2 * frequencies.len() == shape.width;
        fits.then_some(Self { level, shape, embedding, layers, norm, frequencies, head })
    }

    /// The vector unit it runs on.
    pub fn level(&self) -> Level {
        self.level
    }

    /// An empty cache.
    pub fn cache(&self) -> Cache {
        Cache::new(self.shape.layers, self.shape.key_heads, self.shape.width)
    }

    /// The tokens there are.
    pub fn vocabulary(&self) -> usize {
        self.shape.vocabulary
    }

    /// Threads and memory for passes whose caches come to have at most `context` tokens.
    pub fn arena(&self, threads: usize, context: usize) -> Arena {
        let shape = &self.shape;
        let rows = TOKENS.min(context.max(1));
        let team = Team::new(threads);
        let scratch = vec![0.0; team.size() * attention::scratch(context, shape.width)];
        Arena {
            team,
            context,
            angles: Angles::new(&self.frequencies, rows),
            hidden: vec![0.0; rows * shape.hidden.next_multiple_of(ROWS)],
            wide: vec![0.0; rows * self.fused().max(self.gated())],
            mixed: vec![0.0; rows * shape.heads * shape.width],
            narrow: Activations::new(rows, shape.hidden),
            heads: Activations::new(rows, shape.heads * shape.width),
            inner: Activations::new(rows, shape.inner),
            scratch,
            logits: vec![0.0; shape.vocabulary.next_multiple_of(ROWS)],
        }
    }

    /// The numbers of a row of queries, keys and values.
    fn fused(&self) -> usize {
        (self.shape.heads + 2 * self.shape.key_heads) * self.shape.width
    }

    /// The numbers of a row of gates and ups.
    fn gated(&self) -> usize {
        2 * self.shape.inner
    }

    /// Reads tokens behind those in the cache, which has them afterwards, and puts what is wanted of the logits into `logits`:
    /// a row for each token, or one, or nothing where what follows is known already. Memory is taken only where the cache or
    /// `logits` lack it.
    ///
    /// # Errors
    /// [`Stopped`], once `go_on`, which is asked between layers, says no. The cache is then what it was before.
    ///
    /// # Panics
    /// If there are no tokens, more than the arena has context for, or one that the vocabulary has not.
    pub fn read(
        &self,
        arena: &mut Arena,
        cache: &mut Cache,
        tokens: &[u32],
        wanted: Wanted,
        logits: &mut Vec<f32>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), Stopped> {
        let before = cache.len();
        assert!(!tokens.is_empty() && before + tokens.len() <= arena.context);
        logits.clear();
        let rows = arena.narrow.rows();
        let chunks = tokens.len().div_ceil(rows);
        for (at, tokens) in tokens.chunks(rows).enumerate() {
            let wanted = match wanted {
                Wanted::Last if at + 1 < chunks => Wanted::Nothing,
                wanted => wanted,
            };
            let read = self.layers(arena, cache, tokens, wanted, go_on);
            if read.is_err() {
                cache.truncate(before);
                return read;
            }
            match wanted {
                Wanted::Nothing => {}
                Wanted::Last => self.head(arena, 0, logits),
                Wanted::All => (0..tokens.len()).for_each(|row| self.head(arena, row, logits)),
            }
        }
        Ok(())
    }

    /// Appends the logits of a row of hidden states.
    fn head(&self, arena: &mut Arena, row: usize, to: &mut Vec<f32>) {
        let (level, shape) = (self.level, &self.shape);
        let Arena { team, hidden, narrow, logits, .. } = arena;
        let hidden = &hidden[row * shape.hidden..][..shape.hidden];
        quantise(level, team, Before::Norm(&self.norm, shape.epsilon), (hidden, shape.hidden), 1, narrow);
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        let stride = logits.len();
        multiply(level, team, narrow, 1, &[head], (logits, stride, Into::Place));
        to.extend_from_slice(&logits[..shape.vocabulary]);
    }

    /// Takes tokens through all layers, and leaves their hidden states in the arena: all, or the last one's in the first row.
    fn layers(
        &self,
        arena: &mut Arena,
        cache: &mut Cache,
        tokens: &[u32],
        wanted: Wanted,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), Stopped> {
        let (level, shape) = (self.level, &self.shape);
        let Arena { team, angles, hidden, wide, mixed, narrow, heads, inner, scratch, .. } = arena;
        let (fused, gated, attended) = (self.fused(), self.gated(), shape.heads * shape.width);
        let mut count = tokens.len();
        for (token, row) in tokens.iter().zip(hidden.chunks_exact_mut(shape.hidden)) {
            self.embedding.row(*token as usize, row);
        }
        angles.set(cache.len(), count);
        cache.extend(count);
        for (at, layer) in self.layers.iter().enumerate() {
            if !go_on() {
                return Err(Stopped);
            }
            let norm = Before::Norm(&layer.attention_norm, shape.epsilon);
            quantise(level, team, norm, (hidden, shape.hidden), count, narrow);
            let matrices = [&layer.query, &layer.key, &layer.value];
            multiply(level, team, narrow, count, &matrices, (wide, fused, Into::Place));
            remember(level, team, (wide, fused), count, angles, (cache, at));
            let last = at + 1 == shape.layers;
            if last && wanted == Wanted::Nothing {
                break;
            }
            attend(level, team, (wide, fused), count, (cache, at), shape.heads, mixed, scratch);
            if last && wanted == Wanted::Last {
                // Of the last layer only the last token's output is used.
                mixed.copy_within((count - 1) * attended..count * attended, 0);
                hidden.copy_within((count - 1) * shape.hidden..count * shape.hidden, 0);
                count = 1;
            }
            quantise(level, team, Before::Nothing, (mixed, attended), count, heads);
            multiply(level, team, heads, count, &[&layer.output], (hidden, shape.hidden, Into::Sum));
            let norm = Before::Norm(&layer.inner_norm, shape.epsilon);
            quantise(level, team, norm, (hidden, shape.hidden), count, narrow);
            multiply(level, team, narrow, count, &[&layer.gate, &layer.up], (wide, gated, Into::Place));
            quantise(level, team, Before::Gate, (wide, gated), count, inner);
            multiply(level, team, inner, count, &[&layer.down], (hidden, shape.hidden, Into::Sum));
        }
        cache.advance(tokens.len());
        Ok(())
    }
}
