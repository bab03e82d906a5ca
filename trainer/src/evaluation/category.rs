//! The test images of a category with their labels, in memory. Nothing is scored here.

use std::path::Path;

use image::RgbImage;
use ndarray::Array3;
use sparsight_runtime::images::{ImageError, read_image, to_input};
use sparsight_schemas::InputConfig;

use super::EvaluationError;
use crate::categories::{Category, TestImage};

/// All test images of a category.
pub struct TestSet {
    /// The images, in the category's order.
    pub images: Vec<LoadedImage>,
    /// Whether each is defective.
    pub image_labels: Vec<bool>,
    /// Whether each pixel is, image after image, row by row; empty without masks.
    pub pixel_labels: Vec<bool>,
    /// Whether every defective image has a mask.
    pub has_masks: bool,
}

/// An image to score.
pub struct LoadedImage {
    /// \[3,H,W\] in \[0,1\], at the size of the bundle's input.
    pub input: Array3<f32>,
    /// Height of the original image.
    pub height: usize,
    /// Width of the original image.
    pub width: usize,
}

impl TestSet {
    /// Whether there is anything to compare: good and defective images, or masks, which hold both labels.
    pub fn has_figures(category: &Category) -> bool {
        let defective = |image: &&TestImage| image.defect.is_some();
        let anomalies = category.test.iter().filter(defective).count();
        anomalies > 0
            && (anomalies < category.test.len() || category.test.iter().all(|image| image.mask.is_some()))
    }

    /// Reads every test image and every mask.
    pub fn load(category: &Category, input: &InputConfig) -> Result<Self, EvaluationError> {
        let has_masks = category.test.iter().all(|image| image.defect.is_none() || image.mask.is_some());
        let mut set =
            Self { images: Vec::new(), image_labels: Vec::new(), pixel_labels: Vec::new(), has_masks };
        for test in &category.test {
            let image = read_image(&test.path)?;
            let (width, height) = (image.width() as usize, image.height() as usize);
            match &test.mask {
                Some(mask) if mask.is_file() => set.pixel_labels.extend(read_mask(mask, width, height)?),
                Some(mask) => {
                    return Err(EvaluationError::NoMask { mask: mask.clone(), image: test.path.clone() });
                }
                None if has_masks => set.pixel_labels.extend(std::iter::repeat_n(false, width * height)),
                None => {}
            }
            set.images.push(LoadedImage { input: to_input(&image, input), height, width });
            set.image_labels.push(test.defect.is_some());
        }
        Ok(set)
    }
}

fn read_mask(path: &Path, width: usize, height: usize) -> Result<Vec<bool>, ImageError> {
    Ok(labels(&read_image(path)?, width, height))
}

/// Which pixels are not black, at another size by the nearest pixel.
fn labels(mask: &RgbImage, width: usize, height: usize) -> Vec<bool> {
    let nearest = |i: usize, count: usize, of: u32| ((2 * i + 1) * of as usize / (2 * count)) as u32;
    let marked =
        |x, y| mask.get_pixel(nearest(x, width, mask.width()), nearest(y, height, mask.height())).0 != [0; 3];
    (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| marked(x, y)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> RgbImage {
        RgbImage::from_fn(rows[0].len() as u32, rows.len() as u32, |x, y| {
            let marked = rows[y as usize].as_bytes()[x as usize] == b'#';
            image::Rgb([if marked { 255 } else { 0 }; 3])
        })
    }

    #[test]
    fn a_mask_of_another_size_is_resized_to_the_nearest_pixel() {
        let small = mask(&["#.", ".#"]);
        let large = mask(&["##..", "##..", "..##", "..##"]);
        let expected = |mask: &RgbImage| mask.pixels().map(|pixel| pixel.0 != [0; 3]).collect::<Vec<_>>();
        assert_eq!(labels(&small, 4, 4), expected(&large));
        assert_eq!(labels(&large, 2, 2), expected(&small));
        assert_eq!(labels(&large, 4, 4), expected(&large));
        assert_eq!(labels(&small, 1, 2), [false, true]);
    }
}
