//! GGUFs in the shapes of real models, with weights of zeros that take no room on the disk: memory does not depend on them.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

/// Sizes of a decoder, and the precision its matrices are in.
pub(super) struct Shape {
    pub(super) architecture: &'static str,
    pub(super) layers: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head: usize,
    pub(super) forward: usize,
    pub(super) tokens: usize,
    pub(super) precision: &'static str,
}

pub(super) fn llama_1b(precision: &'static str) -> Shape {
    let (layers, width, heads, kv_heads, head, forward) = (16, 2048, 32, 8, 64, 8192);
    Shape { architecture: "llama", layers, width, heads, kv_heads, head, forward, tokens: 128_256, precision }
}

pub(super) fn qwen2_half_b(precision: &'static str) -> Shape {
    let (layers, width, heads, kv_heads, head, forward) = (24, 896, 14, 2, 64, 4864);
    Shape { architecture: "qwen2", layers, width, heads, kv_heads, head, forward, tokens: 151_936, precision }
}

pub(super) fn qwen3_half_b(precision: &'static str) -> Shape {
    let (layers, width, heads, kv_heads, head, forward) = (28, 1024, 16, 8, 128, 3072);
    Shape { architecture: "qwen3", layers, width, heads, kv_heads, head, forward, tokens: 151_936, precision }
}

/// `ggml_type`, and the bytes of so many numbers.
const F32: (u32, usize, usize) = (0, 4, 1);
const F16: (u32, usize, usize) = (1, 2, 1);
const Q4_0: (u32, usize, usize) = (2, 18, 32);
const Q8_0: (u32, usize, usize) = (8, 34, 32);
const Q4_K: (u32, usize, usize) = (12, 144, 256);
const Q5_K: (u32, usize, usize) = (13, 176, 256);
const Q6_K: (u32, usize, usize) = (14, 210, 256);

impl Shape {
    pub(super) fn name(&self) -> String {
        format!("{}-{}x{}-{}", self.architecture, self.layers, self.width, self.precision)
    }

    /// Writes `model.gguf` into a new folder of the model's name.
    pub(super) fn write(&self, assets: &Path) {
        let folder = assets.join(self.name());
        fs::create_dir(&folder).unwrap();
        let mut header = Header { bytes: Vec::new(), entries: 0 };
        header.text("general.architecture", self.architecture);
        for (name, count) in [
            ("block_count", self.layers),
            ("embedding_length", self.width),
            ("attention.head_count", self.heads),
            ("attention.head_count_kv", self.kv_heads),
            ("attention.key_length", self.head),
            ("feed_forward_length", self.forward),
            ("context_length", 32_768),
        ] {
            header.count(&format!("{}.{name}", self.architecture), count);
        }
        let (tokens, merges) = vocabulary(self.tokens);
        header.text("tokenizer.ggml.model", "gpt2");
        header.text("tokenizer.ggml.pre", if self.architecture == "llama" { "llama-bpe" } else { "qwen2" });
        header.texts("tokenizer.ggml.tokens", &tokens);
        header.texts("tokenizer.ggml.merges", &merges);
        header.count("tokenizer.ggml.eos_token_id", self.tokens - 1);

        let (mut places, mut end, mut count) = (Vec::new(), 0_usize, 0_u64);
        let mut place = |name: &str, sides: &[usize], (kind, bytes, of): (u32, usize, usize)| {
            put_text(&mut places, name);
            places.extend(u32::try_from(sides.len()).unwrap().to_le_bytes());
            // The fastest side first.
            sides.iter().rev().for_each(|side| places.extend((*side as u64).to_le_bytes()));
            places.extend(kind.to_le_bytes());
            places.extend((end as u64).to_le_bytes());
            end = (end + sides.iter().product::<usize>() / of * bytes).next_multiple_of(32);
            count += 1;
        };
        let (queries, keys) = (self.heads * self.head, self.kv_heads * self.head);
        let (most, some) = self.types();
        place("token_embd.weight", &[self.tokens, self.width], some);
        place("output_norm.weight", &[self.width], F32);
        for layer in 0..self.layers {
            let eighth = self.layers / 8;
            // As llama.cpp has it (`use_more_bits`).
            let better = layer < eighth || layer >= 7 * eighth || (layer - eighth) % 3 == 2;
            let mut put =
                |part: &str, sides: &[usize], kind| place(&format!("blk.{layer}.{part}"), sides, kind);
            put("attn_norm.weight", &[self.width], F32);
            put("ffn_norm.weight", &[self.width], F32);
            put("attn_q.weight", &[queries, self.width], most);
            put("attn_k.weight", &[keys, self.width], most);
            put("attn_v.weight", &[keys, self.width], if better { some } else { most });
            put("attn_output.weight", &[self.width, queries], most);
            put("ffn_gate.weight", &[self.forward, self.width], most);
            put("ffn_up.weight", &[self.forward, self.width], most);
            put("ffn_down.weight", &[self.width, self.forward], if better { some } else { most });
            if self.architecture == "qwen2" {
                for (part, size) in [("q", queries), ("k", keys), ("v", keys)] {
                    put(&format!("attn_{part}.bias"), &[size], F32);
                }
            }
            if self.architecture == "qwen3" {
                for part in ["q", "k"] {
                    put(&format!("attn_{part}_norm.weight"), &[self.head], F32);
                }
            }
        }
        let mut file = File::create(folder.join("model.gguf")).unwrap();
        file.write_all(
            &[&b"GGUF\x03\0\0\0"[..], &count.to_le_bytes(), &header.entries.to_le_bytes()].concat(),
        )
        .unwrap();
        file.write_all(&header.bytes).unwrap();
        file.write_all(&places).unwrap();
        let start = (24 + header.bytes.len() + places.len()).next_multiple_of(32);
        file.set_len((start + end) as u64).unwrap();
    }

    /// The type of most matrices, and that of the table and some others.
    fn types(&self) -> ((u32, usize, usize), (u32, usize, usize)) {
        // Rows that are no whole blocks of 256 are of an older type.
        let whole = self.width.is_multiple_of(256);
        match self.precision {
            "Q4_K_M" if whole => (Q4_K, Q6_K),
            "Q5_K_M" if whole => (Q5_K, Q6_K),
            "Q4_0" => (Q4_0, Q4_0),
            "F16" => (F16, F16),
            _ => (Q8_0, Q8_0),
        }
    }
}

/// A GGUF's metadata.
struct Header {
    bytes: Vec<u8>,
    entries: u64,
}

impl Header {
    fn key(&mut self, key: &str, kind: u32) {
        put_text(&mut self.bytes, key);
        self.bytes.extend(kind.to_le_bytes());
        self.entries += 1;
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key, 8);
        put_text(&mut self.bytes, text);
    }

    fn count(&mut self, key: &str, count: usize) {
        self.key(key, 4);
        self.bytes.extend(u32::try_from(count).unwrap().to_le_bytes());
    }

    fn texts(&mut self, key: &str, texts: &[String]) {
        self.key(key, 9);
        self.bytes.extend(8_u32.to_le_bytes());
        self.bytes.extend((texts.len() as u64).to_le_bytes());
        for text in texts {
            put_text(&mut self.bytes, text);
        }
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.bytes());
}

/// The tokens of all bytes, of all pairs and of as many threes as there are to be, and the merges that make them.
fn vocabulary(count: usize) -> (Vec<String>, Vec<String>) {
    let plain = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut odd = 256_u32..;
    let letters: Vec<char> = (0..=255)
        .map(|byte| if plain(byte) { char::from(byte) } else { char::from_u32(odd.next().unwrap()).unwrap() })
        .collect();
    let mut tokens: Vec<String> = letters.iter().map(char::to_string).collect();
    let mut merges = Vec::new();
    let mut at = 0;
    while tokens.len() < count {
        let left = tokens[at].clone();
        for letter in &letters {
            if tokens.len() < count {
                merges.push(format!("{left} {letter}"));
                tokens.push(format!("{left}{letter}"));
            }
        }
        at += 1;
    }
    // Threes come of a letter and a pair as well.
    let threes: Vec<String> = tokens.iter().skip(256 + 256 * 256).cloned().collect();
    merges.extend(threes.iter().map(|three| {
        let rest = three.chars().next().map_or(0, char::len_utf8);
        format!("{} {}", &three[..rest], &three[rest..])
    }));
    (tokens, merges)
}
