//! The one resize: antialiased, separable, in 8 bit, with the arithmetic of Pillow's `Image.resize`, value for
//! value, so that a Python pipeline sees the same pixels. Files and formats live in `images`.
//!
//! Every output pixel is a weighted mean of the input pixels under its kernel, which is widened by the scale when
//! shrinking. Weights are fixed-point numbers, and the first pass rounds to 8 bit before the second; so the order of
//! the passes shows in the last bit.

use image::RgbImage;
use sparsight_schemas::ResizeFilter;

/// Fractional bits of a weight: what 32 bits leave beside 8 for the pixel and 2 for sum and sign.
const WEIGHT_BITS: u32 = 32 - 8 - 2;
/// One half: added before the fraction is cut off, it rounds to the nearest.
const HALF: i32 = 1 << (WEIGHT_BITS - 1);

/// The image at `width` x `height`; both must be at least 1. A side that stays as it is is not filtered.
pub(super) fn resize(image: &RgbImage, width: u32, height: u32, filter: ResizeFilter) -> RgbImage {
    let (from_width, from_height) = image.dimensions();
    let across = |image: &RgbImage| match from_width == width {
        true => image.clone(),
        false => resize_rows(image, width, filter),
    };
    let down = |image: &RgbImage| match from_height == height {
        true => image.clone(),
        false => resize_columns(image, height, filter),
    };
    match columns_first(from_width, from_height, width, height) {
        true => across(&down(image)),
        false => down(&across(image)),
    }
}

/// Pillow (13.0) starts with the columns where that drops more than twice as many rows as columns.
fn columns_first(from_width: u32, from_height: u32, width: u32, height: u32) -> bool {
    let dropped = |from: u32, to: u32| i64::from(from) - i64::from(to);
    dropped(from_height, height) > 2 * dropped(from_width, width).max(0)
}

/// Every row at another width.
fn resize_rows(image: &RgbImage, width: u32, filter: ResizeFilter) -> RgbImage {
    let taps = taps(image.width(), width, filter);
    let mut output = RgbImage::new(width, image.height());
    let stride = 3 * image.width() as usize;
    let rows = image.as_raw().chunks_exact(stride).zip(output.chunks_exact_mut(3 * width as usize));
    for (row, output) in rows {
        for ((first, weights), output) in taps.iter().zip(output.chunks_exact_mut(3)) {
            let pixels = row[3 * first..].chunks_exact(3);
            let sums = weights.iter().zip(pixels).fold([HALF; 3], |[r, g, b], (&weight, pixel)| {
                [
                    r + weight * i32::from(pixel[0]),
                    g + weight * i32::from(pixel[1]),
                    b + weight * i32::from(pixel[2]),
                ]
            });
            output.copy_from_slice(&sums.map(rounded));
        }
    }
    output
}

/// Every column at another height.
fn resize_columns(image: &RgbImage, height: u32, filter: ResizeFilter) -> RgbImage {
    let mut output = RgbImage::new(image.width(), height);
    let stride = 3 * image.width() as usize;
    let mut sums = vec![0; stride];
    let taps = taps(image.height(), height, filter);
    for ((first, weights), output) in taps.iter().zip(output.chunks_exact_mut(stride)) {
        sums.fill(HALF);
        for (&weight, row) in weights.iter().zip(image.as_raw()[first * stride..].chunks_exact(stride)) {
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += weight * i32::from(value));
        }
        output.iter_mut().zip(&sums).for_each(|(value, &sum)| *value = rounded(sum));
    }
    output
}

fn rounded(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

/// For each output pixel of an axis, the first input pixel under its kernel and the weights from there.
fn taps(input: u32, output: u32, filter: ResizeFilter) -> Vec<(usize, Vec<i32>)> {
    let scale = f64::from(input) / f64::from(output);
    let widening = scale.max(1.0);
    let reach = support(filter) * widening;
    let tap = |pixel| {
        let centre = (f64::from(pixel) + 0.5) * scale;
        // The casts cut off the fraction, and what is negative becomes 0.
        let first = (centre - reach + 0.5) as usize;
        let end = ((centre + reach + 0.5) as usize).min(input as usize);
        let inverse = 1.0 / widening;
        let weights = (first..end).map(|x| kernel(filter, (x as f64 - centre + 0.5) * inverse));
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().sum();
        (first, weights.iter().map(|weight| fixed_point(weight / sum)).collect())
    };
    (0..output).map(tap).collect()
}

fn fixed_point(weight: f64) -> i32 {
    (weight * f64::from(1 << WEIGHT_BITS)).round() as i32
}

/// Half of the kernel's width, in output pixels.
fn support(filter: ResizeFilter) -> f64 {
    match filter {
        ResizeFilter::Bilinear => 1.0,
        ResizeFilter::Bicubic => 2.0,
        ResizeFilter::Lanczos => 3.0,
    }
}

/// The kernel at distance `x`.
fn kernel(filter: ResizeFilter, x: f64) -> f64 {
    let distance = x.abs();
    match filter {
        ResizeFilter::Bilinear => (1.0 - distance).max(0.0),
        // Keys' cubic convolution with a = -1/2.
        ResizeFilter::Bicubic if distance < 1.0 => (1.5 * distance - 2.5) * distance * distance + 1.0,
        ResizeFilter::Bicubic if distance < 2.0 => {
            ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
        }
        ResizeFilter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
        ResizeFilter::Bicubic | ResizeFilter::Lanczos => 0.0,
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> RgbImage {
        let path = format!("{}/../fixtures/resize/{name}.png", env!("CARGO_MANIFEST_DIR"));
        image::open(path).unwrap().into_rgb8()
    }

    #[test]
    fn every_filter_gives_the_values_of_pillow() {
        let filters = [
            ("bilinear", ResizeFilter::Bilinear),
            ("bicubic", ResizeFilter::Bicubic),
            ("lanczos", ResizeFilter::Lanczos),
        ];
        for (source, width, height) in [("wide", 37, 11), ("tall", 13, 41)] {
            let image = golden(source);
            for (name, filter) in filters {
                for (width, height) in [(8, 8), (width, 5), (9, height), (48, 50), (9, 30)] {
                    let expected = golden(&format!("{source}_{name}_{width}x{height}"));
                    assert!(
                        resize(&image, width, height, filter) == expected,
                        "{source} {name} {width}x{height}"
                    );
                }
            }
        }
    }

    #[test]
    fn one_colour_stays_that_colour_at_every_size() {
        let image = RgbImage::from_pixel(7, 300, image::Rgb([3, 128, 255]));
        for filter in [ResizeFilter::Bilinear, ResizeFilter::Bicubic, ResizeFilter::Lanczos] {
            for (width, height) in [(1, 1), (128, 128), (7, 31), (64, 300), (1000, 2)] {
                let resized = resize(&image, width, height, filter);
                assert!(
                    resized.pixels().all(|pixel| pixel.0 == [3, 128, 255]),
                    "{filter:?} {width}x{height}"
                );
            }
        }
    }
}
