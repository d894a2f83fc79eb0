//! Token vectors → one vector for the text.

use crate::assets::Assets;
use crate::error::Error;
use crate::modules::POOLING;
use crate::prompts::Prompts;
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
    /// Whether a prompt's tokens are pooled with its text's; they are unless said.
    include_prompt: Option<bool>,
}

impl Pooling {
    /// The mean where a model says nothing, as sentence-transformers has it.
    pub(crate) fn read(assets: &Assets, prompts: &Prompts) -> Result<Self, Error> {
        let name = format!("{POOLING}/config.json");
        match fs::read(assets.path(&name)) {
            Ok(text) => Self::parse(&text, prompts),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::Mean),
            Err(error) => Err(Error::model(&format!("has no readable {name}"), error)),
        }
    }

    fn parse(text: &[u8], prompts: &Prompts) -> Result<Self, Error> {
        let config: Config = serde_json::from_slice(text)
            .map_err(|error| Error::model("has a 1_Pooling/config.json that does not parse", error))?;
        if config.include_prompt == Some(false) && !prompts.is_empty() {
            return Err(Error::model(
                "cannot be served",
                "1_Pooling/config.json has include_prompt false, and the model has prompts: a prompt is pooled with its text here",
            ));
        }
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
        let none = Prompts::default();
        let parse = |text: &str| Pooling::parse(text.as_bytes(), &none);
        let mean = r#"{"word_embedding_dimension": 384, "pooling_mode_mean_tokens": true}"#;
        assert_eq!(parse(mean).unwrap(), Pooling::Mean);
        assert_eq!(parse(r#"{"pooling_mode_cls_token": true}"#).unwrap(), Pooling::Cls);
        let both = r#"{"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true}"#;
        assert_eq!(parse(both).unwrap_err().to_string(), "the model cannot be served");
    }

    #[test]
    fn prompts_that_are_not_pooled_are_refused() {
        let config = br#"{"pooling_mode_mean_tokens": true, "include_prompt": false}"#;
        assert_eq!(Pooling::parse(config, &Prompts::default()).unwrap(), Pooling::Mean, "there are none");
        let prompts = Prompts::parse(br#"{"prompts": {"query": "query: "}}"#).unwrap();
        let error = Pooling::parse(config, &prompts).unwrap_err();
        assert_eq!(error.to_string(), "the model cannot be served");
        assert_eq!(
            std::error::Error::source(&error).unwrap().to_string(),
            "1_Pooling/config.json has include_prompt false, and the model has prompts: a prompt is pooled with its text here"
        );
        let pooled = br#"{"pooling_mode_mean_tokens": true, "include_prompt": true}"#;
        assert_eq!(Pooling::parse(pooled, &prompts).unwrap(), Pooling::Mean);
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
