//! A file mapped into memory.

use memmap2::Mmap;
#[cfg(feature = "text")]
use memmap2::UncheckedAdvice;
use std::fs::File;
#[cfg(feature = "text")]
use std::ops::Deref;
use std::path::Path;

/// Maps a file read-only. Its pages are shared with every other process that maps it.
#[expect(unsafe_code, reason = "mapping a file is unsafe: another process could change it")]
pub(crate) fn map(path: &Path) -> std::io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the bytes would change under us only if somebody wrote to the file. It is a verified asset: image files
    // are on a read-only file system, and `cargo fdk assets` replaces a file by renaming, which leaves a mapping
    // of the old one intact.
    unsafe { Mmap::map(&file) }
}

/// A file whose pages are given back piece by piece, by whoever has copied what is on them.
#[cfg(feature = "text")]
#[derive(Debug)]
pub(crate) struct MappedFile(Mmap);

#[cfg(feature = "text")]
impl MappedFile {
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        map(path).map(Self)
    }

    /// Gives the pages of a part of the file back. Whoever reads it again has it read from the file.
    #[expect(unsafe_code, reason = "of memory without a file it would make zeros")]
    pub(crate) fn release(&self, part: &[u8]) {
        let Some(start) = part.as_ptr().addr().checked_sub(self.0.as_ptr().addr()) else { return };
        if start.checked_add(part.len()).is_some_and(|end| end <= self.0.len()) {
            // SAFETY: the pages are a file's, mapped read-only, so that they have the same bytes when they come back.
            // Where it fails they stay, which costs memory and nothing else.
            let _ = unsafe { self.0.unchecked_advise_range(UncheckedAdvice::DontNeed, start, part.len()) };
        }
    }
}

#[cfg(feature = "text")]
impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "text")]
    #[test]
    fn what_is_released_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let bytes: Vec<u8> = (0..100_000).map(|at| u8::try_from(at % 251).unwrap()).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = MappedFile::open(&path).unwrap();
        for part in [&file[..], &file[5000..5001], &file[99_000..], &[][..], &bytes[..]] {
            file.release(part);
            assert!(file[..] == bytes[..]);
        }
    }

    #[test]
    fn a_map_is_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"some bytes").unwrap();
        assert_eq!(&map(&path).unwrap()[..], std::fs::read(&path).unwrap());
        assert!(map(&folder.path().join("absent")).is_err());
    }
}
