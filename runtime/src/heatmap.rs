//! Heat maps: a map drawn over its image, for people. The numbers themselves are in `maps` and `npy`.
//!
//! The scale is the threshold's, not the image's own: a value of 0 leaves the image as it is, the threshold is the
//! middle of the colours at just over a quarter of opacity, and twice the threshold and everything above is the
//! brightest colour at four fifths. So two pictures can be compared, and that of a normal image looks calm.

use std::{io, path::Path};

use image::{ExtendedColorType, ImageEncoder, RgbImage, codecs::png::PngEncoder};
use ndarray::ArrayView2;

use crate::replace::{ReplaceError, replace_file};

/// Opacity of the brightest colour.
const OPACITY: f32 = 0.8;

/// Ten even steps of "inferno", the perceptually uniform colour map of S. van der Walt and N. Smith (CC0).
const COLOURS: [[u8; 3]; 10] = [
    [0x00, 0x00, 0x04],
    [0x1B, 0x0C, 0x42],
    [0x4B, 0x0C, 0x6B],
    [0x78, 0x1C, 0x6D],
    [0xA5, 0x2C, 0x60],
    [0xCF, 0x44, 0x46],
    [0xED, 0x69, 0x25],
    [0xFB, 0x9A, 0x06],
    [0xF7, 0xD0, 0x3C],
    [0xFC, 0xFF, 0xA4],
];

/// What the scale of an energy map refers to: the threshold, or half of the map's highest value if there is none.
pub fn energy_scale(map: ArrayView2<f32>, threshold: Option<f32>) -> f32 {
    threshold.unwrap_or_else(|| highest(map) / 2.0)
}

/// What the scale of a gradient map refers to. It has no threshold of its own, so its highest value is coloured as
/// the image's anomaly score would be: that of a normal image looks calm here too.
pub fn gradient_scale(map: ArrayView2<f32>, anomaly_score: f32, threshold: Option<f32>) -> f32 {
    let share = threshold.map_or(0.5, |threshold| threshold / anomaly_score);
    highest(map) * share
}

fn highest(map: ArrayView2<f32>) -> f32 {
    map.iter().copied().fold(0.0, f32::max)
}

/// Draws `map`, which has the image's size, over `image`; `threshold` is what the scale refers to, in the map's unit.
pub fn draw_heatmap(image: RgbImage, map: ArrayView2<f32>, threshold: f32) -> RgbImage {
    let mut drawn = image;
    for (pixel, &value) in drawn.pixels_mut().zip(map) {
        let level = level(value, threshold);
        let colour = colour(level);
        let opacity = OPACITY * level.powf(1.5);
        for (channel, colour) in pixel.0.iter_mut().zip(colour) {
            *channel = (f32::from(*channel) * (1.0 - opacity) + colour * opacity).round() as u8;
        }
    }
    drawn
}

/// Writes an image as PNG.
///
/// # Errors
/// The file can't be written.
pub fn write_png(path: &Path, image: &RgbImage) -> Result<(), ReplaceError> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(image, image.width(), image.height(), ExtendedColorType::Rgb8)
        .map_err(|error| ReplaceError::Refused {
            path: path.to_path_buf(),
            source: io::Error::other(error),
        })?;
    replace_file(path, &bytes)
}

/// Place of a value on the scale, 0 to 1; the threshold is in the middle.
fn level(value: f32, threshold: f32) -> f32 {
    if value > 0.0 { (value / (2.0 * threshold)).clamp(0.0, 1.0) } else { 0.0 }
}

/// The colour at `level`, linear between the steps.
fn colour(level: f32) -> [f32; 3] {
    let place = level * (COLOURS.len() - 1) as f32;
    let below = (place as usize).min(COLOURS.len() - 2);
    let fraction = place - below as f32;
    let channel = |i: usize| {
        f32::from(COLOURS[below][i]) * (1.0 - fraction) + f32::from(COLOURS[below + 1][i]) * fraction
    };
    [channel(0), channel(1), channel(2)]
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use ndarray::{Array2, arr2};

    use super::*;

    #[test]
    fn no_energy_leaves_the_image_as_it_is() {
        let image = RgbImage::from_fn(4, 3, |x, y| Rgb([x as u8 * 60, y as u8 * 80, 7]));
        assert_eq!(draw_heatmap(image.clone(), Array2::zeros((3, 4)).view(), 0.5), image);
    }

    #[test]
    fn higher_energy_is_brighter_on_black_up_to_twice_the_threshold() {
        let image = RgbImage::new(6, 1);
        let drawn = draw_heatmap(image.clone(), arr2(&[[0.0, 0.05, 0.1, 0.15, 0.2, 3.0]]).view(), 0.1);
        let brightness: Vec<u32> =
            drawn.pixels().map(|pixel| pixel.0.iter().map(|v| u32::from(*v)).sum()).collect();
        assert!(brightness[..5].is_sorted_by(|a, b| a < b), "{brightness:?}");
        assert_eq!(brightness[4], brightness[5]);
    }

    #[test]
    fn the_scale_is_the_threshold_and_not_the_image() {
        let image = RgbImage::from_pixel(2, 1, Rgb([100; 3]));
        let calm = draw_heatmap(image.clone(), arr2(&[[0.1, 0.0]]).view(), 1.0);
        let change = i32::from(calm[(0, 0)][1]) - 100;
        assert!((-3..=0).contains(&change), "a tenth of the threshold changed 100 by {change}");
    }

    #[test]
    fn the_highest_gradient_is_coloured_as_the_score_is() {
        let map = arr2(&[[0.0, 40.0, 10.0]]);
        for (score, place) in [(0.1, 0.25), (0.2, 0.5), (0.4, 1.0)] {
            let scale = gradient_scale(map.view(), score, Some(0.2));
            assert!((level(40.0, scale) - place).abs() < 1e-6);
        }
    }

    #[test]
    fn without_a_threshold_the_highest_value_is_the_brightest() {
        let map = arr2(&[[0.0, 40.0, 10.0]]);
        assert_eq!(level(40.0, energy_scale(map.view(), None)), 1.0);
        assert_eq!(level(40.0, gradient_scale(map.view(), 0.3, None)), 1.0);
    }

    #[test]
    fn a_threshold_of_zero_or_a_value_that_is_no_number_does_not_fail() {
        let image = RgbImage::from_pixel(3, 1, Rgb([9; 3]));
        let drawn = draw_heatmap(image.clone(), arr2(&[[0.0, 1.0, f32::NAN]]).view(), 0.0);
        assert_eq!(drawn[(0, 0)], image[(0, 0)]);
        assert_eq!(drawn[(2, 0)], image[(2, 0)]);
    }
}
