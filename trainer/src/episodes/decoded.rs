//! A category's images as bytes of the input's size, each decoded once. Which of them are drawn is not decided here.

use std::{ops::Range, path::Path, sync::OnceLock};

use image::{DynamicImage, RgbImage};
use ndarray::{Array2, Array3, Axis};
use sparsight_runtime::images::{ImageError, read_image, read_mask, to_input};
use sparsight_schemas::InputConfig;

use crate::categories::{Category, TestImage};

/// A category, and what of it is decoded so far.
#[derive(Debug)]
pub struct DecodedCategory {
    category: Category,
    good: Decoded,
    /// Labelled anomalies with a mask, in the order of the category.
    anomalies: Vec<TestImage>,
    anomaly_images: Decoded,
    anomaly_masks: Decoded,
}

/// \[3,H,W\] each, once it was drawn. Bytes, because all images of all categories may stay in memory.
type Decoded = Vec<OnceLock<Array3<u8>>>;

impl DecodedCategory {
    /// With nothing decoded yet.
    pub fn new(category: Category) -> Self {
        let has_mask = |image: &&TestImage| image.mask.as_ref().is_some_and(|mask| mask.is_file());
        let anomalies: Vec<TestImage> = category.test.iter().filter(has_mask).cloned().collect();
        let undecoded = |count| (0..count).map(|_| OnceLock::new()).collect::<Decoded>();
        Self {
            good: undecoded(category.train_good.len()),
            anomaly_images: undecoded(anomalies.len()),
            anomaly_masks: undecoded(anomalies.len()),
            anomalies,
            category,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.category.name
    }

    /// How many good images it has.
    pub fn good_images(&self) -> usize {
        self.good.len()
    }

    /// How many labelled anomalies with a mask it has.
    pub fn anomalies(&self) -> usize {
        self.anomalies.len()
    }

    /// The numbers of its images for [`Self::decode`]: the good ones, and then the anomalies if they count.
    pub fn decodings(&self, anomalies: bool) -> Range<usize> {
        0..self.good.len() + if anomalies { self.anomalies.len() } else { 0 }
    }

    /// Reads an image, and its mask if it has one.
    ///
    /// # Errors
    /// An image that can't be read.
    pub fn decode(&self, i: usize, input: &InputConfig) -> Result<(), ImageError> {
        match i.checked_sub(self.good.len()) {
            None => self.good_image(i, input).map(drop),
            Some(anomaly) => self.anomaly(anomaly, input).map(drop),
        }
    }

    /// A good image \[3,H,W\].
    ///
    /// # Errors
    /// An image that can't be read.
    pub fn good_image(&self, i: usize, input: &InputConfig) -> Result<Array3<f32>, ImageError> {
        decoded(&self.good[i], &self.category.train_good[i], input, |path| read_image(path))
    }

    /// An anomaly \[3,H,W\] and its mask \[H,W\].
    ///
    /// # Errors
    /// An image or a mask that can't be read.
    pub fn anomaly(&self, i: usize, input: &InputConfig) -> Result<(Array3<f32>, Array2<f32>), ImageError> {
        let TestImage { path, mask, .. } = &self.anomalies[i];
        let image = decoded(&self.anomaly_images[i], path, input, |path| read_image(path))?;
        let mask = match mask {
            // A mask is resized as an image: a quarter of a pixel counts, or thin defects vanish.
            Some(mask) => decoded(&self.anomaly_masks[i], mask, input, white_where_marked)?,
            None => Array3::zeros(image.dim()),
        };
        Ok((image, mask.index_axis_move(Axis(0), 0).mapv(|share| if share >= 0.25 { 1.0 } else { 0.0 })))
    }
}

/// The image of a slot, read by `read` when it is first asked for; two threads may both read it, and then agree.
fn decoded(
    slot: &OnceLock<Array3<u8>>,
    path: &Path,
    input: &InputConfig,
    read: fn(&Path) -> Result<RgbImage, ImageError>,
) -> Result<Array3<f32>, ImageError> {
    let bytes = match slot.get() {
        Some(bytes) => bytes,
        None => {
            let bytes = to_input(&read(path)?, input).mapv(|value| (value * 255.0).round() as u8);
            slot.get_or_init(|| bytes)
        }
    };
    Ok(bytes.mapv(|byte| f32::from(byte) / 255.0))
}

fn white_where_marked(mask: &Path) -> Result<RgbImage, ImageError> {
    Ok(DynamicImage::from(read_mask(mask)?).into_rgb8())
}
