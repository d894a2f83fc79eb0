//! What a decoder remembers of the tokens it has read.

use std::fmt;

/// The positions whose keys lie together, so that a vector meets one number of each.
pub(super) const PANEL: usize = 16;

/// Keys and values of every layer and position, in 16 bits. A value of its own: what is computed once for a prompt's
/// beginning is cloned to begin with it again.
#[derive(Clone)]
pub struct Cache {
    /// The heads that have keys and values, and the numbers of each.
    pub(super) heads: usize,
    pub(super) width: usize,
    length: usize,
    layers: Vec<Layer>,
}

/// One layer's part.
#[derive(Clone, Default)]
struct Layer {
    /// Panels of sixteen positions: for each head all positions' first number, then the second…
    keys: Vec<u16>,
    /// Position after position: each head's numbers.
    values: Vec<u16>,
}

impl Cache {
    /// An empty one.
    pub(super) fn new(layers: usize, heads: usize, width: usize) -> Self {
        Self { heads, width, length: 0, layers: vec![Layer::default(); layers] }
    }

    /// The tokens it has.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Takes memory for so many more tokens, so that none is taken while they are read.
    pub fn reserve(&mut self, tokens: usize) {
        let row = self.heads * self.width;
        let positions = self.length + tokens;
        for layer in &mut self.layers {
            let more = |numbers: usize, has: &Vec<u16>| numbers.saturating_sub(has.len());
            layer.keys.reserve_exact(more(positions.next_multiple_of(PANEL) * row, &layer.keys));
            layer.values.reserve_exact(more(positions * row, &layer.values));
        }
    }

    /// Forgets all tokens from `length` on.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Makes place for the keys and values of so many more tokens, which are then written and [taken up](Self::advance).
    pub(super) fn extend(&mut self, tokens: usize) {
        let row = self.heads * self.width;
        let positions = self.length + tokens;
        for layer in &mut self.layers {
            layer.keys.resize(positions.next_multiple_of(PANEL) * row, 0);
            layer.values.resize(positions * row, 0);
        }
    }

    /// After keys and values have been written.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.length += tokens;
    }

    /// A layer's keys and values.
    pub(super) fn layer(&self, layer: usize) -> (&[u16], &[u16]) {
        let Layer { keys, values } = &self.layers[layer];
        (keys, values)
    }

    /// A layer's keys and values, to be written.
    pub(super) fn layer_mut(&mut self, layer: usize) -> (&mut [u16], &mut [u16]) {
        let Layer { keys, values } = &mut self.layers[layer];
        (keys, values)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.length)
    }
}
