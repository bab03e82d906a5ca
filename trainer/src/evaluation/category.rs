//! The test images of a category with their labels, in memory. Nothing is scored here.

use std::path::PathBuf;

use image::GrayImage;
use ndarray::{Array2, Array3};
use sparsight_runtime::{
    images::{decode_image, read_image_file, read_mask, to_input},
    replace::sha256_hex,
};
use sparsight_schemas::InputConfig;

use super::EvaluationError;
use crate::categories::{Category, TestImage};

/// All test images of a category.
pub struct TestSet {
    /// The images, in the category's order.
    pub images: Vec<LoadedImage>,
    /// Whether every defective image has a mask.
    pub has_masks: bool,
}

/// An image to score.
pub struct LoadedImage {
    /// Its file.
    pub path: PathBuf,
    /// The file's sha256 in hexadecimal digits.
    pub sha256: String,
    /// Kind of defect; none for a good image.
    pub defect: Option<String>,
    /// \[3,H,W\] in \[0,1\], at the size of the bundle's input.
    pub input: Array3<f32>,
    /// Height of the original image.
    pub height: usize,
    /// Width of the original image.
    pub width: usize,
    /// Whether each pixel is anomalous, at the size of the original image; none for a good one and without masks.
    pub mask: Option<Array2<bool>>,
}

impl TestSet {
    /// Whether there is anything to compare: good and defective images, or masks, which hold both labels.
    pub fn has_figures(category: &Category) -> bool {
        let defective = |image: &&TestImage| image.defect.is_some();
        let anomalies = category.test.iter().filter(defective).count();
        anomalies > 0
            && (anomalies < category.test.len() || category.test.iter().all(|image| image.mask.is_some()))
    }

    /// How many defective images have a mask that marks no pixel.
    pub fn unmarked(&self) -> usize {
        let is_unmarked =
            |image: &&LoadedImage| image.mask.as_ref().is_some_and(|mask| !mask.iter().any(|m| *m));
        self.images.iter().filter(is_unmarked).count()
    }

    /// Whether every mask that a category with masks should have is there.
    pub fn check_masks(category: &Category) -> Result<(), EvaluationError> {
        let missing = |test: &&TestImage| test.mask.as_ref().is_some_and(|mask| !mask.is_file());
        match category.test.iter().find(missing) {
            Some(TestImage { path, mask: Some(mask), .. }) => {
                Err(EvaluationError::NoMask { mask: mask.clone(), image: path.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Reads every test image and every mask.
    pub fn load(category: &Category, input: &InputConfig) -> Result<Self, EvaluationError> {
        Self::check_masks(category)?;
        let has_masks = category.test.iter().all(|image| image.defect.is_none() || image.mask.is_some());
        let mut images = Vec::new();
        for test in &category.test {
            let bytes = read_image_file(&test.path)?;
            let image = decode_image(&bytes, &test.path)?;
            let (width, height) = (image.width() as usize, image.height() as usize);
            let mask = test.mask.as_ref().map(|mask| read_mask(mask)).transpose()?;
            let mask = mask.map(|mask| labels(&mask, width, height));
            let (path, defect, input) = (test.path.clone(), test.defect.clone(), to_input(&image, input));
            images.push(LoadedImage { path, sha256: sha256_hex(&bytes), defect, input, height, width, mask });
        }
        Ok(Self { images, has_masks })
    }
}

/// Which pixels are marked, at another size by the nearest pixel.
fn labels(mask: &GrayImage, width: usize, height: usize) -> Array2<bool> {
    let (columns, rows) = (mask.width() as usize, mask.height() as usize);
    Array2::from_shape_fn((height, width), |(y, x)| {
        let (x, y) = (nearest(x, width, columns), nearest(y, height, rows));
        mask.get_pixel(x as u32, y as u32).0 != [0]
    })
}

/// Which of `of` pixels along an axis lies under pixel `i` of `count`.
pub fn nearest(i: usize, count: usize, of: usize) -> usize {
    (2 * i + 1) * of / (2 * count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> GrayImage {
        GrayImage::from_fn(rows[0].len() as u32, rows.len() as u32, |x, y| {
            let marked = rows[y as usize].as_bytes()[x as usize] == b'#';
            image::Luma([if marked { 255 } else { 0 }])
        })
    }

    #[test]
    fn a_mask_of_another_size_is_resized_to_the_nearest_pixel() {
        let small = mask(&["#.", ".#"]);
        let large = mask(&["##..", "##..", "..##", "..##"]);
        let expected = |mask: &GrayImage| mask.pixels().map(|pixel| pixel.0 != [0]).collect::<Vec<_>>();
        let found = |mask, width, height| labels(mask, width, height).into_iter().collect::<Vec<_>>();
        assert_eq!(found(&small, 4, 4), expected(&large));
        assert_eq!(found(&large, 2, 2), expected(&small));
        assert_eq!(found(&large, 4, 4), expected(&large));
        assert_eq!(labels(&small, 1, 2), ndarray::array![[false], [true]]);
    }
}
