//! A decoder's file: the GGUF as it came, or prepared, its matrices in the kernels' order.
//!
//! A prepared one has the GGUF's header as it is, for the tokenizer, the chat template and the sizes are in it, and a table for each
//! tensor. From the two the GGUF can be had back, byte for byte, for a CPU that the kernels do not run on.

use crate::assets::Assets;
use crate::error::Error;
use crate::gguf::{Gguf, Tensor};
use crate::map::MappedFile;
use crate::models::llama::{Config, tensors};
use crate::prepared::{self, Maker, Origin, Prepared};
use candle_core::quantized::GgmlDType;
use fdk_kernels::numbers::Numbers;
use fdk_kernels::quantised::{Format, Matrix};

/// The table that has the GGUF's header.
const HEADER: &str = "gguf";

/// A decoder's weights and all that belongs to them.
#[derive(Debug)]
pub(crate) enum DecoderFile {
    Gguf(MappedFile),
    Prepared(Prepared, Numbers<u8>),
}

impl DecoderFile {
    /// Maps the model's prepared file, or else its GGUF.
    pub(crate) fn open(assets: &Assets) -> Result<Self, Error> {
        if let Some(file) = assets.prepared(prepared::DECODER)? {
            return Self::prepared(file);
        }
        Self::original(assets)
    }

    /// As [`DecoderFile::open`], to reckon with alone: a prepared file's content is not looked at, which takes long.
    pub(crate) fn look(assets: &Assets) -> Result<Self, Error> {
        if let Ok(file) = Prepared::map(&assets.path(prepared::FILE_NAME))
            && file.kind() == prepared::DECODER
        {
            return Self::prepared(file);
        }
        Self::original(assets)
    }

    fn original(assets: &Assets) -> Result<Self, Error> {
        let file = MappedFile::open(&assets.gguf()?);
        Ok(Self::Gguf(file.map_err(|error| Error::model("has no readable GGUF file", error))?))
    }

    fn prepared(file: Prepared) -> Result<Self, Error> {
        let header = file.numbers(HEADER)?;
        Ok(Self::Prepared(file, header))
    }

    /// The GGUF: of a prepared file its header, whose tensors have no bytes.
    pub(crate) fn gguf(&self) -> Result<Gguf<'_>, Error> {
        match self {
            Self::Gguf(file) => Gguf::parse(file),
            Self::Prepared(_, header) => Gguf::header(header.get()),
        }
    }

    /// How a prepared file keeps its weights; `None` of a GGUF.
    pub(crate) fn precision(&self) -> Option<&str> {
        match self {
            Self::Gguf(_) => None,
            Self::Prepared(file, _) => Some(file.precision()),
        }
    }

    /// Gives the pages of a GGUF's tensor back, once it has been copied: without, all weights would be in memory twice.
    pub(crate) fn release(&self, tensor: &[u8]) {
        if let Self::Gguf(file) = self {
            file.release(tensor);
        }
    }
}

impl DecoderFile {
    /// A matrix for the kernels, in place where it is prepared. `gguf` is this file's.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn matrix(
        &self,
        gguf: &Gguf<'_>,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Matrix, String> {
        let tensor = tensor(gguf, name)?;
        let format = format(tensor).ok_or_else(|| {
            format!("{name} is {:?}, and the kernels take Q4_0, Q4_1 and Q8_0", tensor.dtype())
        })?;
        let is = tensor.dimensions() == [rows, columns];
        let matrix = match self {
            _ if !is => None,
            Self::Gguf(file) => {
                let matrix = Matrix::interleave(format, rows, columns, tensor.bytes());
                file.release(tensor.bytes());
                matrix
            }
            Self::Prepared(file, _) => {
                let packed = file.numbers::<u8>(name).map_err(because)?;
                let (owner, range) = packed.place();
                Matrix::view(format, rows, columns, owner.clone(), range)
            }
        };
        matrix.ok_or_else(|| format!("{name} is not {rows} × {columns}"))
    }

    /// A vector, which files keep in f32.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn vector(&self, gguf: &Gguf<'_>, name: &str) -> Result<Vec<f32>, String> {
        let tensor = tensor(gguf, name)?;
        if tensor.dtype() != Some(GgmlDType::F32) {
            return Err(format!("{name} is not of F32"));
        }
        let prepared;
        let bytes = match self {
            Self::Gguf(_) => tensor.bytes(),
            Self::Prepared(file, _) => {
                prepared = file.exactly::<u8>(name, tensor.place().len()).map_err(because)?;
                prepared.get()
            }
        };
        let (numbers, _) = bytes.as_chunks::<4>();
        Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// The GGUF that a prepared file was made of.
    pub(crate) fn restore(&self) -> Result<Vec<u8>, Error> {
        let (file, header) = match self {
            Self::Gguf(file) => return Ok(file.to_vec()),
            Self::Prepared(file, header) => (file, header),
        };
        let fails = |why: &str| Error::model("has a prepared file that cannot be used", why.to_owned());
        let gguf = Gguf::header(header.get())?;
        let (start, end) = gguf.extent().ok_or_else(|| fails("its tensors are too large"))?;
        // A table is as long as its tensor: what is not in the file is not asked for.
        if end as u64 > file.bytes().saturating_mul(2) {
            return Err(fails("its tensors are too large"));
        }
        let mut whole = vec![0; end];
        let (head, data) = whole.split_at_mut(start);
        let known = header.get().get(..start).ok_or_else(|| fails("its header is cut off"))?;
        head.copy_from_slice(known);
        for (name, tensor) in gguf.tensors() {
            let table = file.numbers::<u8>(name)?;
            let (from, to) = (table.get(), &mut data[tensor.place()]);
            match matrix_format(tensor) {
                Some((format, rows, columns)) if format.packed_bytes(rows, columns) == Some(from.len()) => {
                    format.restore(from, rows, columns, to);
                }
                None if from.len() == to.len() => to.copy_from_slice(from),
                _ => return Err(fails("a table is not as long as its tensor")),
            }
        }
        Ok(whole)
    }
}

/// A decoder's tables, of its GGUF; `None` for one that the kernels do not run.
pub(crate) fn tables(assets: &Assets) -> Result<Option<Maker>, Error> {
    let DecoderFile::Gguf(file) = DecoderFile::original(assets)? else { return Ok(None) };
    let gguf = Gguf::parse(&file)?;
    let config = Config::read(&gguf)?;
    let quantised =
        |tensor: &Tensor<'_>| tensor.dtype() == Some(GgmlDType::F32) || matrix_format(tensor).is_some();
    let alone = tensors::for_candle_alone(&gguf).is_some();
    if config.halves || alone || !gguf.tensors().all(|(_, tensor)| quantised(tensor)) {
        return Ok(None);
    }
    let fails =
        || Error::model("has a GGUF file that cannot be read", "its tensors are too large".to_owned());
    let (start, _) = gguf.extent().ok_or_else(fails)?;
    let precision = gguf.tensor("blk.0.attn_q.weight").and_then(format).map_or("f32", Format::name);
    let mut maker = Maker::new(prepared::DECODER, precision);
    maker.add(HEADER, file.get(..start).unwrap_or(&file).to_vec());
    for (name, tensor) in gguf.tensors() {
        let table = match matrix_format(tensor) {
            Some((format, rows, columns)) => {
                let packed = Matrix::interleave(format, rows, columns, tensor.bytes()).ok_or_else(fails)?;
                packed.bytes().to_vec()
            }
            None => tensor.bytes().to_vec(),
        };
        maker.add(name, table);
    }
    let path = assets.gguf()?;
    let source = assets.model().files.iter().find(|file| assets.path(&file.path) == path);
    let origin = |file: &crate::manifest::File| Origin {
        path: file.path.clone(),
        size: file.size,
        sha256: file.sha256.clone(),
        replaced: true,
    };
    maker.describe(source.map(origin).into_iter().collect(), serde_json::Value::Null);
    Ok(Some(maker))
}

/// The kernels' format of a tensor, where it is a matrix of one.
fn matrix_format(tensor: &Tensor<'_>) -> Option<(Format, usize, usize)> {
    match tensor.dimensions() {
        &[rows, columns] => Some((format(tensor)?, rows, columns)),
        _ => None,
    }
}

fn format(tensor: &Tensor<'_>) -> Option<Format> {
    match tensor.dtype() {
        Some(GgmlDType::Q4_0) => Some(Format::Q4_0),
        Some(GgmlDType::Q4_1) => Some(Format::Q4_1),
        Some(GgmlDType::Q8_0) => Some(Format::Q8_0),
        _ => None,
    }
}

#[cfg(target_arch = "x86_64")]
fn tensor<'g, 'a>(gguf: &'g Gguf<'a>, name: &str) -> Result<&'g Tensor<'a>, String> {
    gguf.tensor(name).ok_or_else(|| format!("there is no tensor {name}"))
}

#[cfg(target_arch = "x86_64")]
#[expect(clippy::needless_pass_by_value, reason = "it is a mapper of errors")]
fn because(error: Error) -> String {
    std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
}
