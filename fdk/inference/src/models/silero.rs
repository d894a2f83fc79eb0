//! Silero VAD, 16 kHz: how likely each 32 ms of a recording are speech. A short-time Fourier transform as a convolution, four
//! convolutions, an LSTM that remembers, one number.

use super::conv1d::Conv1d;
use super::probability::sigmoid;
use crate::error::Error;
use crate::formats::{Kind, RawTensor, Tensors, take};
use crate::interrupt::Interrupt;
use fdk_kernels::dense::elementwise;
use fdk_kernels::dense::matmul::{Linear, Then};
use safetensors::{Dtype, SafeTensors};

/// The samples that are judged at once.
pub(crate) const CHUNK: usize = 512;
/// The samples of the chunk before that are heard with them.
const CONTEXT: usize = 64;
/// The transform's window and step, and its frequencies.
const WINDOW: usize = 256;
const STEP: usize = 128;
const BINS: usize = WINDOW / 2 + 1;
/// Frames of a chunk, mirrored at its end by half a step.
const FRAMES: usize = (CONTEXT + CHUNK + CONTEXT - WINDOW) / STEP + 1;
/// The width of the memory.
const WIDTH: usize = 128;
/// Chunks that are transformed together; the interrupt is asked between.
const BATCH: usize = 64;

/// The tensors of its file, all of which it computes with.
const TENSORS: [&str; 15] = [
    "stft_conv.weight",
    "conv1.weight",
    "conv1.bias",
    "conv2.weight",
    "conv2.bias",
    "conv3.weight",
    "conv3.bias",
    "conv4.weight",
    "conv4.bias",
    "lstm_cell.weight_ih",
    "lstm_cell.bias_ih",
    "lstm_cell.weight_hh",
    "lstm_cell.bias_hh",
    "final_conv.weight",
    "final_conv.bias",
];

/// The network, ready to run.
pub(crate) struct Silero {
    transform: Linear,
    convolutions: [Conv1d; 4],
    /// From the input and from the memory to the gates of the LSTM.
    input: Linear,
    memory: Linear,
    last: Vec<f32>,
    last_bias: f32,
}

impl Silero {
    /// Builds it of the safetensors file that the package ships.
    pub(crate) fn load(file: &[u8]) -> Result<Self, Error> {
        let parsed = SafeTensors::deserialize(file).map_err(|error| {
            Error::assets(format!("the weights of the voice detector do not parse: {error}"))
        })?;
        if let Some(odd) = parsed.names().into_iter().find(|name| !TENSORS.contains(name)) {
            return Err(Error::assets(format!(
                "the voice detector has a tensor that nothing here computes with, {odd:?}: it cannot be served"
            )));
        }
        let tensors: Tensors<'_> = parsed
            .iter()
            .filter(|(_, view)| view.dtype() == Dtype::F32)
            .filter_map(|(name, view)| {
                Some((name.to_owned(), RawTensor::dense(view.shape().to_vec(), Kind::F32, view.data())?))
            })
            .collect();
        let tensors = &tensors;
        let conv =
            |name: &str, channels, outputs, stride| Conv1d::load(tensors, name, (channels, outputs), stride);
        let gates = |weight: &str, bias: &str| {
            let weights = take(tensors, weight, &[4 * WIDTH, WIDTH])?;
            Ok::<_, Error>(Linear::new(&weights, 4 * WIDTH, WIDTH, &take(tensors, bias, &[4 * WIDTH])?))
        };
        let transform = take(tensors, "stft_conv.weight", &[2 * BINS, 1, WINDOW])?;
        Ok(Self {
            transform: Linear::new(&transform, 2 * BINS, WINDOW, &[]),
            convolutions: [
                conv("conv1.", BINS, 128, 1)?,
                conv("conv2.", 128, 64, 2)?,
                conv("conv3.", 64, 64, 2)?,
                conv("conv4.", 64, WIDTH, 1)?,
            ],
            input: gates("lstm_cell.weight_ih", "lstm_cell.bias_ih")?,
            memory: gates("lstm_cell.weight_hh", "lstm_cell.bias_hh")?,
            last: take(tensors, "final_conv.weight", &[1, WIDTH, 1])?,
            last_bias: take(tensors, "final_conv.bias", &[1])?[0],
        })
    }

    /// The probability of speech in each 512 samples, the last of them filled up with silence.
    pub(crate) fn run(&self, samples: &[f32], interrupt: &Interrupt<'_>) -> Result<Vec<f32>, Error> {
        let chunks = samples.len().div_ceil(CHUNK);
        let mut probabilities = Vec::with_capacity(chunks);
        let (mut hidden, mut cell) = (vec![0.0_f32; WIDTH], vec![0.0_f32; WIDTH]);
        for first in (0..chunks).step_by(BATCH) {
            interrupt.check()?;
            let count = BATCH.min(chunks - first);
            let gates = self.gates(samples, first, count);
            for gates in gates.chunks_exact(4 * WIDTH) {
                let mut sums = vec![0.0; 4 * WIDTH];
                self.memory.run(&hidden, 1, Then::Add(gates), &mut sums);
                for unit in 0..WIDTH {
                    let [input, forget, update, output] = [0, 1, 2, 3].map(|gate| sums[gate * WIDTH + unit]);
                    cell[unit] = sigmoid(forget) * cell[unit] + sigmoid(input) * update.tanh();
                    hidden[unit] = sigmoid(output) * cell[unit].tanh();
                }
                let sum: f32 =
                    hidden.iter().zip(&self.last).map(|(unit, weight)| unit.max(0.0) * weight).sum();
                probabilities.push(sigmoid(sum + self.last_bias));
            }
        }
        Ok(probabilities)
    }

    /// What the input says to the gates of the LSTM, for `count` chunks from `first` on: none of it depends on the memory.
    #[expect(clippy::cast_possible_wrap, reason = "half an hour of samples at most")]
    fn gates(&self, samples: &[f32], first: usize, count: usize) -> Vec<f32> {
        let sample =
            |at: isize| usize::try_from(at).ok().and_then(|at| samples.get(at)).copied().unwrap_or(0.0);
        let mut frames = Vec::with_capacity(count * FRAMES * WINDOW);
        for chunk in first..first + count {
            let begin = (chunk * CHUNK) as isize - CONTEXT as isize;
            let length = (CONTEXT + CHUNK) as isize;
            // Beyond the end the sound is mirrored.
            let mirrored = |at: isize| if at < length { at } else { 2 * (length - 1) - at };
            for frame in 0..FRAMES {
                let from = (frame * STEP) as isize;
                frames.extend((from..from + WINDOW as isize).map(|at| sample(begin + mirrored(at))));
            }
        }
        let mut spectrum = vec![0.0; count * FRAMES * 2 * BINS];
        self.transform.run(&frames, count * FRAMES, Then::Keep, &mut spectrum);
        let mut values = Vec::with_capacity(count * FRAMES * BINS);
        for spectrum in spectrum.chunks_exact(2 * BINS) {
            let (real, imaginary) = spectrum.split_at(BINS);
            values.extend(real.iter().zip(imaginary).map(|(real, imaginary)| real.hypot(*imaginary)));
        }
        let mut frames = FRAMES;
        for convolution in &self.convolutions {
            values = convolution.run(&values, frames, Then::Keep);
            elementwise::relu(&mut values);
            frames = convolution.frames(frames);
        }
        let mut gates = vec![0.0; count * 4 * WIDTH];
        self.input.run(&values, count, Then::Keep, &mut gates);
        gates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    fn sides(name: &str) -> Vec<usize> {
        match name {
            "stft_conv.weight" => vec![2 * BINS, 1, WINDOW],
            "conv1.weight" => vec![128, BINS, 3],
            "conv2.weight" => vec![64, 128, 3],
            "conv3.weight" => vec![64, 64, 3],
            "conv4.weight" => vec![WIDTH, 64, 3],
            "lstm_cell.weight_ih" | "lstm_cell.weight_hh" => vec![4 * WIDTH, WIDTH],
            "lstm_cell.bias_ih" | "lstm_cell.bias_hh" => vec![4 * WIDTH],
            "final_conv.weight" => vec![1, WIDTH, 1],
            "conv2.bias" | "conv3.bias" => vec![64],
            "final_conv.bias" => vec![1],
            _ => vec![128],
        }
    }

    fn load(names: &[&str]) -> Result<Silero, Error> {
        let data = vec![0; 4 * 2 * BINS * WINDOW];
        let tensor = |name: &&str| {
            let bytes = 4 * sides(name).iter().product::<usize>();
            ((*name).to_owned(), TensorView::new(Dtype::F32, sides(name), &data[..bytes]).unwrap())
        };
        Silero::load(&safetensors::serialize(names.iter().map(tensor), None).unwrap())
    }

    #[test]
    fn each_tensor_is_needed_and_any_other_refused_by_name() {
        assert!(load(&TENSORS).is_ok());
        for without in TENSORS {
            let rest: Vec<&str> = TENSORS.into_iter().filter(|name| *name != without).collect();
            let lacks = load(&rest).err().unwrap().to_string();
            assert_eq!(lacks, format!("the model has no weights '{without}'"));
        }
        assert_eq!(
            load(&[&TENSORS[..], &["conv5.bias"]].concat()).err().unwrap().to_string(),
            "the voice detector has a tensor that nothing here computes with, \"conv5.bias\": it cannot be served"
        );
    }
}
