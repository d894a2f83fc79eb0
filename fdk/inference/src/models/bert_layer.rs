//! One layer of BERT (Devlin et al., 2018) on candle: attention, then a wider layer, each with a residual and a norm after it.

use super::family::{Config, HiddenAct};
use candle_core::{D, Result, Tensor};
use candle_nn::ops::softmax;
use candle_nn::{LayerNorm, Linear, Module as _, VarBuilder, layer_norm, linear};

/// A layer's weights, under the names that BERT's checkpoints have.
pub(super) struct BertLayer {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
    heads: usize,
    activation: HiddenAct,
}

impl BertLayer {
    /// Takes one layer out of a checkpoint; `weights` are those below its name.
    pub(super) fn load(weights: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let (width, wide, epsilon) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let attention = weights.pp("attention");
        let projection = |name: &str| linear(width, width, attention.pp(name));
        Ok(Self {
            query: projection("self.query")?,
            key: projection("self.key")?,
            value: projection("self.value")?,
            output: projection("output.dense")?,
            attention_norm: layer_norm(width, epsilon, attention.pp("output.LayerNorm"))?,
            up: linear(width, wide, weights.pp("intermediate.dense"))?,
            down: linear(wide, width, weights.pp("output.dense"))?,
            norm: layer_norm(width, epsilon, weights.pp("output.LayerNorm"))?,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
        })
    }

    /// Takes `batch × tokens × width` through; `mask` is added to the scores, `batch × 1 × 1 × tokens`.
    pub(super) fn forward(&self, hidden: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let attended = self.output.forward(&self.attend(hidden, mask)?)?;
        let hidden = self.attention_norm.forward(&(attended + hidden)?)?;
        let wide = self.up.forward(&hidden)?;
        let wide = match self.activation {
            HiddenAct::Gelu => wide.gelu_erf()?,
            HiddenAct::GeluApproximate => wide.gelu()?,
            HiddenAct::Relu => wide.relu()?,
        };
        self.norm.forward(&(self.down.forward(&wide)? + hidden)?)
    }

    fn attend(&self, hidden: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let (batch, tokens, width) = hidden.dims3()?;
        let head = width / self.heads;
        // batch × heads × tokens × head
        let split = |projection: &Linear| {
            projection
                .forward(hidden)?
                .reshape((batch, tokens, self.heads, head))?
                .transpose(1, 2)?
                .contiguous()
        };
        let (query, key, value) = (split(&self.query)?, split(&self.key)?, split(&self.value)?);
        #[expect(clippy::cast_precision_loss, reason = "a head has few numbers")]
        let scores = (query.matmul(&key.t()?)? / (head as f64).sqrt())?;
        let shares = softmax(&scores.broadcast_add(mask)?, D::Minus1)?;
        shares.matmul(&value)?.transpose(1, 2)?.contiguous()?.flatten_from(D::Minus2)
    }
}
