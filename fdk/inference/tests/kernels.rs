//! Products, convolutions and attention of `fdk-kernels` against candle's. That crate's own tests compare each instruction set
//! with plain loops; here runs what the process chooses.
#![expect(clippy::cast_precision_loss, reason = "small whole numbers")]

use candle_core::{D, Device, Tensor};
use fdk_kernels::dense::attention::{Memory, attend_one};
use fdk_kernels::dense::depthwise::Depthwise;
use fdk_kernels::dense::elementwise::gelu;
use fdk_kernels::dense::lined::{Lined, Table};
use fdk_kernels::dense::matmul::{Linear, Then};

fn wave(count: usize, step: f32) -> Vec<f32> {
    (0..count).map(|at| (at as f32 * step).sin() * 2.0).collect()
}

#[expect(clippy::unwrap_used, reason = "a test")]
fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_close(ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len());
    for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert!((ours - theirs).abs() < tolerance, "{at}: {ours} {theirs}");
    }
}

#[test]
fn a_product_is_candles() {
    for (rows, inputs, outputs) in [(1, 384, 1000), (7, 96, 40), (61, 24, 40), (49, 320, 130)] {
        let (a, weights, bias) = (wave(rows * inputs, 0.7), wave(outputs * inputs, 1.3), wave(outputs, 2.1));
        let mut ours = vec![f32::NAN; rows * outputs];
        Linear::new(&weights, outputs, inputs, &bias).run(&a, rows, Then::Keep, &mut ours);
        let weights = Tensor::from_slice(&weights, (outputs, inputs), &Device::Cpu).unwrap();
        let a = Tensor::from_slice(&a, (rows, inputs), &Device::Cpu).unwrap();
        let bias = Tensor::from_slice(&bias, outputs, &Device::Cpu).unwrap();
        let theirs = a.matmul(&weights.t().unwrap()).unwrap().broadcast_add(&bias).unwrap();
        assert_close(&ours, &flat(&theirs), 1e-3);
    }
}

#[test]
fn a_depthwise_convolution_is_candles_grouped_one() {
    for (side, channels, kernel, stride) in [(8, 40, 3, 1), (7, 33, 5, 1), (14, 32, 3, 2), (28, 48, 5, 2)] {
        let input = wave(side * side * channels, 0.7);
        let (weights, bias) = (wave(channels * kernel * kernel, 1.3), wave(channels, 2.1));
        let own = |numbers: &[f32]| Table::Own(Lined::of(numbers));
        let layer = Depthwise::new(own(&weights), own(&bias), kernel, stride);
        let out = layer.side(side);
        let mut ours = vec![0.0; out * out * channels];
        layer.run(&input, side, &mut ours);
        let input = Tensor::from_slice(&input, (1, side, side, channels), &Device::Cpu).unwrap();
        let total = ((out - 1) * stride + kernel).saturating_sub(side);
        let (before, after) = (total / 2, total - total / 2);
        let input = input.permute((0, 3, 1, 2)).unwrap();
        let input = input.pad_with_zeros(2, before, after).unwrap().pad_with_zeros(3, before, after).unwrap();
        let weights = Tensor::from_vec(weights, (kernel, kernel, channels, 1), &Device::Cpu).unwrap();
        let weights = weights.permute((2, 3, 0, 1)).unwrap().contiguous().unwrap();
        let theirs = input.contiguous().unwrap().conv2d(&weights, 0, stride, 1, channels).unwrap();
        let bias = Tensor::from_vec(bias, (1, channels, 1, 1), &Device::Cpu).unwrap();
        let theirs = theirs.broadcast_add(&bias).unwrap().clamp(0.0_f32, 6.0_f32).unwrap();
        assert_close(&ours, &flat(&theirs.permute((0, 2, 3, 1)).unwrap()), 1e-4);
    }
}

#[test]
fn attention_is_candles() {
    let (rows, heads, width) = (70, 3, 16);
    let wide = heads * width;
    let numbers = wave(rows * 3 * wide, 0.37);
    let memory = Memory::new(&numbers, rows, 3 * wide, (wide, 2 * wide), (heads, width));
    let ours = memory.attend(&numbers, rows, 3 * wide);
    let all = Tensor::from_slice(&numbers, (rows, 3, heads, width), &Device::Cpu).unwrap();
    let all = all.permute((1, 2, 0, 3)).unwrap();
    let [q, k, v] = [0, 1, 2].map(|which| all.get(which).unwrap().contiguous().unwrap());
    let scores = (q.matmul(&k.transpose(1, 2).unwrap()).unwrap() / (width as f64).sqrt()).unwrap();
    let powers = scores.broadcast_sub(&scores.max_keepdim(D::Minus1).unwrap()).unwrap().exp().unwrap();
    let shares = powers.broadcast_div(&powers.sum_keepdim(D::Minus1).unwrap()).unwrap();
    let theirs = flat(&shares.matmul(&v).unwrap().permute((1, 0, 2)).unwrap());
    assert_close(&ours, &theirs, 1e-4);
    // The last query over all keys, one row at a time.
    let part = |which: usize| -> Vec<f32> {
        numbers.chunks_exact(3 * wide).flat_map(|row| row[which * wide..][..wide].to_vec()).collect()
    };
    let mut one = vec![0.0; wide];
    attend_one(&part(0)[(rows - 1) * wide..], &part(1), &part(2), width, &mut Vec::new(), &mut one);
    assert_close(&one, &theirs[(rows - 1) * wide..], 1e-4);
}

#[test]
fn gelu_is_candles() {
    let xs: Vec<f32> = (-900..900).map(|at| at as f32 / 100.0).collect();
    let mut ours = xs.clone();
    gelu(&mut ours);
    let theirs = Tensor::new(xs, &Device::Cpu).unwrap().gelu_erf().unwrap();
    assert_close(&ours, &flat(&theirs), 2e-6);
}
