//! Tables of numbers in a mapped file, in place.

use bytemuck::AnyBitPattern;
use memmap2::{Mmap, MmapMut};
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

/// Memory of its own, on a page, as a mapped file is, with what `write` writes.
pub fn fill(length: usize, write: impl FnOnce(&mut [u8])) -> std::io::Result<Mmap> {
    let mut memory = MmapMut::map_anon(length)?;
    write(&mut memory);
    memory.make_read_only()
}

/// Numbers of a mapped file, in place.
#[derive(Debug, Clone)]
pub struct Numbers<T> {
    file: Arc<Mmap>,
    range: Range<usize>,
    of: PhantomData<T>,
}

impl<T: AnyBitPattern> Numbers<T> {
    /// The numbers in a range of bytes; `None` when it is not within the file, not aligned, or not of whole numbers.
    pub fn of(file: &Arc<Mmap>, range: Range<usize>) -> Option<Self> {
        bytemuck::try_cast_slice::<u8, T>(file.get(range.clone())?).ok()?;
        Some(Self { file: file.clone(), range, of: PhantomData })
    }

    /// The file, and the range of its bytes.
    pub fn place(&self) -> (&Arc<Mmap>, Range<usize>) {
        (&self.file, self.range.clone())
    }

    /// The numbers.
    pub fn get(&self) -> &[T] {
        // `of` has checked it.
        bytemuck::cast_slice(&self.file[self.range.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_aligned_and_within() {
        let bytes = [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 9];
        let file = Arc::new(fill(9, |memory| memory.copy_from_slice(&bytes)).unwrap());
        assert_eq!(Numbers::<f32>::of(&file, 0..8).unwrap().get(), [1.0, 2.0]);
        for wrong in [1..5, 0..7, 4..12, 8..10] {
            assert!(Numbers::<f32>::of(&file, wrong.clone()).is_none(), "{wrong:?}");
        }
        assert_eq!(Numbers::<u8>::of(&file, 8..9).unwrap().get(), [9]);
    }
}
