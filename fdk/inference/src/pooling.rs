//! Token vectors → one vector for the text.

use crate::assets::Assets;
use crate::error::Error;
use serde::Deserialize;
use std::fs;

/// How a model was trained to make one vector of its tokens' vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooling {
    Mean,
    Cls,
    LastToken,
}

/// `1_Pooling/config.json` of sentence-transformers.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "the file has one flag for each kind")]
struct Config {
    pooling_mode_mean_tokens: bool,
    pooling_mode_cls_token: bool,
    pooling_mode_lasttoken: bool,
    pooling_mode_max_tokens: bool,
    pooling_mode_mean_sqrt_len_tokens: bool,
    pooling_mode_weightedmean_tokens: bool,
}

impl Pooling {
    /// The mean where a model says nothing, as sentence-transformers has it.
    pub(crate) fn read(assets: &Assets) -> Result<Self, Error> {
        let name = "1_Pooling/config.json";
        match fs::read(assets.path(name)) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::Mean),
            Err(error) => Err(Error::model(&format!("has no readable {name}"), error)),
        }
    }

    fn parse(text: &[u8]) -> Result<Self, Error> {
        let config: Config = serde_json::from_slice(text)
            .map_err(|error| Error::model("has a 1_Pooling/config.json that does not parse", error))?;
        let other = config.pooling_mode_max_tokens
            || config.pooling_mode_mean_sqrt_len_tokens
            || config.pooling_mode_weightedmean_tokens;
        match (config.pooling_mode_mean_tokens, config.pooling_mode_cls_token, config.pooling_mode_lasttoken)
        {
            (true, false, false) if !other => Ok(Self::Mean),
            (false, true, false) if !other => Ok(Self::Cls),
            (false, false, true) if !other => Ok(Self::LastToken),
            _ => Err(Error::model(
                "cannot be served",
                "1_Pooling/config.json must set one of mean, cls, last token",
            )),
        }
    }

    /// Pools one text's vectors, `tokens × width` in rows without padding, into `width` numbers.
    pub(crate) fn pool(self, tokens: &[f32], width: usize) -> Vec<f32> {
        match self {
            Self::Cls => tokens[..width].to_vec(),
            Self::LastToken => tokens[tokens.len() - width..].to_vec(),
            Self::Mean => {
                let mut sum = vec![0.0_f64; width];
                for row in tokens.chunks_exact(width) {
                    sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
                }
                #[expect(clippy::cast_precision_loss, reason = "a text has far fewer than 2^52 tokens")]
                let count = (tokens.len() / width) as f64;
                #[expect(clippy::cast_possible_truncation, reason = "f32 is what a vector holds")]
                sum.iter().map(|sum| (sum / count) as f32).collect()
            }
        }
    }
}

/// Scales a vector to length 1; a vector of zeros stays.
pub(crate) fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        for value in vector {
            #[expect(clippy::cast_possible_truncation, reason = "f32 is what a vector holds")]
            let scaled = (f64::from(*value) / length) as f32;
            *value = scaled;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_pools_as_named() {
        let tokens = [1.0, 2.0, 3.0, 6.0, 5.0, 1.0];
        assert_eq!(Pooling::Mean.pool(&tokens, 2), [3.0, 3.0]);
        assert_eq!(Pooling::Cls.pool(&tokens, 2), [1.0, 2.0]);
        assert_eq!(Pooling::LastToken.pool(&tokens, 2), [5.0, 1.0]);
    }

    #[test]
    fn the_models_own_configuration_decides() {
        let mean = br#"{"word_embedding_dimension": 384, "pooling_mode_mean_tokens": true}"#;
        assert_eq!(Pooling::parse(mean).unwrap(), Pooling::Mean);
        assert_eq!(Pooling::parse(br#"{"pooling_mode_cls_token": true}"#).unwrap(), Pooling::Cls);
        let both = br#"{"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true}"#;
        assert_eq!(Pooling::parse(both).unwrap_err().to_string(), "the model cannot be served");
    }

    #[test]
    fn a_unit_vector_has_length_one() {
        let mut vector = [3.0, 4.0];
        normalize(&mut vector);
        assert!((vector[0] - 0.6).abs() < 1e-7 && (vector[1] - 0.8).abs() < 1e-7, "{vector:?}");
        let mut zero = [0.0_f32, 0.0];
        normalize(&mut zero);
        assert!(zero.iter().all(|value| value.abs() < f32::MIN_POSITIVE), "{zero:?}");
    }
}
