//! What generation asks of an architecture, and no more.

use crate::error::Error;
use crate::interrupt::Interrupt;
use std::fmt;

/// A model that reads tokens and says what may come next. It keeps nothing of a conversation: that is in the [`Cache`].
pub(crate) trait Decoder: fmt::Debug + Send + Sync {
    /// How many numbers there are for each position: one for each token of the vocabulary.
    fn vocabulary(&self) -> usize;

    /// A conversation without a token.
    fn start(&self) -> Cache;

    /// Makes room for so many more tokens, and no more than that.
    fn reserve(&self, cache: &mut Cache, tokens: usize);

    /// Reads tokens at the end of a conversation and returns `wanted` of the numbers that say what comes after them.
    ///
    /// The interrupt is asked between layers. After an error the conversation is what it was before.
    fn forward(
        &self,
        cache: &mut Cache,
        tokens: &[u32],
        wanted: Logits,
        interrupt: &Interrupt<'_>,
    ) -> Result<Vec<f32>, Error>;
}

/// Which of the numbers are wanted: they cost a product with the whole vocabulary for each position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logits {
    /// None: the next tokens are known.
    None,
    /// Those after the last token.
    Last,
    /// Those after each token, one row after the other.
    All,
}

/// What a decoder keeps of a conversation. A copy is a conversation of its own.
#[derive(Clone)]
pub(crate) enum Cache {
    /// A candle graph's.
    Graph(Graph),
    /// The fused kernels'.
    #[cfg(target_arch = "x86_64")]
    Fused(fdk_kernels::decoder::Cache),
}

/// The keys and values of each layer, in whatever order the graph likes.
#[derive(Clone, Default)]
pub(crate) struct Graph {
    pub(crate) layers: Vec<Layer>,
    /// How many tokens it holds.
    pub(crate) tokens: usize,
}

/// One layer's part of a [`Graph`].
#[derive(Clone, Default)]
pub(crate) struct Layer {
    pub(crate) keys: Vec<f32>,
    pub(crate) values: Vec<f32>,
}

impl Cache {
    /// A graph's, empty.
    pub(crate) fn new(layers: usize) -> Self {
        Self::Graph(Graph { layers: vec![Layer::default(); layers], tokens: 0 })
    }

    /// The graph's part.
    pub(crate) fn graph(&mut self) -> Option<&mut Graph> {
        match self {
            Self::Graph(graph) => Some(graph),
            #[cfg(target_arch = "x86_64")]
            Self::Fused(_) => None,
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new(0)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Graph(graph) => write!(f, "{} tokens", graph.tokens),
            #[cfg(target_arch = "x86_64")]
            Self::Fused(cache) => cache.fmt(f),
        }
    }
}
