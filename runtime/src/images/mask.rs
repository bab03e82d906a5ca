//! Masks of anomalies: which pixels of an image file are marked, at the depth that the file has. Regions of interest are
//! `roi`'s, which asks how bright a pixel is.

use std::path::Path;

use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, Pixel, Primitive, Rgb, RgbImage};

use super::{ImageError, decode, read_image_file};

/// Reads a mask: 255 where the file is neither black nor transparent, else 0. It may hold numbers of defects, as VisA's do; of 16
/// bits, where those would be lost in an image of 8. Of a JPEG, which smears what it holds, pixels of at least half its highest value.
///
/// # Errors
/// As [`super::read_image`].
pub fn read_mask(path: &Path) -> Result<GrayImage, ImageError> {
    let bytes = read_image_file(path)?;
    let mask = decode(&bytes, path)?;
    if image::guess_format(&bytes).is_ok_and(|format| format == ImageFormat::Jpeg) {
        return Ok(marks_of_jpeg(&mask.into_rgb8()));
    }
    Ok(match mask {
        DynamicImage::ImageLuma8(mask) => marks(&mask),
        DynamicImage::ImageLumaA8(mask) => marks(&mask),
        DynamicImage::ImageRgb8(mask) => marks(&mask),
        DynamicImage::ImageRgba8(mask) => marks(&mask),
        DynamicImage::ImageLuma16(mask) => marks(&mask),
        DynamicImage::ImageLumaA16(mask) => marks(&mask),
        DynamicImage::ImageRgb16(mask) => marks(&mask),
        DynamicImage::ImageRgba16(mask) => marks(&mask),
        DynamicImage::ImageRgb32F(mask) => marks(&mask),
        other => marks(&other.into_rgba32f()),
    })
}

/// Values below this are what a JPEG of a black image may hold.
const SMEARED: u8 = 16;

fn marks_of_jpeg(mask: &RgbImage) -> GrayImage {
    let value = |pixel: &Rgb<u8>| pixel.0.into_iter().fold(0, u8::max);
    let least = SMEARED.max(mask.pixels().map(value).fold(0, u8::max).div_ceil(2));
    GrayImage::from_fn(mask.width(), mask.height(), |x, y| {
        Luma([if value(mask.get_pixel(x, y)) >= least { 255 } else { 0 }])
    })
}

fn marks<P: Pixel>(mask: &ImageBuffer<P, Vec<P::Subpixel>>) -> GrayImage {
    let zero = P::Subpixel::DEFAULT_MIN_VALUE;
    let has_alpha = P::CHANNEL_COUNT % 2 == 0;
    let is_marked = |pixel: &P| {
        let (channels, alpha) = pixel.channels().split_at(pixel.channels().len() - usize::from(has_alpha));
        channels.iter().any(|channel| *channel != zero) && alpha.iter().all(|alpha| *alpha != zero)
    };
    GrayImage::from_fn(mask.width(), mask.height(), |x, y| {
        Luma([if is_marked(mask.get_pixel(x, y)) { 255 } else { 0 }])
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::{LumaA, Rgba, codecs::jpeg::JpegEncoder};

    use super::*;

    #[test]
    fn a_jpeg_marks_what_it_was_made_of_and_not_what_it_smears() {
        let folder = tempfile::tempdir().unwrap();
        let square = GrayImage::from_fn(40, 30, |x, y| {
            Luma([if (9..22).contains(&x) && (7..17).contains(&y) { 255 } else { 0 }])
        });
        let path = folder.path().join("mask.jpg");
        for colour in [[255, 255, 255], [255, 0, 0], [0, 0, 255], [100, 100, 100]] {
            let mask =
                RgbImage::from_fn(40, 30, |x, y| Rgb(if square[(x, y)][0] > 0 { colour } else { [0; 3] }));
            JpegEncoder::new_with_quality(fs::File::create(&path).unwrap(), 90).encode_image(&mask).unwrap();
            let smeared = super::super::read_image(&path).unwrap();
            assert!(
                smeared.pixels().zip(mask.pixels()).any(|(s, m)| s.0 != [0; 3] && m.0 == [0; 3]),
                "{colour:?}"
            );
            assert_eq!(read_mask(&path).unwrap(), square, "{colour:?}");
        }
        DynamicImage::new_rgb8(40, 30).save(&path).unwrap();
        assert!(read_mask(&path).unwrap().pixels().all(|pixel| pixel[0] == 0));
    }

    #[test]
    fn a_pixel_is_marked_unless_it_is_black_or_transparent_whatever_the_file_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        let of = |mask: DynamicImage| {
            mask.save(&path).unwrap();
            read_mask(&path).unwrap().into_raw()
        };
        fn row<P: Pixel>(pixels: &[P]) -> ImageBuffer<P, Vec<P::Subpixel>> {
            ImageBuffer::from_fn(pixels.len() as u32, 1, |x, _| pixels[x as usize])
        }
        let expected = [255, 0, 255];
        assert_eq!(of(row(&[Luma([1_u8]), Luma([0]), Luma([255])]).into()), expected);
        assert_eq!(of(row(&[Luma([1_u16]), Luma([0]), Luma([256])]).into()), expected);
        assert_eq!(of(row(&[Rgb([0_u8, 0, 3]), Rgb([0; 3]), Rgb([9; 3])]).into()), expected);
        assert_eq!(of(row(&[Rgb([0_u16, 1, 0]), Rgb([0; 3]), Rgb([9; 3])]).into()), expected);
        assert_eq!(of(row(&[LumaA([255_u8, 1]), LumaA([255, 0]), LumaA([7, 255])]).into()), expected);
        assert_eq!(of(row(&[Rgba([255_u8; 4]), Rgba([255, 255, 255, 0]), Rgba([1; 4])]).into()), expected);
        assert_eq!(of(row(&[Rgba([1_u16; 4]), Rgba([0, 0, 0, 9]), Rgba([0, 0, 1, 9])]).into()), expected);
    }
}
