//! Every unit against the definition of the formats, bit for bit, on inputs meant to break them.

use super::format::{BLOCK, Format, ROWS};
use super::level::Work;
use super::{Activations, Into, Isa, Level, Matrix, RowsMut, multiply};
use crate::team::Team;
use half::f16;

const FORMATS: [Format; 3] = [Format::Q4_0, Format::Q4_1, Format::Q8_0];

/// Numbers without a pattern (Marsaglia, 2003), the same in every run.
pub(super) struct Noise(u64);

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Between −1 and 1.
    #[expect(clippy::cast_precision_loss, reason = "noise")]
    pub(super) fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// A matrix as a GGUF file has it: each block's scale, minimum and quants by `block(row, column)`.
fn file(
    format: Format,
    rows: usize,
    blocks: usize,
    mut block: impl FnMut(usize, usize) -> (f32, f32, [u8; 32]),
) -> Vec<u8> {
    let mut file = Vec::new();
    for at in 0..rows * blocks {
        let (scale, minimum, quants) = block(at / blocks, at % blocks);
        file.extend(f16::from_f32(scale).to_le_bytes());
        if format == Format::Q4_1 {
            file.extend(f16::from_f32(minimum).to_le_bytes());
        }
        match format {
            Format::Q8_0 => file.extend(quants),
            _ => file.extend((0..16).map(|at| quants[at] & 15 | quants[at + 16] << 4)),
        }
    }
    file
}

fn random(format: Format, rows: usize, blocks: usize, noise: &mut Noise) -> Vec<u8> {
    file(format, rows, blocks, |_, _| {
        let mut quants = [0; 32];
        quants.fill_with(|| noise.bits().to_le_bytes()[3]);
        (noise.unit() / 16.0, noise.unit() / 4.0, quants)
    })
}

/// What a block of a file stands for: scale, minimum, and the whole numbers that the scale multiplies.
fn parse(format: Format, block: &[u8]) -> (f32, f32, [i32; 32]) {
    let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
    let nibble =
        |quants: &[u8], k: usize| i32::from(if k < 16 { quants[k] & 15 } else { quants[k - 16] >> 4 });
    match format {
        Format::Q4_0 => (half(0), 0.0, std::array::from_fn(|k| nibble(&block[2..], k) - 8)),
        Format::Q4_1 => (half(0), half(2), std::array::from_fn(|k| nibble(&block[4..], k))),
        Format::Q8_0 => (half(0), 0.0, std::array::from_fn(|k| i32::from(block[2 + k].cast_signed()))),
    }
}

/// The scale, the quants and the sum that a block of activations is to have.
fn quantise(values: &[f32]) -> (f32, [i32; 32], i32) {
    if values.iter().any(|value| !value.is_finite()) {
        return (f32::NAN, [0; 32], 0);
    }
    let most = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let factor = if most < 1.5e-36 { 0.0 } else { 127.0 / most };
    #[expect(clippy::cast_possible_truncation, reason = "within ±127")]
    let quants: [i32; 32] = std::array::from_fn(|k| (values[k] * factor).round_ties_even() as i32);
    (most / 127.0, quants, quants.iter().sum())
}

/// One number of a product, in the order of additions that the kernels keep.
#[expect(clippy::cast_precision_loss, reason = "as the kernels do")]
fn expected(format: Format, row: &[u8], activations: &[f32]) -> f32 {
    let blocks = row.chunks_exact(format.block_bytes()).zip(activations.chunks_exact(BLOCK));
    blocks.fold(0.0, |total, (block, values)| {
        let (scale, minimum, weights) = parse(format, block);
        let (factor, quants, sum) = quantise(values);
        let dot: i32 = weights.iter().zip(quants).map(|(weight, quant)| weight * quant).sum();
        let total = (dot as f32).mul_add(scale * factor, total);
        if format == Format::Q4_1 { minimum.mul_add(factor * sum as f32, total) } else { total }
    })
}

struct Fill<'a>(RowsMut<'a>, &'a [f32], usize);

impl Work for Fill<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        for (row, values) in self.1.chunks_exact(self.2).enumerate() {
            unsafe { self.0.row(row) }.fill(values);
        }
    }
}

fn fill(level: Level, activations: &mut Activations, rows: &[f32]) {
    let columns = activations.columns();
    level.run(Fill(activations.rows_mut(), rows, columns));
}

fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

/// Multiplies on every unit, with one thread and two, and compares all numbers with the definition.
fn check(format: Format, rows: usize, columns: usize, file: &[u8], values: &[f32]) {
    let count = values.len() / columns;
    let matrix = Matrix::interleave(format, rows, columns, file).unwrap();
    let stride = rows.next_multiple_of(ROWS);
    let before = |at: usize| if at.is_multiple_of(2) { 0.5 } else { -3.0 };
    for level in Level::all() {
        let mut activations = Activations::new(count, columns);
        fill(level, &mut activations, values);
        for (threads, into) in [(1, Into::Place), (2, Into::Place), (1, Into::Sum)] {
            let mut out: Vec<f32> = (0..count * stride).map(before).collect();
            let target = (&mut out[..], stride, into);
            multiply(level, &mut Team::new(threads), &activations, count, &[&matrix], target);
            for (at, out) in out.iter().enumerate().filter(|(at, _)| at % stride < rows) {
                let (index, row) = (at / stride, at % stride);
                let bytes = columns / BLOCK * format.block_bytes();
                let product =
                    expected(format, &file[row * bytes..][..bytes], &values[index * columns..][..columns]);
                let product = if into == Into::Sum { before(at) + product } else { product };
                let what = format!("{format:?} {} {rows}×{columns} row {row} of {index}", level.name());
                assert!(same(*out, product), "{what}: {out} is not {product}");
            }
        }
    }
}

#[test]
fn products_are_those_of_the_definition() {
    let mut noise = Noise::new(1);
    // One row, tails of groups and of tiles, one block and many.
    for (rows, columns, count) in
        [(1, 32, 1), (15, 64, 2), (16, 32, 3), (17, 96, 5), (40, 160, 7), (33, 32, 8), (20, 64, 15)]
    {
        for format in FORMATS {
            let file = random(format, rows, columns / BLOCK, &mut noise);
            let values: Vec<f32> = (0..count * columns).map(|_| noise.unit() * 3.0).collect();
            check(format, rows, columns, &file, &values);
        }
    }
}

#[test]
fn nothing_overflows_at_the_largest_magnitudes() {
    // All quants at an end of their range, all activations at an end of theirs: 8 · 2 · 15 · 127 fits 16 bits, as does
    // 2 · 128 · 127.
    for quant in [0x00, 0x0f, 0x7f, 0x80, 0x81, 0xff] {
        for sign in [1.0_f32, -1.0] {
            for format in FORMATS {
                let file = file(format, 17, 4, |_, _| (1.0, -1.0, [quant; 32]));
                let mut values = vec![sign * 1e3; 5 * 128];
                check(format, 17, 128, &file, &values);
                // Alternating signs, so that the pairs cancel in one lane and not in the next.
                values.iter_mut().skip(1).step_by(2).for_each(|value| *value = -*value);
                check(format, 17, 128, &file, &values);
            }
        }
    }
}

#[test]
fn zeros_denormals_and_what_is_not_finite() {
    let mut noise = Noise::new(2);
    for format in FORMATS {
        let sound = random(format, 18, 3, &mut noise);
        for odd in [0.0, -0.0, f32::MIN_POSITIVE, 1e-45, -1e-40, 1.4e-36, 1.6e-36, f32::MAX, f32::MIN] {
            let mut values: Vec<f32> = (0..2 * 96).map(|_| noise.unit()).collect();
            values[..32].fill(odd);
            values[100] = odd;
            check(format, 18, 96, &sound, &values);
        }
        for odd in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values: Vec<f32> = (0..3 * 96).map(|_| noise.unit()).collect();
            values[100] = odd;
            check(format, 18, 96, &sound, &values);
        }
        // Scales of a hostile file: the largest, the smallest, and none.
        for scale in [65504.0, 6e-8, -6e-8, 0.0, -0.0, f32::INFINITY, f32::NAN] {
            let odd = file(format, 18, 3, |row, column| {
                (scale, -scale, [(row * 37 + column).to_le_bytes()[0]; 32])
            });
            let values: Vec<f32> = (0..2 * 96).map(|_| noise.unit()).collect();
            check(format, 18, 96, &odd, &values);
        }
    }
}

#[test]
fn interleaving_keeps_every_bit_wherever_the_bytes_are() {
    let mut noise = Noise::new(3);
    for format in FORMATS {
        let (rows, columns) = (37, 96);
        let file = random(format, rows, columns / BLOCK, &mut noise);
        let size = format.packed_bytes(rows, columns).unwrap();
        let values: Vec<f32> = (0..columns).map(|_| noise.unit()).collect();
        let whole = Matrix::interleave(format, rows, columns, &file).unwrap();
        for offset in [0, 1, 2, 31, 63] {
            // Bytes that end where the buffer ends, at an odd address.
            let mut buffer = vec![0xa5; offset + size];
            format.interleave(&file, rows, columns, &mut buffer[offset..]);
            let owner = std::sync::Arc::new(buffer);
            let matrix = Matrix::view(format, rows, columns, owner, offset..offset + size).unwrap();
            let mut row = vec![0.0; columns];
            let bytes = columns / BLOCK * format.block_bytes();
            for (at, block) in file.chunks_exact(bytes).enumerate() {
                matrix.row(at, &mut row);
                for (column, block) in block.chunks_exact(format.block_bytes()).enumerate() {
                    let (scale, minimum, quants) = parse(format, block);
                    for (k, quant) in quants.into_iter().enumerate() {
                        #[expect(clippy::cast_precision_loss, reason = "a byte")]
                        let weight = quant as f32 * scale;
                        let weight = if format == Format::Q4_1 { weight + minimum } else { weight };
                        assert!(same(row[column * BLOCK + k], weight), "{format:?} {at} {column} {k}");
                    }
                }
            }
            for level in Level::all() {
                let mut activations = Activations::new(1, columns);
                fill(level, &mut activations, &values);
                let product = |matrix: &Matrix| {
                    let mut out = vec![0.0; 48];
                    multiply(
                        level,
                        &mut Team::new(1),
                        &activations,
                        1,
                        &[matrix],
                        (&mut out, 48, Into::Place),
                    );
                    out.into_iter().map(f32::to_bits).take(rows).collect::<Vec<_>>()
                };
                assert_eq!(product(&whole), product(&matrix), "{format:?} {} at {offset}", level.name());
            }
        }
    }
}

#[test]
fn matrices_side_by_side_are_as_they_are_alone() {
    let mut noise = Noise::new(4);
    let shapes = [(Format::Q4_1, 48), (Format::Q8_0, 16), (Format::Q4_0, 16)];
    let matrices = shapes.map(|(format, rows)| {
        Matrix::interleave(format, rows, 64, &random(format, rows, 2, &mut noise)).unwrap()
    });
    let values: Vec<f32> = (0..5 * 64).map(|_| noise.unit()).collect();
    for level in Level::all() {
        let mut activations = Activations::new(5, 64);
        fill(level, &mut activations, &values);
        let mut together = vec![0.0; 5 * 80];
        let all: Vec<&Matrix> = matrices.iter().collect();
        let target = (&mut together[..], 80, Into::Place);
        multiply(level, &mut Team::new(3), &activations, 5, &all, target);
        let mut first = 0;
        for matrix in all {
            let rows = matrix.rows();
            let mut alone = vec![0.0; 5 * rows];
            let target = (&mut alone[..], rows, Into::Place);
            multiply(level, &mut Team::new(1), &activations, 5, &[matrix], target);
            for row in 0..5 {
                assert_eq!(alone[row * rows..][..rows], together[row * 80 + first..][..rows]);
            }
            first += rows;
        }
    }
}

#[test]
fn bytes_of_another_size_are_no_matrix() {
    let view = |rows, columns, size: usize| {
        Matrix::view(Format::Q4_1, rows, columns, std::sync::Arc::new(vec![0; 640]), 0..size)
    };
    assert!(view(16, 64, 640).is_some() && view(2, 64, 640).is_some());
    assert!(view(17, 64, 640).is_none());
    assert!(view(16, 64, 641).is_none());
    assert!(view(16, 65, 640).is_none());
    assert!(view(0, 64, 0).is_none() && view(16, 0, 0).is_none());
    assert!(view(usize::MAX, 64, 640).is_none() && view(usize::MAX / 16, 1 << 40, 640).is_none());
    assert!(Matrix::interleave(Format::Q4_1, 16, 64, &[0; 639]).is_none());
}

#[test]
fn an_interleaved_matrix_is_given_back_as_it_was() {
    let mut noise = Noise::new(11);
    for format in FORMATS {
        for rows in [1, 15, 16, 33] {
            let file = random(format, rows, 3, &mut noise);
            let mut packed = vec![0; format.packed_bytes(rows, 3 * BLOCK).unwrap()];
            format.interleave(&file, rows, 3 * BLOCK, &mut packed);
            let mut back = vec![7; file.len()];
            format.restore(&packed, rows, 3 * BLOCK, &mut back);
            assert_eq!(back, file, "{format:?} {rows}");
        }
    }
}
