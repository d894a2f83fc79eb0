//! A picture file → the square of pixels that a model sees.

use crate::error::Error;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use std::io::Cursor;

/// The most pixels of a picture. The header says how many there are, so that a bomb is refused before it is unpacked.
pub(crate) const MAX_PIXELS: u64 = 4096 * 4096;
/// The most bytes a decoder may take for each pixel: what a progressive JPEG's coefficients and its pixels need, and a PNG
/// of four channels of 16 bits.
pub(crate) const BYTES_PER_PIXEL: u64 = 9;
/// How much larger the picture is that the square is cut out of (`CROP_PADDING` of the original's preprocessing).
const MARGIN: u32 = 32;

/// Decodes a JPEG, PNG or WebP and cuts the middle out as the preprocessing of `EfficientNet` does: a square of
/// `side / (side + 32)` of the shorter edge, made `side × side` by bicubic interpolation, turned as EXIF says. Rows of RGB.
pub(crate) fn square(file: &[u8], side: usize) -> Result<Vec<u8>, Error> {
    let side = u32::try_from(side).unwrap_or(u32::MAX);
    let (picture, orientation) = decode(file)?;
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

fn decode(file: &[u8]) -> Result<(RgbImage, Orientation), Error> {
    let fails = |error: ImageError| Error::input("image", format!("the picture cannot be decoded: {error}"));
    let reader = ImageReader::new(Cursor::new(file))
        .with_guessed_format()
        .map_err(|error| fails(ImageError::IoError(error)))?;
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
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_PIXELS * BYTES_PER_PIXEL);
    decoder.set_limits(limits).map_err(fails)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder).map_err(fails)?.into_rgb8(), orientation))
}
