//! A picture file → the square of pixels that a model sees.

use crate::error::Error;
use crate::interrupt::Interrupt;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};

/// The most pixels of a picture. The header says how many there are, so that a bomb is refused before it is unpacked.
pub(crate) const MAX_PIXELS: u64 = 4096 * 4096;
/// The bytes that decoding takes for each pixel of the largest picture: what a progressive JPEG's coefficients and its pixels
/// need. A PNG of four channels of 16 bits needs 11, so it may have fewer pixels.
pub(crate) const BYTES_PER_PIXEL: u64 = 9;
/// The most bytes that decoding may take.
const MAX_BYTES: u64 = MAX_PIXELS * BYTES_PER_PIXEL;
/// And that a PNG may take besides its pixels: a row of them, a colour profile.
const PNG_BYTES: u64 = 32 * 1024 * 1024;
/// The bytes of a file that a decoder gets at once: between them the interrupt is asked.
const READ_BYTES: usize = 4096;
/// How much larger the picture is that the square is cut out of (`CROP_PADDING` of the original's preprocessing).
const MARGIN: u32 = 32;

/// Decodes a JPEG, PNG or WebP and cuts the middle out as the preprocessing of `EfficientNet` does: a square of
/// `side / (side + 32)` of the shorter edge, made `side × side` by bicubic interpolation, turned as EXIF says. Rows of RGB.
/// The interrupt is asked while the file is read, which of a JPEG is before it is decoded, and between the steps.
pub(crate) fn square(file: &[u8], side: usize, interrupt: &Interrupt<'_>) -> Result<Vec<u8>, Error> {
    let side = u32::try_from(side).unwrap_or(u32::MAX);
    let decoded = decode(file, interrupt);
    // What an interrupt made of the decoder's work is no fault of the picture.
    interrupt.check()?;
    let (picture, orientation) = decoded?;
    let (width, height) = (picture.width(), picture.height());
    let edge = f64::from(width.min(height));
    // Cut as TensorFlow cuts: to whole pixels.
    let cut = (edge * f64::from(side) / f64::from(side + MARGIN)).floor().max(1.0);
    let offset = |length: u32| ((f64::from(length) - cut + 1.0) * 0.5).floor();
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom)).crop(
        offset(width),
        offset(height),
        cut,
        cut,
    );
    let fails = |error: &dyn std::fmt::Display| {
        Error::input("image", format!("the picture cannot be scaled: {error}"))
    };
    let from =
        ImageRef::new(width, height, picture.as_raw(), PixelType::U8x3).map_err(|error| fails(&error))?;
    let mut to = Image::new(side, side, PixelType::U8x3);
    Resizer::new().resize(&from, &mut to, &options).map_err(|error| fails(&error))?;
    // The middle is the middle whichever way it is turned, and a small square is quickly turned.
    let square = RgbImage::from_raw(side, side, to.into_vec()).unwrap_or_default();
    let mut square = DynamicImage::ImageRgb8(square);
    square.apply_orientation(orientation);
    Ok(square.into_rgb8().into_raw())
}

fn decode(file: &[u8], interrupt: &Interrupt<'_>) -> Result<(RgbImage, Orientation), Error> {
    let fails = |error: ImageError| Error::input("image", format!("the picture cannot be decoded: {error}"));
    let limit = |bytes| {
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(bytes);
        limits
    };
    let mut reader = ImageReader::new(Asking { file: Cursor::new(file), interrupt })
        .with_guessed_format()
        .map_err(|error| fails(ImageError::IoError(error)))?;
    reader.limits(limit(PNG_BYTES));
    if !matches!(reader.format(), Some(ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) {
        return Err(Error::input(
            "image",
            "the file is no picture that is read here: send a JPEG, PNG or WebP",
        ));
    }
    let mut decoder = reader.into_decoder().map_err(fails)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        let million = |pixels: u64| pixels.div_ceil(1_000_000);
        let message = format!(
            "the picture has {width} × {height} pixels, {} million, and may have {}: scale it down",
            million(pixels),
            million(MAX_PIXELS)
        );
        return Err(Error::input("image", message));
    }
    // What is no RGB of 8 bits is there twice for a moment.
    let made = if decoder.color_type() == ColorType::Rgb8 { 0 } else { 3 * pixels };
    let bytes = decoder.total_bytes().saturating_add(made);
    if bytes > MAX_BYTES {
        let mb = |bytes: u64| bytes.div_ceil(1024 * 1024);
        let message = format!(
            "the picture has {width} × {height} pixels of {} bits and takes {} MB to decode, and may take {}: scale it down, or save it with 8 bits for each channel",
            decoder.color_type().bits_per_pixel(),
            mb(bytes),
            mb(MAX_BYTES)
        );
        return Err(Error::input("image", message));
    }
    decoder.set_limits(limit(MAX_BYTES)).map_err(fails)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder).map_err(fails)?.into_rgb8(), orientation))
}

/// A file that is handed out piece by piece, as long as somebody waits for what it is read for.
struct Asking<'a> {
    file: Cursor<&'a [u8]>,
    interrupt: &'a Interrupt<'a>,
}

impl Read for Asking<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let count = piece.len().min(into.len());
        into[..count].copy_from_slice(&piece[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Asking<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.interrupt.check().map_err(io::Error::other)?;
        let rest = self.file.fill_buf()?;
        Ok(&rest[..rest.len().min(READ_BYTES)])
    }

    fn consume(&mut self, count: usize) {
        self.file.consume(count);
    }
}

impl Seek for Asking<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn png(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u16; 4]) -> Vec<u8> {
        let picture = image::ImageBuffer::from_fn(width, height, |x, y| image::Rgba(pixel(x, y)));
        let mut file = Cursor::new(Vec::new());
        DynamicImage::ImageRgba16(picture).write_to(&mut file, ImageFormat::Png).unwrap();
        file.into_inner()
    }

    #[test]
    fn sixteen_bits_for_each_channel_count() {
        // 14 million pixels, fewer than the 16.8 that a picture may have, of 11 bytes while they are decoded.
        let large = png(4096, 3500, |_, _| [0; 4]);
        let refused = square(&large, 224, &Interrupt::never()).unwrap_err();
        assert_eq!(refused.path(), Some("image"));
        assert_eq!(
            refused.to_string(),
            "the picture has 4096 × 3500 pixels of 64 bits and takes 151 MB to decode, and may take 144: scale it down, or save it with 8 bits for each channel"
        );
        let small = png(300, 300, |_, _| [u16::MAX, 0, 0, u16::MAX]);
        assert_eq!(square(&small, 224, &Interrupt::never()).unwrap()[..3], [255, 0, 0]);
    }

    #[test]
    fn an_interrupt_ends_the_decoding_midway() {
        // Noise, so that the file is long.
        let noise = |x: u32, y: u32| {
            let mixed = (x * 300 + y + 1).wrapping_mul(0x9E37_79B1);
            u16::try_from((mixed ^ mixed >> 13).wrapping_mul(0x85EB_CA6B) >> 16).unwrap()
        };
        let file = png(300, 300, |x, y| [noise(x, y), noise(y, x), noise(x, 2 * y), u16::MAX]);
        assert!(file.len() > 40 * READ_BYTES, "{}", file.len());
        let asked = Cell::new(0);
        let count = || {
            asked.set(asked.get() + 1);
            asked.get() > 20
        };
        let stopped = square(&file, 224, &Interrupt::when(&count)).unwrap_err();
        assert!(stopped.is_interrupted(), "{stopped}");
        assert!(asked.get() < 25, "{}", asked.get());
    }
}
