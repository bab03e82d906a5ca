//! Image files: decoding them to 8-bit RGB and to the backbone's input. Which files are images is `finding`'s to say; what is
//! computed from the pixels lives elsewhere.
//!
//! The content decides the format, not the extension. Grey becomes RGB, 16 bit becomes 8, alpha is dropped, colour
//! profiles and orientation tags are not applied.

mod finding;
mod jpeg;
mod mask;
mod resize;

use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
};

pub use finding::{FoundImage, find_images, visit_images};
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
pub use image::{GrayImage, RgbImage};
pub use mask::read_mask;
use ndarray::Array3;
use sparsight_schemas::{InputConfig, ResizeFilter};

/// Most pixels of an image; a few bytes can claim any number.
pub const LARGEST_IMAGE: u64 = 100_000_000;
/// Most bytes of an image file.
const LARGEST_FILE: u64 = 1 << 29;
/// Most bytes that the file, its decoder, and the pixels as stored and as 8-bit RGB may take together.
const LARGEST_DECODING: u64 = 950_000_000;
/// What a decoder may take beside the file and the pixels.
const WORKING_MEMORY: u64 = 1 << 26;
/// Why an image can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Nothing was given to look at.
    #[error("no images given; name image files or folders")]
    NothingGiven,
    /// A folder holds nothing to look at.
    #[error("{}: no images in this folder (png, jpg, jpeg, bmp, tif, tiff)", .0.display())]
    NoImages(PathBuf),
    /// The file or folder is not there.
    #[error("{}: no such file or folder; check the path", .0.display())]
    Missing(PathBuf),
    /// The file or folder can't be read.
    #[error("{}: can't be read ({source}); check its permissions", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The content is of no known format.
    #[error("{}: is not a PNG, JPEG, BMP or TIFF image; convert it or leave it out", .0.display())]
    UnknownFormat(PathBuf),
    /// The content is cut off or corrupt, or uses a feature that is not supported.
    #[error("{}: can't be decoded ({reason}); replace it or leave it out", path.display())]
    Undecodable {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
    },
    /// The image is too large to hold in memory.
    #[error("{}: {width} x {height} pixels are more than 100 megapixels; scale it down", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// The pixels are few enough, but deep, or the file around them is large.
    #[error("{}: decoding it would take {} MB of memory, more than {}; scale it down or store it with 8 bits a channel", path.display(), bytes / 1_000_000, LARGEST_DECODING / 1_000_000)]
    TooMuchMemory {
        /// The file.
        path: PathBuf,
        /// What decoding it would take.
        bytes: u64,
    },
    /// The file is too large to be an image that could be used.
    #[error("{}: is larger than 512 MiB; scale the image down", .0.display())]
    TooLargeFile(PathBuf),
}

/// Reads and decodes an image file.
///
/// # Errors
/// Names the file and why it can't be used.
pub fn read_image(path: impl AsRef<Path>) -> Result<RgbImage, ImageError> {
    let path = path.as_ref();
    decode_image(&read_image_file(path)?, path)
}

/// The bytes of an image file, for those who need them besides the pixels.
///
/// # Errors
/// The file is missing, unreadable, or larger than any image that could be used.
pub fn read_image_file(path: &Path) -> Result<Vec<u8>, ImageError> {
    let refused = |error| unreadable(path, error);
    let too_large = || ImageError::TooLargeFile(path.to_path_buf());
    let file = File::open(path).map_err(refused)?;
    let size = file.metadata().map_err(refused)?.len();
    if size > LARGEST_FILE {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(size as usize + 1);
    // A pipe has no size, and a file may grow.
    match file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(refused)? as u64 > LARGEST_FILE {
        true => Err(too_large()),
        false => Ok(bytes),
    }
}

/// Decodes the bytes of an image file; `path` is for messages only.
///
/// # Errors
/// Names the file and why it can't be used.
pub fn decode_image(bytes: &[u8], path: &Path) -> Result<RgbImage, ImageError> {
    decode(bytes, path).map(DynamicImage::into_rgb8)
}

/// As [`decode_image`], with the pixels as the file has them.
fn decode(bytes: &[u8], path: &Path) -> Result<DynamicImage, ImageError> {
    let undecodable = |error: &dyn ToString| ImageError::Undecodable {
        path: path.to_path_buf(),
        reason: error.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    };
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| unreadable(path, error))?;
    let Some(format) = reader.format() else { return Err(ImageError::UnknownFormat(path.to_path_buf())) };
    if format == ImageFormat::Jpeg && !jpeg::is_complete(bytes) {
        return Err(undecodable(&"the file ends early"));
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(WORKING_MEMORY);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(|error| undecodable(&error))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > LARGEST_IMAGE {
        return Err(ImageError::TooLarge { path: path.to_path_buf(), width, height });
    }
    if pixels == 0 {
        return Err(undecodable(&"it has no pixels"));
    }
    let (file, stored) = (bytes.len() as u64, decoder.total_bytes());
    let as_rgb = if decoder.color_type() == ColorType::Rgb8 { 0 } else { 3 * pixels };
    let working = match format {
        // Its decoder copies the file, and may hold every coefficient in 16 bits before the first pixel.
        ImageFormat::Jpeg => file + 2 * pixels * jpeg::components(bytes),
        _ => WORKING_MEMORY.max(file),
    };
    let needed = file + stored + as_rgb + working;
    if needed > LARGEST_DECODING {
        return Err(ImageError::TooMuchMemory { path: path.to_path_buf(), bytes: needed });
    }
    limits.max_alloc = Some(stored + working);
    decoder.set_limits(limits).map_err(|error| undecodable(&error))?;
    DynamicImage::from_decoder(decoder).map_err(|error| undecodable(&error))
}

/// Width and height that the head of an image file tells.
///
/// # Errors
/// Names the file and why they can't be told.
pub fn image_size(path: &Path) -> Result<(u32, u32), ImageError> {
    let bytes = read_image_file(path)?;
    // Read as decode_image does: another kind of reader would be another copy of every decoder in the program.
    ImageReader::new(Cursor::new(bytes.as_slice()))
        .with_guessed_format()
        .map_err(|error| unreadable(path, error))?
        .into_dimensions()
        .map_err(|error| ImageError::Undecodable { path: path.to_path_buf(), reason: error.to_string() })
}

/// What the backbone sees: the image at the input's size, \[3, H, W\] in \[0, 1\].
pub fn to_input(image: &RgbImage, input: &InputConfig) -> Array3<f32> {
    let resized = resize::resize(image, input.width as u32, input.height as u32, input.resize);
    Array3::from_shape_fn((3, input.height, input.width), |(channel, y, x)| {
        f32::from(resized[(x as u32, y as u32)][channel]) / 255.0
    })
}

/// The image scaled down to at most `longest` pixels a side, or as it is if it is no larger.
pub fn fit(image: &RgbImage, longest: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    let longer = width.max(height);
    if longer <= longest {
        return image.clone();
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(longest) / u64::from(longer)).max(1) as u32;
    resize::resize(image, scaled(width), scaled(height), ResizeFilter::Bilinear)
}

fn unreadable(path: &Path, source: io::Error) -> ImageError {
    match source.kind() {
        io::ErrorKind::NotFound => ImageError::Missing(path.to_path_buf()),
        _ => ImageError::Unreadable { path: path.to_path_buf(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

    fn png(samples: &[u8], width: u32, height: u32, colour: ExtendedColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes).write_image(samples, width, height, colour).unwrap();
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
        decode_image(bytes, Path::new("an/image.png"))
    }

    #[test]
    fn every_kind_of_pixel_becomes_8_bit_rgb() {
        let wide = |values: &[u16]| values.iter().flat_map(|value| value.to_ne_bytes()).collect::<Vec<u8>>();
        for (samples, colour, expected) in [
            (vec![77], ExtendedColorType::L8, [77; 3]),
            (vec![77, 0], ExtendedColorType::La8, [77; 3]),
            (vec![1, 2, 3], ExtendedColorType::Rgb8, [1, 2, 3]),
            (vec![1, 2, 3, 0], ExtendedColorType::Rgba8, [1, 2, 3]),
            (wide(&[77 * 257]), ExtendedColorType::L16, [77; 3]),
            (wide(&[257, 2 * 257, 65535]), ExtendedColorType::Rgb16, [1, 2, 255]),
            (wide(&[257, 2 * 257, 65535, 0]), ExtendedColorType::Rgba16, [1, 2, 255]),
        ] {
            let image = decode(&png(&samples, 1, 1, colour)).unwrap();
            assert_eq!((image.dimensions(), image[(0, 0)].0), ((1, 1), expected), "{colour:?}");
        }
    }

    #[test]
    fn the_input_is_rgb_planes_from_zero_to_one() {
        let image = decode(&png(&[255, 0, 51], 1, 1, ExtendedColorType::Rgb8)).unwrap();
        let input = to_input(&image, &InputConfig { height: 16, width: 32, resize: ResizeFilter::Bilinear });
        assert_eq!(input.dim(), (3, 16, 32));
        for (plane, value) in input.outer_iter().zip([1.0, 0.0, 0.2]) {
            assert!(plane.iter().all(|v| *v == value));
        }
    }

    #[test]
    fn a_large_image_is_scaled_to_its_longer_side_and_a_small_one_stays() {
        let sizes =
            [((400, 200), (100, 50)), ((30, 300), (10, 100)), ((1, 1000), (1, 100)), ((100, 7), (100, 7))];
        for ((width, height), expected) in sizes {
            let image = RgbImage::from_pixel(width, height, image::Rgb([7, 8, 9]));
            let fitted = fit(&image, 100);
            assert_eq!(fitted.dimensions(), expected);
            assert!(fitted.pixels().all(|pixel| pixel.0 == [7, 8, 9]));
        }
    }

    #[test]
    fn no_part_of_a_file_is_an_image() {
        let samples: Vec<u8> =
            (0..3 * 20 * 20_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let bytes = png(&samples, 20, 20, ExtendedColorType::Rgb8);
        decode(&bytes).unwrap();
        // The last chunk of a PNG is an empty mark; the pixels are whole without it.
        for end in 0..bytes.len() - 12 {
            let error = decode(&bytes[..end]).unwrap_err().to_string();
            assert!(error.starts_with("an/image.png: ") && error.lines().count() == 1, "{end}: {error}");
        }
    }

    #[test]
    fn a_flipped_byte_among_the_pixels_is_an_error() {
        let mut bytes = png(&[9; 3 * 400], 20, 20, ExtendedColorType::Rgb8);
        let middle = bytes.windows(4).position(|name| name == b"IDAT").unwrap() + 8;
        bytes[middle] ^= 0xFF;
        assert!(matches!(decode(&bytes), Err(ImageError::Undecodable { .. })));
    }

    #[test]
    fn a_few_bytes_that_claim_many_pixels_are_refused() {
        // A bitmap header of 60000 x 60000 pixels.
        let mut bytes = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        bytes.extend([60_000_u32.to_le_bytes(), 60_000_u32.to_le_bytes()].concat());
        bytes.extend([1, 0, 24, 0]);
        bytes.extend([0; 24]);
        let error = decode(&bytes).unwrap_err().to_string();
        assert!(error.contains("60000 x 60000 pixels are more than 100 megapixels"), "{error}");
    }
}
