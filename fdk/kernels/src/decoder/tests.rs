//! A small decoder on every unit against its definition in `f64`, with the weights that the quants stand for.

use super::{Arena, Cache, Decoder, Layer, Shape, Stopped, Wanted};
use crate::quantised::{Format, Level, Matrix};
use std::cell::Cell;

/// Numbers without a pattern, the same in every run.
struct Noise(u64);

impl Noise {
    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_le_bytes()[4]
    }

    fn unit(&mut self) -> f32 {
        f32::from(self.byte().cast_signed()) / 128.0 + f32::from(self.byte()) / 32768.0
    }

    fn matrix(&mut self, format: Format, rows: usize, columns: usize) -> Matrix {
        let mut file = Vec::new();
        for _ in 0..rows * columns / 32 {
            // Weights of a deviation that keeps rows at about one.
            let scale = half::f16::from_f32(if format == Format::Q8_0 { 0.0016 } else { 0.025 });
            file.extend(scale.to_le_bytes());
            if format == Format::Q4_1 {
                file.extend(half::f16::from_f32(-0.19).to_le_bytes());
            }
            let quants = if format == Format::Q8_0 { 32 } else { 16 };
            file.extend((0..quants).map(|_| self.byte()));
        }
        Matrix::interleave(format, rows, columns, &file).unwrap()
    }
}

fn small(heads: usize, key_heads: usize, width: usize) -> Shape {
    Shape { hidden: 64, layers: 3, heads, key_heads, width, inner: 96, vocabulary: 70, epsilon: 1e-5 }
}

fn frequencies(width: usize) -> Vec<f32> {
    #[expect(clippy::cast_precision_loss, reason = "small")]
    (0..width / 2).map(|pair| 1e4_f32.powf(-2.0 * pair as f32 / width as f32)).collect()
}

/// The same weights for every level.
fn decoder(level: Level, shape: Shape, tied: bool) -> Decoder {
    let mut noise = Noise(88_172_645_463_325_252);
    let (queries, keys) = (shape.heads * shape.width, shape.key_heads * shape.width);
    let embedding = noise.matrix(Format::Q8_0, shape.vocabulary, shape.hidden);
    let head = (!tied).then(|| noise.matrix(Format::Q4_0, shape.vocabulary, shape.hidden));
    let norm = |noise: &mut Noise| (0..shape.hidden).map(|_| 1.0 + noise.unit() / 4.0).collect::<Vec<_>>();
    let layers = (0..shape.layers).map(|_| Layer {
        attention_norm: norm(&mut noise),
        query: noise.matrix(Format::Q4_1, queries, shape.hidden),
        key: noise.matrix(Format::Q4_0, keys, shape.hidden),
        value: noise.matrix(Format::Q8_0, keys, shape.hidden),
        output: noise.matrix(Format::Q4_1, shape.hidden, queries),
        inner_norm: norm(&mut noise),
        gate: noise.matrix(Format::Q4_1, shape.inner, shape.hidden),
        up: noise.matrix(Format::Q4_0, shape.inner, shape.hidden),
        down: noise.matrix(Format::Q8_0, shape.hidden, shape.inner),
    });
    let layers = layers.collect();
    let norm = norm(&mut noise);
    Decoder::new(level, shape, frequencies(shape.width), (embedding, head), layers, norm).unwrap()
}

/// The architecture as its papers define it, a token at a time, in `f64`.
fn definition(decoder: &Decoder, tokens: &[u32]) -> Vec<Vec<f64>> {
    let (shape, layers, norm) = (&decoder.shape, &decoder.layers, &decoder.norm);
    let row = |matrix: &Matrix, row: usize| {
        let mut numbers = vec![0.0; matrix.columns()];
        matrix.row(row, &mut numbers);
        numbers.into_iter().map(f64::from).collect::<Vec<f64>>()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let product = |matrix: &Matrix, x: &[f64]| {
        (0..matrix.rows()).map(|at| dot(&row(matrix, at), x)).collect::<Vec<f64>>()
    };
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let normed = |x: &[f64], weights: &[f32]| {
        let factor = 1.0 / (dot(x, x) / x.len() as f64 + f64::from(shape.epsilon)).sqrt();
        x.iter().zip(weights).map(|(x, weight)| x * factor * f64::from(*weight)).collect::<Vec<f64>>()
    };
    let mut seen: Vec<Vec<(Vec<f64>, Vec<f64>)>> = vec![Vec::new(); shape.layers];
    let mut all = Vec::new();
    for (position, token) in tokens.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let turn = |x: Vec<f64>| {
            let mut x = x;
            for (at, pair) in x.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                let frequency = decoder.frequencies[at % (shape.width / 2)];
                let (sine, cosine) = (position as f64 * f64::from(frequency)).sin_cos();
                *pair = [pair[0] * cosine - pair[1] * sine, pair[0] * sine + pair[1] * cosine];
            }
            x
        };
        let mut x = row(&decoder.embedding, *token as usize);
        for (layer, seen) in layers.iter().zip(&mut seen) {
            let n = normed(&x, &layer.attention_norm);
            let query = turn(product(&layer.query, &n));
            seen.push((turn(product(&layer.key, &n)), product(&layer.value, &n)));
            let mut mixed = Vec::new();
            for (head, query) in query.chunks_exact(shape.width).enumerate() {
                let shared = head / (shape.heads / shape.key_heads) * shape.width..;
                let part = |x: &[f64]| x[shared.clone()][..shape.width].to_vec();
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let weight = |key: &[f64]| (dot(query, &part(key)) / (shape.width as f64).sqrt()).exp();
                let weights: Vec<f64> = seen.iter().map(|(key, _)| weight(key)).collect();
                let sum: f64 = weights.iter().sum();
                for at in 0..shape.width {
                    let values = seen.iter().map(|(_, value)| part(value)[at]).collect::<Vec<_>>();
                    mixed.push(dot(&weights, &values) / sum);
                }
            }
            let add = |x: &mut Vec<f64>, y: Vec<f64>| x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
            add(&mut x, product(&layer.output, &mixed));
            let n = normed(&x, &layer.inner_norm);
            let gates = product(&layer.gate, &n).into_iter().map(|gate| gate / (1.0 + (-gate).exp()));
            let inner: Vec<f64> = gates.zip(product(&layer.up, &n)).map(|(gate, up)| gate * up).collect();
            add(&mut x, product(&layer.down, &inner));
        }
        all.push(product(decoder.head.as_ref().unwrap_or(&decoder.embedding), &normed(&x, norm)));
    }
    all
}

fn read(decoder: &Decoder, arena: &mut Arena, cache: &mut Cache, tokens: &[u32], wanted: Wanted) -> Vec<f32> {
    let mut logits = Vec::new();
    decoder.read(arena, cache, tokens, wanted, &mut logits, &|| true).unwrap();
    logits
}

fn tokens(count: usize, vocabulary: usize) -> Vec<u32> {
    let mut noise = Noise(7);
    #[expect(clippy::cast_possible_truncation, reason = "small")]
    (0..count).map(|_| u32::from(noise.byte()) % vocabulary as u32).collect()
}

/// The angle between two rows, as a cosine.
fn cosine(a: &[f32], b: &[f64]) -> f64 {
    let dot = |f: &dyn Fn(usize) -> f64| (0..a.len()).map(f).sum::<f64>();
    let (x, y) = (|at: usize| f64::from(a[at]), |at: usize| b[at]);
    dot(&|at| x(at) * y(at)) / (dot(&|at| x(at) * x(at)) * dot(&|at| y(at) * y(at))).sqrt()
}

#[test]
fn logits_are_those_of_the_definition() {
    // Heads that share keys by ones, twos, threes and sevens; a head's own; widths of one vector and of several.
    for (heads, key_heads, width, tied) in
        [(4, 4, 16, true), (4, 2, 32, false), (6, 2, 48, true), (7, 1, 64, true), (2, 1, 80, false)]
    {
        let shape = small(heads, key_heads, width);
        let tokens = tokens(37, shape.vocabulary);
        let mut portable: Option<Vec<f32>> = None;
        for level in Level::all() {
            let decoder = decoder(level, shape, tied);
            let mut arena = decoder.arena(2, 64);
            let logits = read(&decoder, &mut arena, &mut decoder.cache(), &tokens, Wanted::All);
            assert_eq!(logits.len(), tokens.len() * shape.vocabulary);
            let exact = portable.is_none().then(|| definition(&decoder, &tokens));
            for (ours, exact) in logits.chunks_exact(shape.vocabulary).zip(exact.into_iter().flatten()) {
                let cosine = cosine(ours, &exact);
                assert!(cosine > 0.999, "{heads}/{key_heads}×{width} {}: {cosine}", level.name());
            }
            // Products are the same bits everywhere; only attention adds up in another order.
            let first = portable.get_or_insert_with(|| logits.clone());
            for (ours, first) in logits.iter().zip(&*first) {
                assert!(
                    (ours - first).abs() < 0.02,
                    "{heads}/{key_heads}×{width} {}: {ours} {first}",
                    level.name()
                );
            }
        }
    }
}

#[test]
fn however_tokens_are_read_the_logits_are_the_same() {
    let shape = small(6, 2, 32);
    let tokens = tokens(300, shape.vocabulary);
    let decoder = decoder(*Level::all().last().unwrap(), shape, true);
    let mut arena = decoder.arena(2, 300);
    let last = read(&decoder, &mut arena, &mut decoder.cache(), &tokens, Wanted::Last);
    let near = |other: &[f32]| last.iter().zip(other).all(|(a, b)| (a - b).abs() < 0.02);
    // In pieces, with and without the head; one by one at the end.
    let mut cache = decoder.cache();
    cache.reserve(300);
    assert!(read(&decoder, &mut arena, &mut cache, &tokens[..19], Wanted::Nothing).is_empty());
    read(&decoder, &mut arena, &mut cache, &tokens[19..280], Wanted::Last);
    let prefix = cache.clone();
    for token in &tokens[280..299] {
        read(&decoder, &mut arena, &mut cache, &[*token], Wanted::Nothing);
    }
    assert!(near(&read(&decoder, &mut arena, &mut cache, &tokens[299..], Wanted::Last)));
    // From a copy of a beginning, which stays what it was.
    let mut copy = prefix.clone();
    read(&decoder, &mut arena, &mut copy, &[1, 2, 3], Wanted::Last);
    let mut copy = prefix.clone();
    assert_eq!(copy.len(), 280);
    assert!(near(&read(&decoder, &mut arena, &mut copy, &tokens[280..], Wanted::Last)));
    // After tokens were taken back.
    copy.truncate(150);
    assert!(near(&read(&decoder, &mut arena, &mut copy, &tokens[150..], Wanted::Last)));
}

#[test]
fn a_stop_leaves_the_cache_as_it_was() {
    let shape = small(4, 2, 16);
    let tokens = tokens(200, shape.vocabulary);
    let decoder = decoder(*Level::all().last().unwrap(), shape, true);
    let mut arena = decoder.arena(1, 200);
    let mut cache = decoder.cache();
    read(&decoder, &mut arena, &mut cache, &tokens[..20], Wanted::Nothing);
    let whole = read(&decoder, &mut arena, &mut cache.clone(), &tokens[20..], Wanted::Last);
    // The second chunk of 128 tokens, in its second layer.
    let asked = Cell::new(0);
    let go_on = || asked.replace(asked.get() + 1) != 4;
    let mut logits = Vec::new();
    let result = decoder.read(&mut arena, &mut cache, &tokens[20..], Wanted::Last, &mut logits, &go_on);
    assert_eq!(result, Err(Stopped));
    assert_eq!(cache.len(), 20);
    let again = read(&decoder, &mut arena, &mut cache, &tokens[20..], Wanted::Last);
    assert_eq!(whole, again);
}

#[test]
fn what_is_not_finite_is_not_hidden() {
    let shape = small(4, 2, 16);
    for level in Level::all() {
        let mut decoder = decoder(level, shape, true);
        decoder.layers[1].attention_norm[5] = f32::NAN;
        let mut arena = decoder.arena(1, 16);
        let logits = read(&decoder, &mut arena, &mut decoder.cache(), &[1, 2, 3], Wanted::Last);
        assert!(logits.iter().all(|logit| logit.is_nan()), "{}", level.name());
    }
}

#[test]
fn weights_of_another_shape_are_no_decoder() {
    let whole = || decoder(Level::all()[0], small(4, 2, 16), true);
    let build = |decoder: Decoder, shape: Shape| {
        let Decoder { level, frequencies, embedding, head, layers, norm, .. } = decoder;
        Decoder::new(level, shape, frequencies, (embedding, head), layers, norm).is_some()
    };
    let shape = small(4, 2, 16);
    assert!(build(whole(), shape));
    for other in [
        Shape { hidden: 32, ..shape },
        Shape { layers: 2, ..shape },
        Shape { heads: 2, ..shape },
        Shape { key_heads: 3, ..shape },
        Shape { key_heads: 0, ..shape },
        Shape { width: 8, ..shape },
        Shape { inner: 64, ..shape },
        Shape { vocabulary: 71, ..shape },
    ] {
        assert!(!build(whole(), other), "{other:?}");
    }
    let mut decoder = whole();
    decoder.norm.pop();
    assert!(!build(decoder, shape));
    let mut decoder = whole();
    decoder.layers[2].down = decoder.layers[2].up.clone();
    assert!(!build(decoder, shape));
}
