//! Decoded images in the place of inputs: the detector as a program sees it that has images, not files of dictionaries.
//! What is computed is the detector's business.

use std::path::Path;

use image::RgbImage;
use ndarray::Array3;
use sparsight_schemas::InputConfig;

use super::{Adaptation, Detector, DetectorError, Score, Scorer, SupportImage};
use crate::{
    dictionary::Shot,
    images::{ImageError, decode_image, read_image_file, to_input},
    replace::sha256_hex,
};

impl Detector {
    /// Adapts to a category: a scorer that knows these good images, of any size, and how far each is from the others.
    /// For a dictionary that can be kept, see [`Detector::dictionary`].
    ///
    /// ```
    /// use sparsight_runtime::{detector::Detector, images::read_image};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = "../fixtures/regress";
    /// let good = ["support/000.png", "support/001.png", "support/002.png"]
    ///     .map(|name| read_image(format!("{folder}/{name}")));
    /// let good = good.into_iter().collect::<Result<Vec<_>, _>>()?;
    ///
    /// let mut detector = Detector::open("../fixtures/bundles/tiny")?;
    /// let mut scorer = detector.adapt(&good)?;
    /// for name in ["queries/good/000.png", "queries/hole/000.png"] {
    ///     let score = scorer.score(&read_image(format!("{folder}/{name}"))?)?;
    ///     println!("{name}: {} (threshold {:?})", score.anomaly_score, score.threshold);
    ///     # assert!(score.anomaly_score > 0.0 && score.threshold.is_some());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// No image, twice the same, too many atoms, or the backbone's failure.
    pub fn adapt(&mut self, images: &[RgbImage]) -> Result<Scorer<'_>, DetectorError> {
        let input = self.bundle.manifest.input;
        let support: Vec<SupportImage> = images
            .iter()
            .enumerate()
            .map(|(i, image)| SupportImage::new(i.to_string(), image, &input))
            .collect();
        let dictionary = self.dictionary(&support, &Adaptation::default())?;
        self.with_dictionary(&dictionary)
    }
}

impl Scorer<'_> {
    /// Scores an image of any size.
    ///
    /// # Errors
    /// As [`Scorer::score_input`].
    pub fn score(&mut self, image: &RgbImage) -> Result<Score, DetectorError> {
        let input = self.input(image);
        self.score_input(input.view())
    }

    /// What [`Scorer::score_input`] and [`Scorer::gradient_map`] take: the image at the size of the bundle's input,
    /// \[3, H, W\] in \[0, 1\].
    pub fn input(&self, image: &RgbImage) -> Array3<f32> {
        to_input(image, &self.detector().bundle.manifest.input)
    }
}

impl SupportImage {
    /// A decoded image, known by `name` and the sha256 of its pixels.
    pub fn new(name: String, image: &RgbImage, input: &InputConfig) -> Self {
        let sha256 = sha256_hex(image.as_raw());
        Self { shot: Shot { name, sha256 }, input: to_input(image, input) }
    }

    /// An image file, known by its path and the sha256 of its bytes.
    ///
    /// # Errors
    /// Names the file and why it can't be used.
    pub fn read(path: impl AsRef<Path>, input: &InputConfig) -> Result<Self, ImageError> {
        let path = path.as_ref();
        let bytes = read_image_file(path)?;
        let shot = Shot { name: path.display().to_string(), sha256: sha256_hex(&bytes) };
        Ok(Self { shot, input: to_input(&decode_image(&bytes, path)?, input) })
    }
}
