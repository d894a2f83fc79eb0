//! The tensors of the Llama family: each of a file is computed with, or is known not to be needed, or is refused by name. One
//! that was passed over would make the model another than it was trained to be.

use crate::error::Error;
use crate::gguf::Gguf;

/// What a file has besides its layers; the last two not always.
const MODEL: [&str; 4] = ["token_embd.weight", "output_norm.weight", "output.weight", "rope_freqs.weight"];
/// What each layer has.
const LAYER: [&str; 9] = [
    "attn_norm.weight",
    "attn_q.weight",
    "attn_k.weight",
    "attn_v.weight",
    "attn_output.weight",
    "ffn_norm.weight",
    "ffn_gate.weight",
    "ffn_up.weight",
    "ffn_down.weight",
];
/// What a layer may have, that candle's graph computes with and the kernels do not.
const CANDLE: [&str; 6] = [
    "attn_q.bias",
    "attn_k.bias",
    "attn_v.bias",
    "attn_output.bias",
    "attn_q_norm.weight",
    "attn_k_norm.weight",
];
/// What old converters wrote of how positions turn: it is computed from the metadata.
const UNNEEDED: [&str; 1] = ["attn_rot_embd.weight"];

/// Refuses more layers than there are tensors for, and a tensor that neither graph computes with.
pub(crate) fn check(gguf: &Gguf<'_>, layers: usize) -> Result<(), Error> {
    let count = gguf.tensors().count();
    if layers > count / LAYER.len() {
        let why = format!("block_count is {layers}, and {count} tensors are those of fewer layers");
        return Err(Error::model("has a GGUF file that does not fit its own header", why));
    }
    let known = |name: &str| match in_layer(name) {
        Some((layer, part)) => {
            layer < layers && [&LAYER[..], &CANDLE, &UNNEEDED].iter().any(|names| names.contains(&part))
        }
        None => MODEL.contains(&name),
    };
    match gguf.tensors().find(|(name, _)| !known(name)) {
        None => Ok(()),
        Some((odd, _)) => {
            let what = format!("has a tensor that nothing here computes with, {odd:?}: it cannot be served");
            Err(Error::model(&what, "the GGUF file"))
        }
    }
}

/// A tensor that only candle's graph computes with, if the file has one.
pub(crate) fn for_candle_alone<'a>(gguf: &Gguf<'a>) -> Option<&'a str> {
    let alone = |name: &str| in_layer(name).is_some_and(|(_, part)| CANDLE.contains(&part));
    gguf.tensors().map(|(name, _)| name).find(|name| alone(name))
}

/// The number of a tensor's layer, and its name in that.
fn in_layer(name: &str) -> Option<(usize, &str)> {
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    // As it is asked for: `blk.01.` is no layer's.
    layer.parse().ok().filter(|number: &usize| number.to_string() == layer).map(|number| (number, part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::decoder::{Decoder, Logits};
    use crate::models::llama::{Config, Llama, Precision};
    use crate::{Assets, Interrupt};
    use std::fs;

    const LAYERS: usize = 2;
    const WIDTH: usize = 32;

    /// What tensor it is, and its sides.
    type Named = (String, Vec<usize>);

    fn sides(part: &str) -> Vec<usize> {
        match part {
            "attn_k.weight" | "attn_v.weight" => vec![16, WIDTH],
            "token_embd.weight" | "output.weight" => vec![64, WIDTH],
            "attn_k.bias" | "attn_v.bias" | "attn_q_norm.weight" | "attn_k_norm.weight" => vec![16],
            "rope_freqs.weight" => vec![8],
            part if part.ends_with("norm.weight")
                || part.rsplit_once('.').is_some_and(|(_, last)| last == "bias") =>
            {
                vec![WIDTH]
            }
            _ => vec![WIDTH, WIDTH],
        }
    }

    /// All that a file may have, with or without what only candle's graph computes with.
    fn all(candle: bool) -> Vec<Named> {
        let of_layer = |layer: usize| {
            let more = if candle { &CANDLE[..] } else { &[] };
            LAYER.iter().chain(more).map(move |part| (format!("blk.{layer}.{part}"), sides(part)))
        };
        let of_model = MODEL.iter().map(|name| ((*name).to_owned(), sides(name)));
        (0..LAYERS).flat_map(of_layer).chain(of_model).collect()
    }

    fn text(file: &mut Vec<u8>, text: &str) {
        file.extend((text.len() as u64).to_le_bytes());
        file.extend(text.as_bytes());
    }

    /// A GGUF of the architecture `llama`, its matrices in blocks of 8 bits. The numbers of one tensor have the other sign.
    fn gguf(tensors: &[Named], layers: u32, turned: &str) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3_u32.to_le_bytes());
        file.extend((tensors.len() as u64).to_le_bytes());
        let metadata = [
            ("block_count", layers),
            ("embedding_length", 32),
            ("attention.head_count", 2),
            ("attention.head_count_kv", 1),
            ("feed_forward_length", 32),
            ("context_length", 64),
        ];
        file.extend((metadata.len() as u64 + 1).to_le_bytes());
        text(&mut file, "general.architecture");
        file.extend(8_u32.to_le_bytes());
        text(&mut file, "llama");
        for (key, value) in metadata {
            text(&mut file, &format!("llama.{key}"));
            file.extend(4_u32.to_le_bytes());
            file.extend(value.to_le_bytes());
        }
        let mut data: Vec<u8> = Vec::new();
        for (number, (name, sides)) in tensors.iter().enumerate() {
            text(&mut file, name);
            file.extend(u32::try_from(sides.len()).unwrap().to_le_bytes());
            sides.iter().rev().for_each(|side| file.extend((*side as u64).to_le_bytes()));
            let is_matrix = sides.len() == 2;
            file.extend(if is_matrix { 8_u32 } else { 0 }.to_le_bytes());
            file.extend((data.len() as u64).to_le_bytes());
            for at in 0..sides.iter().product::<usize>() {
                let quant = i8::try_from((at * 37 + number * 11) % 201).map_or(100, |quant| quant - 100);
                let quant = if name == turned { -quant } else { quant };
                if !is_matrix {
                    // Near one, as gains and factors are.
                    data.extend((1.0 + f32::from(quant) / 256.0).to_le_bytes());
                    continue;
                }
                if at.is_multiple_of(32) {
                    data.extend(half::f16::from_f32(0.004).to_le_bytes());
                }
                data.extend(quant.to_le_bytes());
            }
            data.resize(data.len().next_multiple_of(32), 0);
        }
        file.resize(file.len().next_multiple_of(32), 0);
        [file, data].concat()
    }

    fn logits(decoder: &dyn Decoder) -> Vec<f32> {
        let (mut cache, tokens) = (decoder.start(), [3, 50, 7, 21]);
        decoder.reserve(&mut cache, tokens.len());
        decoder.forward(&mut cache, &tokens, Logits::Last, &Interrupt::never()).unwrap()
    }

    fn on_candle(file: &[u8]) -> Vec<f32> {
        logits(&Llama::load(&Gguf::parse(file).unwrap(), Precision::Full, &|_| {}).unwrap())
    }

    #[cfg(target_arch = "x86_64")]
    fn on_kernels(file: &[u8]) -> Result<Vec<f32>, String> {
        use crate::decoder_file::DecoderFile;
        use crate::map::MappedFile;
        use crate::models::fused_llama::FusedLlama;
        use fdk_kernels::quantised::Level;
        use std::io::Write as _;
        let mut on_disk = tempfile::NamedTempFile::new().unwrap();
        on_disk.write_all(file).unwrap();
        let file = DecoderFile::Gguf(MappedFile::open(on_disk.path()).unwrap());
        let gguf = file.gguf().unwrap();
        let level = Level::chosen().unwrap();
        FusedLlama::load(level, &file, &gguf, &Config::read(&gguf).unwrap()).map(|model| logits(&model))
    }

    /// What a file with one tensor more, or another, is refused with.
    fn refusal(tensors: &[Named], layers: u32) -> String {
        let file = gguf(tensors, layers, "");
        let error = Config::read(&Gguf::parse(&file).unwrap()).unwrap_err();
        format!("{error}: {}", std::error::Error::source(&error).unwrap())
    }

    fn with(name: &str) -> Vec<Named> {
        let part = in_layer(name).map_or(name, |(_, part)| part);
        [all(false), vec![(name.to_owned(), sides(part))]].concat()
    }

    #[test]
    fn each_tensor_is_computed_with() {
        let tensors = all(true);
        let plain = on_candle(&gguf(&tensors, 2, ""));
        assert!(plain.iter().all(|logit| logit.is_finite()));
        for (name, _) in &tensors {
            assert_ne!(on_candle(&gguf(&tensors, 2, name)), plain, "candle does not use {name}");
        }
        assert_eq!(
            on_candle(&gguf(&with("blk.1.attn_rot_embd.weight"), 2, "")),
            on_candle(&gguf(&all(false), 2, ""))
        );
        #[cfg(target_arch = "x86_64")]
        if fdk_kernels::quantised::Level::chosen().unwrap().is_some() {
            let tensors = all(false);
            let plain = on_kernels(&gguf(&tensors, 2, "")).unwrap();
            for (name, _) in &tensors {
                assert_ne!(
                    on_kernels(&gguf(&tensors, 2, name)).unwrap(),
                    plain,
                    "the kernels do not use {name}"
                );
            }
            for part in CANDLE {
                let name = format!("blk.1.{part}");
                assert_eq!(on_kernels(&gguf(&with(&name), 2, "")).unwrap_err(), format!("it has {name}"));
            }
        }
    }

    #[test]
    fn a_tensor_that_nothing_computes_with_is_refused_by_name() {
        for name in [
            "blk.1.ffn_up.bias",
            "blk.0.ffn_gate.bias",
            "blk.0.ffn_down.bias",
            "blk.0.attn_norm.bias",
            "blk.01.attn_q.bias",
            "blk.2.attn_q.weight",
            "output.bias",
            "a\nb",
        ] {
            assert_eq!(
                refusal(&with(name), 2),
                format!(
                    "the model has a tensor that nothing here computes with, {name:?}: it cannot be served: the GGUF file"
                )
            );
        }
    }

    #[test]
    fn no_more_layers_are_believed_than_there_are_tensors_for() {
        for layers in [3, 1 << 23] {
            assert_eq!(
                refusal(&all(false), layers),
                format!(
                    "the model has a GGUF file that does not fit its own header: block_count is {layers}, and 22 tensors are \
                     those of fewer layers"
                )
            );
        }
    }

    #[test]
    fn a_preparation_refuses_it_too_and_leaves_to_candle_what_is_candles() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("m")).unwrap();
        let prepare = |tensors: &[Named]| {
            fs::write(folder.path().join("m/model.gguf"), gguf(tensors, 2, "")).unwrap();
            let assets = Assets::open(folder.path(), Some("m")).unwrap();
            crate::prepare(&assets, crate::Precision::F16).map(|report| report.is_some())
        };
        let refused = prepare(&with("blk.1.ffn_up.bias")).unwrap_err().to_string();
        assert!(refused.contains("\"blk.1.ffn_up.bias\""), "{refused}");
        assert!(!prepare(&with("blk.1.attn_output.bias")).unwrap());
        assert_eq!(prepare(&all(false)).unwrap(), cfg!(target_arch = "x86_64"));
    }
}
