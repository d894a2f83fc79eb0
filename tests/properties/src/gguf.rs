//! No file is read past its end or makes the reader panic, and nothing of it is larger than the file.

use fdk_inference::gguf::Gguf;

/// Takes an input through.
pub fn run(file: &[u8]) {
    let Ok(gguf) = Gguf::parse(file) else { return };
    for (name, tensor) in gguf.tensors() {
        assert!(name.len() <= file.len() && tensor.bytes().len() <= file.len());
        assert!(tensor.dtype().is_none() || tensor.bytes().is_empty() == (tensor.numbers() == 0));
    }
    for key in ["general.name", "tokenizer.ggml.tokens", "a.list"] {
        if let Some(list) = gguf.list(key) {
            assert_eq!(list.iter().count(), list.len());
        }
        let _ = (gguf.text(key), gguf.count(key));
    }
}
