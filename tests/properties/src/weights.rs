//! Any file as weights that others ship: it is read, or refused with a line that says why. Nothing is run, and no more is taken
//! than the file is large.

use crate::assert_one_line;
use fdk_inference::formats::{RawTensor, ctranslate2, legacy_pth};

/// A tensor has as many numbers as its shape says, all of them in the file.
fn whole(tensor: &RawTensor<'_>, file: &[u8]) {
    let numbers: usize = tensor.shape.iter().product();
    assert!(numbers <= file.len() && tensor.bytes.len() <= file.len());
    if let Some(values) = tensor.to_f32() {
        assert_eq!(values.len(), numbers);
    }
}

/// Takes an input through.
pub fn run(input: &[u8]) {
    match legacy_pth::read(input) {
        Ok(tensors) => tensors.values().for_each(|tensor| whole(tensor, input)),
        Err(error) => assert_one_line(&error.to_string()),
    }
    match ctranslate2::read(input) {
        Ok(model) => model.tensors.values().for_each(|tensor| whole(tensor, input)),
        Err(error) => assert_one_line(&error.to_string()),
    }
}
