//! A file mapped into memory.

use memmap2::Mmap;
use std::fs::File;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"some bytes").unwrap();
        assert_eq!(&map(&path).unwrap()[..], std::fs::read(&path).unwrap());
        assert!(map(&folder.path().join("absent")).is_err());
    }
}
