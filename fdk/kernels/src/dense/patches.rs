//! The patches of an image that a first convolution sees, so that it is a product of matrices.

use super::dispatch;

/// The numbers of a patch: three by three pixels of three colours, and a zero to be even.
pub const PATCH: usize = 28;
/// The widest image.
const WIDEST: usize = 224;

dispatch! {
    /// The patches of 3 × 3 pixels at every second pixel of some rows of the result, from row `first` on, of an image of RGB with
    /// rows of `side` pixels: `(x - 127) / 128` of each value, and zeros beyond the last row and column, as TensorFlow's `SAME`
    /// padding has them.
    ///
    /// # Panics
    /// If the image has rows of more than 224 pixels.
    pub fn patches(pixels: &[u8], side: usize, first: usize, patches: &mut [f32]) {
        assert!(side <= WIDEST, "an image of {side} pixels in a row");
        for (index, patches) in patches.chunks_exact_mut(side / 2 * PATCH).enumerate() {
            // A row of pixels, and one of zeros.
            let mut lines = [[0.0_f32; (WIDEST + 1) * 3]; 3];
            let seen = pixels[(first + index) * 2 * side * 3..].chunks_exact(side * 3);
            for (line, pixels) in lines.iter_mut().zip(seen) {
                for (to, value) in line.iter_mut().zip(pixels) {
                    *to = (f32::from(*value) - 127.0) / 128.0;
                }
            }
            for (x, patch) in patches.as_chunks_mut::<PATCH>().0.iter_mut().enumerate() {
                for (row, line) in lines.iter().enumerate() {
                    patch[row * 9..][..9].copy_from_slice(&line[x * 6..][..9]);
                }
                patch[27] = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_has_its_pixels_and_zeros_beyond_the_edge() {
        // Four by four pixels, each value its place.
        let pixels: Vec<u8> = (0..48).collect();
        let mut found = vec![9.0; 4 * PATCH];
        patches(&pixels, 4, 0, &mut found);
        for (index, patch) in found.chunks_exact(PATCH).enumerate() {
            let (top, left) = (index / 2 * 2, index % 2 * 2);
            for (at, value) in patch.iter().enumerate() {
                let (row, column, colour) = (top + at / 9, left + at % 9 / 3, at % 3);
                let expected = if at < 27 && row < 4 && column < 4 {
                    (f32::from(pixels[(row * 4 + column) * 3 + colour]) - 127.0) / 128.0
                } else {
                    0.0
                };
                assert_eq!(*value, expected, "{index} {at}");
            }
        }
    }
}
