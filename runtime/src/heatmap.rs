//! Heat maps: a map drawn over its image, for people. The numbers themselves are in `maps` and `npy`.
//!
//! The scale is the threshold's, not the image's own: a value of 0 leaves the image as it is, the threshold is the
//! middle of the colours at just over a quarter of opacity, and twice the threshold and everything above is the
//! brightest colour at four fifths. So two pictures can be compared, and that of a normal image looks calm.

mod bar;

use std::{io, path::Path};

pub use bar::with_colour_bar;
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage, codecs::png::PngEncoder};
use ndarray::{ArrayView2, s};
use sparsight_schemas::Region;

use crate::{
    maps::highest,
    replace::{ReplaceError, replace_file},
};

/// Colour of the threshold's contour; the scale has no such one.
const CONTOUR: Rgb<u8> = Rgb([0x40, 0xFF, 0x80]);
/// Colour of boxes.
const BOX: Rgb<u8> = Rgb([0xFF; 3]);

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

/// What the scale of a map refers to: its threshold, or half of its highest value if there is none.
pub fn colour_scale(map: ArrayView2<f32>, threshold: Option<f32>) -> f32 {
    threshold.unwrap_or_else(|| highest(map) / 2.0)
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

/// Draws the contour of the values above `threshold`, on their side of it.
pub fn draw_contour(drawn: &mut RgbImage, map: ArrayView2<f32>, threshold: f32) {
    let reach = line_width(drawn) as usize;
    let (rows, columns) = map.dim();
    for ((y, x), _) in map.indexed_iter().filter(|(_, value)| **value > threshold) {
        let column = map.slice(s![y.saturating_sub(reach)..(y + reach + 1).min(rows), x]);
        let row = map.slice(s![y, x.saturating_sub(reach)..(x + reach + 1).min(columns)]);
        if column.iter().chain(row).any(|value| *value <= threshold) {
            drawn.put_pixel(x as u32, y as u32, CONTOUR);
        }
    }
}

/// Draws the boxes of `regions`, around them where there is room.
pub fn draw_boxes(drawn: &mut RgbImage, regions: &[Region]) {
    let line = line_width(drawn);
    let (width, height) = drawn.dimensions();
    for region in regions {
        let (left, top) = (region.x.saturating_sub(line), region.y.saturating_sub(line));
        let right = region.x.saturating_add(region.width).saturating_add(line).min(width);
        let bottom = region.y.saturating_add(region.height).saturating_add(line).min(height);
        for (y, x) in (top..bottom).flat_map(|y| (left..right).map(move |x| (y, x))) {
            if y < top + line || y + line >= bottom || x < left + line || x + line >= right {
                drawn.put_pixel(x, y, BOX);
            }
        }
    }
}

/// Pixels of a line that shows when the whole image fits on a screen.
fn line_width(image: &RgbImage) -> u32 {
    (image.width().max(image.height()) / 500).max(1)
}

/// Writes an image as PNG.
///
/// # Errors
/// The file can't be written.
pub fn write_png(path: &Path, image: &RgbImage) -> Result<(), ReplaceError> {
    let refused = |source| ReplaceError::Refused { path: path.to_path_buf(), source };
    replace_file(path, &to_png(image).map_err(refused)?)
}

/// The bytes of an image as PNG.
///
/// # Errors
/// The encoder's, of an image without pixels.
pub fn to_png(image: &RgbImage) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let (encoder, (width, height)) = (PngEncoder::new(&mut bytes), image.dimensions());
    encoder.write_image(image, width, height, ExtendedColorType::Rgb8).map_err(io::Error::other)?;
    Ok(bytes)
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
    fn without_a_threshold_the_highest_value_is_the_brightest() {
        let map = arr2(&[[0.0, 40.0, 10.0]]);
        assert_eq!(level(40.0, colour_scale(map.view(), None)), 1.0);
        assert_eq!(level(40.0, colour_scale(map.view(), Some(40.0))), 0.5);
    }

    /// One letter a pixel: the contour, a box, or neither.
    fn letters(drawn: &RgbImage) -> Vec<String> {
        let letter = |pixel: &Rgb<u8>| match *pixel {
            CONTOUR => 'c',
            BOX => 'b',
            _ => '.',
        };
        drawn.rows().map(|row| row.map(letter).collect()).collect()
    }

    #[test]
    fn the_contour_goes_along_the_inside_of_what_is_above_the_threshold() {
        let map = Array2::from_shape_fn((6, 7), |(y, x)| f32::from(u8::from(y < 4 && (1..6).contains(&x))));
        let mut drawn = RgbImage::new(7, 6);
        draw_contour(&mut drawn, map.view(), 0.5);
        // The image's edge is no contour.
        assert_eq!(letters(&drawn), [".c...c.", ".c...c.", ".c...c.", ".ccccc.", ".......", "......."]);
        draw_contour(&mut drawn, Array2::ones((6, 7)).view(), 0.5);
        assert_eq!(letters(&drawn)[5], ".......");
    }

    #[test]
    fn a_box_is_around_its_region_and_stays_in_the_image() {
        let region = |x, y, width, height| Region { x, y, width, height, area: 1, peak: 1.0 };
        let mut drawn = RgbImage::new(7, 6);
        draw_boxes(&mut drawn, &[region(2, 2, 2, 1)]);
        assert_eq!(letters(&drawn), [".......", ".bbbb..", ".b..b..", ".bbbb..", ".......", "......."]);
        let mut drawn = RgbImage::new(4, 3);
        draw_boxes(&mut drawn, &[region(0, 0, 4, 3), region(u32::MAX, 0, 9, 9)]);
        assert_eq!(letters(&drawn), ["bbbb", "b..b", "bbbb"]);
    }

    #[test]
    fn a_threshold_of_zero_or_a_value_that_is_no_number_does_not_fail() {
        let image = RgbImage::from_pixel(3, 1, Rgb([9; 3]));
        let drawn = draw_heatmap(image.clone(), arr2(&[[0.0, 1.0, f32::NAN]]).view(), 0.0);
        assert_eq!(drawn[(0, 0)], image[(0, 0)]);
        assert_eq!(drawn[(2, 0)], image[(2, 0)]);
    }
}
