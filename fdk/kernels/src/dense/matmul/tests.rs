//! Products on whatever can run here, against plain loops in f64.

use super::*;

/// Numbers without a pattern, from -1 to 1.
#[expect(clippy::cast_possible_truncation, reason = "f32 is what is wanted")]
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0
    };
    (0..count).map(|_| next() as f32).collect()
}

const SHAPES: [(usize, usize, usize); 9] = [
    (1, 3, 1),
    (1, 384, 1000),
    (2, 17, 24),
    (7, 96, 40),
    (61, 24, 40),
    (49, 320, 130),
    (23, 28, 16),
    (25, 240, 48),
    (100, 1, 16),
];

fn halved(weights: &[f32]) -> Vec<half::f16> {
    weights.iter().map(|x| half::f16::from_f32(*x)).collect()
}

/// A layer as a prepared file of half precision has it.
fn brief(weights: &[f32], outputs: usize, inputs: usize, bias: &[f32]) -> Linear {
    let halves = halved(weights);
    let weight = |output: usize, input: usize| {
        if output < outputs { halves[output * inputs + input].to_bits() } else { 0 }
    };
    let weights = Table::Own(Lined::of(&strips(outputs, inputs, weight)));
    Linear { inputs, outputs, weights: Weights::F16(weights, Products::Brief), bias: padded(bias, outputs) }
}

/// Runs a layer with everything that can be done to its outputs, on whatever can run here.
fn check(linear: &Linear, a: &[f32], rows: usize, expected: impl Fn(Option<Isa>) -> Vec<f32>) {
    let outputs = linear.outputs;
    let isas = Isa::all().into_iter().map(Some).chain([None]);
    for isa in isas {
        let expected = expected(isa);
        let other = noise(rows * outputs, 4);
        let run = |then: Then<'_>| {
            let mut out = vec![f32::NAN; rows * outputs];
            linear.columns(isa, a, rows, 0..outputs, then, &mut out);
            out
        };
        let added = run(Then::Add(&other));
        let cut = run(Then::Relu6);
        for (index, ours) in run(Then::Keep).into_iter().enumerate() {
            let of = || format!("{isa:?} {rows}×{}×{outputs} at {index}", linear.inputs);
            let close = |x: f32, y: f32| assert!((x - y).abs() < 2e-4, "{}: {x} {y}", of());
            close(ours, expected[index]);
            close(added[index], expected[index] + other[index]);
            close(cut[index], expected[index].clamp(0.0, 6.0));
        }
        if rows == 1 && outputs > 2 * STRIP {
            let mut out = vec![f32::NAN; outputs - 2 * STRIP];
            linear.columns(isa, a, 1, 2 * STRIP..outputs, Then::Keep, &mut out);
            let exact = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(exact(&out), exact(&run(Then::Keep)[2 * STRIP..]), "a part is as it is in the whole");
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is what is wanted")]
fn product(a: &[f32], weights: &[f32], bias: &[f32], inputs: usize) -> Vec<f32> {
    let one = |row: &[f32], weights: &[f32], bias: f32| {
        let sum: f64 = row.iter().zip(weights).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
        (sum + f64::from(bias)) as f32
    };
    let outputs = || weights.chunks_exact(inputs).zip(bias);
    a.chunks_exact(inputs)
        .flat_map(|row| outputs().map(move |(weights, bias)| one(row, weights, *bias)))
        .collect()
}

#[test]
fn products_are_those_of_plain_loops() {
    for (rows, inputs, outputs) in SHAPES {
        let (a, weights, bias) = (noise(rows * inputs, 1), noise(outputs * inputs, 2), noise(outputs, 3));
        let theirs = product(&a, &weights, &bias, inputs);
        let ours = Linear::new(&weights, outputs, inputs, &bias);
        check(&ours, &a, rows, |_| theirs.clone());
        // As the threads of the process share it.
        let mut shared = vec![f32::NAN; rows * outputs];
        ours.run(&a, rows, Then::Keep, &mut shared);
        assert!(shared.iter().zip(&theirs).all(|(x, y)| (x - y).abs() < 2e-4));
        {
            let halves = halved(&weights);
            let wide: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
            let theirs = product(&a, &wide, &bias, inputs);
            check(&Linear::half(&halves, outputs, inputs, &bias), &a, rows, |_| theirs.clone());
        }
    }
}

/// Where the CPU has bfloat16, and with an odd number of inputs nowhere.
#[test]
fn brief_products_are_those_of_rounded_numbers() {
    for (rows, inputs, outputs) in SHAPES {
        let (a, weights, bias) = (noise(rows * inputs, 1), noise(outputs * inputs, 2), noise(outputs, 3));
        let wide: Vec<f32> = halved(&weights).iter().map(|x| x.to_f32()).collect();
        let rounded = |numbers: &[f32]| -> Vec<f32> {
            numbers.iter().map(|x| half::bf16::from_f32(*x).to_f32()).collect()
        };
        check(&brief(&weights, outputs, inputs, &bias), &a, rows, |isa| match isa.map(Isa::set) {
            #[cfg(target_arch = "x86_64")]
            Some(Set::Avx512Bf16) if inputs.is_multiple_of(2) => {
                product(&rounded(&a), &rounded(&wide), &bias, inputs)
            }
            _ => product(&a, &wide, &bias, inputs),
        });
    }
}

#[test]
fn what_is_no_number_stays_so() {
    let mut a = noise(24 * 32, 1);
    (a[0], a[33], a[66]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
    let weights = noise(40 * 32, 2);
    let layers = [Linear::new(&weights, 40, 32, &noise(40, 3)), brief(&weights, 40, 32, &noise(40, 3))];
    for (isa, linear) in Isa::all().into_iter().flat_map(|isa| layers.iter().map(move |layer| (isa, layer))) {
        let mut out = vec![0.0; 24 * 40];
        linear.columns(Some(isa), &a, 24, 0..40, Then::Relu6, &mut out);
        assert!(out[..40].iter().all(|x| x.is_nan()), "{isa:?}: {:?}", &out[..40]);
        let edges = [0.0_f32, -0.0, 6.0].map(f32::to_bits);
        assert!(out[40..120].iter().all(|x| edges.contains(&x.to_bits())), "{isa:?}: {:?}", &out[40..120]);
    }
}
