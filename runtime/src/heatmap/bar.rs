//! The colour bar beside a heat map: which value each colour stands for. The colours are `heatmap`'s.

use image::{Rgb, RgbImage, imageops};
use ndarray::Array2;

use super::{CONTOUR, draw_heatmap};

/// Behind the bar.
const BACKGROUND: Rgb<u8> = Rgb([0x16; 3]);
/// What the bar's colours lie over, in place of an image.
const GREY: Rgb<u8> = Rgb([0x70; 3]);
/// Colour of the figures.
const INK: Rgb<u8> = Rgb([0xE8; 3]);
/// Columns and rows of a figure's character, without the gap to the next.
const CHARACTER: [u32; 2] = [3, 5];
/// Characters of the longest figure, as in 1.2e-10.
const LONGEST: u32 = 7;
// Columns in dots: of the gap to the heat map, the bar, its mark, and the figures.
const GAP: u32 = 3;
const BAR: u32 = 7;
const MARK: u32 = 3;
const FIGURES: u32 = LONGEST * (CHARACTER[0] + 1);

/// Pixels of a bar that are always worth it.
const SMALL: u64 = 1 << 20;

/// The heat map with a colour bar to its right, from 0 at the bottom to twice `scale`, which is in the map's unit and in
/// the middle. With a `threshold` the middle is marked and named; it should be the scale then. There is no bar where it would
/// take more pixels than the heat map, and not few.
pub fn with_colour_bar(drawn: &RgbImage, scale: f32, threshold: Option<f32>) -> RgbImage {
    let (width, height) = drawn.dimensions();
    // A tall, narrow image would be lost beside a bar that only its height sizes, and so would memory.
    let dot = (height.min(width.saturating_mul(2)) / 100).max(1);
    let bar = dot * (GAP + BAR + MARK + FIGURES);
    let pixels = |width: u32| u64::from(width) * u64::from(height);
    if pixels(bar) > pixels(width).max(SMALL) {
        return drawn.clone();
    }
    let mut framed = RgbImage::from_pixel(width + bar, height, BACKGROUND);
    imageops::replace(&mut framed, drawn, 0, 0);

    let rows = (height - 1).max(1) as f32;
    let ramp = Array2::from_shape_fn((height as usize, (dot * BAR) as usize), |(y, _)| {
        2.0 * (1.0 - y as f32 / rows) // of a scale of 1
    });
    let bar = draw_heatmap(RgbImage::from_pixel(dot * BAR, height, GREY), ramp.view(), 1.0);
    let left = width + dot * GAP;
    imageops::replace(&mut framed, &bar, i64::from(left), 0);

    let figures = left + dot * (BAR + MARK);
    let tall = dot * CHARACTER[1];
    let bottom = height.saturating_sub(tall);
    write(&mut framed, [figures, 0], dot, INK, &figure(2.0 * scale));
    // Three figures need room for themselves and for the gaps between them.
    if let Some(threshold) = threshold.filter(|_| height >= 5 * tall) {
        let middle = (height - tall) / 2;
        write(&mut framed, [figures, middle], dot, CONTOUR, &figure(threshold));
        let line = (height - dot) / 2;
        fill(&mut framed, [left, line], [dot * (BAR + MARK - 1), dot], CONTOUR);
    }
    if height >= 3 * tall {
        write(&mut framed, [figures, bottom], dot, INK, "0");
    }
    framed
}

/// Three significant digits in at most [`LONGEST`] characters.
fn figure(value: f32) -> String {
    let magnitude = value.abs().log10().floor();
    match (-3.0..5.0).contains(&magnitude) {
        true => format!("{value:.*}", (2.0 - magnitude).max(0.0) as usize),
        false => format!("{value:.1e}"),
    }
}

/// Writes `text` with its upper left corner at `at`; what leaves the image is cut off.
fn write(image: &mut RgbImage, [left, top]: [u32; 2], dot: u32, colour: Rgb<u8>, text: &str) {
    for (place, character) in (0..).zip(text.chars()) {
        let bits = bits(character);
        for (y, x) in (0..CHARACTER[1]).flat_map(|y| (0..CHARACTER[0]).map(move |x| (y, x))) {
            if bits >> (14 - CHARACTER[0] * y - x) & 1 == 1 {
                let x = x + place * (CHARACTER[0] + 1);
                fill(image, [left + dot * x, top + dot * y], [dot, dot], colour);
            }
        }
    }
}

fn fill(image: &mut RgbImage, [left, top]: [u32; 2], [width, height]: [u32; 2], colour: Rgb<u8>) {
    for y in top..(top + height).min(image.height()) {
        for x in left..(left + width).min(image.width()) {
            image.put_pixel(x, y, colour);
        }
    }
}

/// The dots of a character, an octal digit a row.
fn bits(character: char) -> u16 {
    match character {
        '0' => 0o75557,
        '1' => 0o26227,
        '2' => 0o71747,
        '3' => 0o71717,
        '4' => 0o55711,
        '5' => 0o74717,
        '6' => 0o74757,
        '7' => 0o71222,
        '8' => 0o75757,
        '9' => 0o75717,
        'e' => 0o74647,
        '-' => 0o00700,
        '.' => 0o00002,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heat_map_stays_and_the_bar_is_beside_it() {
        for (width, height) in [(1, 1), (40, 30), (64, 9), (700, 510), (200, 3000)] {
            let image = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 9]));
            let framed = with_colour_bar(&image, 0.01, Some(0.01));
            assert!(framed.width() > width && framed.height() == height);
            assert!(framed.width() <= 2 * width + 50, "no wider than the image, or than its letters");
            assert_eq!(imageops::crop_imm(&framed, 0, 0, width, height).to_image(), image);
        }
    }

    #[test]
    fn an_image_that_a_bar_would_dwarf_has_none() {
        let image = RgbImage::new(1, 100_000);
        assert_eq!(with_colour_bar(&image, 0.01, Some(0.01)), image);
    }

    #[test]
    fn the_bar_has_the_colours_that_its_values_have_in_the_heat_map() {
        let framed = with_colour_bar(&RgbImage::new(10, 101), 0.3, None);
        let grey = RgbImage::from_pixel(1, 1, GREY);
        for (row, value) in [(0, 0.6), (25, 0.45), (75, 0.15), (100, 0.0)] {
            let expected = draw_heatmap(grey.clone(), Array2::from_elem((1, 1), value).view(), 0.3);
            let found = framed[(10 + GAP + BAR / 2, row)].0;
            let near = found.iter().zip(expected[(0, 0)].0).all(|(a, b)| a.abs_diff(b) <= 1);
            assert!(near, "{value}: {found:?}, not {expected:?}");
        }
    }

    #[test]
    fn the_middle_is_marked_only_with_a_threshold() {
        let marks = |threshold| {
            let framed = with_colour_bar(&RgbImage::new(10, 60), 0.3, threshold);
            framed.enumerate_pixels().filter(|(.., pixel)| **pixel == CONTOUR).map(|(_, y, _)| y).collect()
        };
        assert_eq!(marks(None), [0_u32; 0]);
        let rows: Vec<u32> = marks(Some(0.3));
        assert!(!rows.is_empty() && rows.iter().all(|y| y.abs_diff(30) <= 3), "{rows:?}");
    }

    #[test]
    fn every_figure_fits_and_every_character_can_be_drawn() {
        for value in [0.0, 1.0, 0.012_345, 0.999_999, 1234.5, 99_999.0, 1.5e-30, 3.0e38, 1e-4] {
            let text = figure(value);
            assert!(text.len() <= LONGEST as usize, "{text}");
            assert!(text.chars().all(|character| bits(character) > 0), "{text}");
        }
        assert_eq!([0.012_345, 1.0, 250.0, 1e-4].map(figure), ["0.0123", "1.00", "250", "1.0e-4"]);
    }
}
