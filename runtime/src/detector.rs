//! A bundle at work: it adapts to a support. A [`Scorer`] scores queries with what comes of that. How the steps are done is
//! elsewhere.

mod images;
mod scorer;

use std::path::Path;

use ndarray::{Array3, Array4};
pub(crate) use scorer::anomaly_score_within;
pub use scorer::{Elapsed, Score, Scorer, anomaly_score};
use sparsight_schemas::Poses;

pub use crate::backbone::{Options, Provider};

use crate::{
    backbone::{Backbone, BackboneError},
    bundle::{Bundle, BundleError},
    calibration::DEFAULT_FALSE_ALARM_RATE,
    dictionary::{AtomSelection, Dictionary, DictionaryFault, Shot},
    poses::in_poses,
    roi::Roi,
};

/// A bundle whose backbone is loaded.
pub struct Detector {
    bundle: Bundle,
    backbone: Backbone,
}

/// One image of a support.
#[derive(Clone, Debug)]
pub struct SupportImage {
    /// Its name and the sha256 of its file.
    pub shot: Shot,
    /// Its pixels \[3, H, W\] in \[0, 1\], at the size of the bundle's input.
    pub input: Array3<f32>,
}

/// How a dictionary is made.
#[derive(Clone, Debug)]
pub struct Adaptation {
    /// The share of good images that may be called anomalous.
    pub false_alarm_rate: f64,
    /// Which positions become atoms; none for what the bundle asks for.
    pub selection: Option<AtomSelection>,
    /// The positions that count; none for all.
    pub roi: Option<Roi>,
    /// The poses in which each shot becomes atoms; calibration scores it as it was taken.
    pub poses: Poses,
}

impl Default for Adaptation {
    fn default() -> Self {
        let (rate, poses) = (DEFAULT_FALSE_ALARM_RATE, Poses::AsTaken);
        Self { false_alarm_rate: rate, selection: None, roi: None, poses }
    }
}

/// Why a detector gave no result.
#[derive(Debug, thiserror::Error)]
pub enum DetectorError {
    /// The bundle is not whole.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The backbone failed.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// The dictionary is not usable, or the support makes none.
    #[error("dictionary: {0}")]
    Dictionary(#[from] DictionaryFault),
    /// Energies or gradients are NaN, infinite, or as large as f32 goes.
    #[error(
        "the {0} is not finite; features or dictionary are out of any range: export a healthy checkpoint and adapt again"
    )]
    NotFinite(&'static str),
    /// A support image has another size than the bundle's input.
    #[error("support image {name} has shape {found:?}, not {expected:?}")]
    SupportShape {
        /// The image.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape of the bundle's input.
        expected: [usize; 3],
    },
}

impl Detector {
    /// Opens the bundle at `path` and loads its backbone: on CUDA if it starts, else on all cores, with the ONNX Runtime
    /// that [`find`](crate::onnxruntime::find) finds.
    ///
    /// # Errors
    /// As [`Detector::open_with`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DetectorError> {
        Self::open_with(path, &Options::default())
    }

    /// Opens the bundle at `path` and loads its backbone as `options` say.
    ///
    /// # Errors
    /// A bundle that is not whole, or a backbone that does not load.
    pub fn open_with(path: impl AsRef<Path>, options: &Options) -> Result<Self, DetectorError> {
        let bundle = Bundle::open_signed(path.as_ref(), options.public_key.as_ref())?;
        let backbone = Backbone::open(&bundle, options)?;
        Ok(Self { bundle, backbone })
    }

    /// The bundle.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The backbone: its provider, its library.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// The backbone, to compute with.
    pub fn backbone_mut(&mut self) -> &mut Backbone {
        &mut self.backbone
    }

    /// Makes the dictionary of a support and calibrates it: what [`Detector::adapt`] does with images, to keep.
    ///
    /// ```
    /// use sparsight_runtime::{
    ///     detector::{Adaptation, Detector, SupportImage},
    ///     dictionary::Dictionary,
    ///     images::read_image,
    /// };
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let temporary = tempfile::tempdir()?;
    /// # let folder = "../fixtures/regress";
    /// # let file = temporary.path().join("leather.dictionary");
    /// let mut detector = Detector::open("../fixtures/bundles/tiny")?;
    /// let input = detector.bundle().manifest.input;
    /// let support = ["support/000.png", "support/001.png"]
    ///     .map(|name| SupportImage::read(format!("{folder}/{name}"), &input));
    /// let support = support.into_iter().collect::<Result<Vec<_>, _>>()?;
    /// let adaptation = Adaptation { false_alarm_rate: 0.05, ..Adaptation::default() };
    /// detector.dictionary(&support, &adaptation)?.write(&file)?;
    ///
    /// // Another day:
    /// let dictionary = Dictionary::read_to_score(&file, detector.bundle())?;
    /// let mut scorer = detector.with_dictionary(&dictionary)?;
    /// let score = scorer.score(&read_image(format!("{folder}/queries/good/000.png"))?)?;
    /// # assert_eq!(score.threshold, dictionary.threshold());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// No image, an image of another size or twice the same, too many atoms, or the backbone's failure.
    pub fn dictionary(
        &mut self,
        support: &[SupportImage],
        adaptation: &Adaptation,
    ) -> Result<Dictionary, DetectorError> {
        let manifest = &self.bundle.manifest;
        let selection = adaptation.selection.or_else(|| AtomSelection::new(&manifest.sparse_coding, 0));
        let mut dictionary = Dictionary {
            bundle_sha256: self.bundle.sha256.clone(),
            shots: support.iter().map(|image| image.shot.clone()).collect(),
            poses: adaptation.poses,
            support_features: self.support_features(support, adaptation.poses)?,
            roi: adaptation.roi.clone(),
            shot_maps: None,
            selection,
            false_alarm_rate: adaptation.false_alarm_rate,
            calibration: None,
        };
        dictionary.calibrate(&self.bundle)?;
        Ok(dictionary)
    }

    /// The features of a support in `poses`, \[k p, d, h, w\], as [`Dictionary::add`] takes them.
    ///
    /// # Errors
    /// No image, one of another size, poses that turn what is not square, or the backbone's failure.
    pub fn support_features(
        &mut self,
        support: &[SupportImage],
        poses: Poses,
    ) -> Result<Array4<f32>, DetectorError> {
        let input = &self.bundle.manifest.input;
        let expected = [3, input.height, input.width];
        if support.is_empty() {
            return Err(DictionaryFault::NoShots.into());
        }
        let mut images =
            Array4::zeros((support.len() * poses.count(), expected[0], expected[1], expected[2]));
        let mut slots = images.outer_iter_mut();
        for image in support {
            let (_, height, width) = image.input.dim();
            if poses.turn() && height != width {
                return Err(DictionaryFault::NotSquare(height, width).into());
            }
            if image.input.shape() != expected {
                let (name, found) = (image.shot.name.clone(), image.input.shape().to_vec());
                return Err(DetectorError::SupportShape { name, found, expected });
            }
            for (posed, mut slot) in in_poses(image.input.view(), poses).zip(&mut slots) {
                slot.assign(&posed);
            }
        }
        Ok(self.backbone.features(images.view())?)
    }

    /// Gets ready to score with `dictionary`.
    ///
    /// # Errors
    /// A dictionary of another bundle, or one whose shots have changed since it was calibrated.
    pub fn with_dictionary(&mut self, dictionary: &Dictionary) -> Result<Scorer<'_>, DetectorError> {
        dictionary.check_scorable(&self.bundle)?;
        Ok(Scorer::new(self, dictionary))
    }

    /// The same bundle on the same provider with a session of its own, for another thread.
    ///
    /// # Errors
    /// A backbone that does not load another time.
    pub fn beside(&self, threads: usize) -> Result<Self, DetectorError> {
        Ok(Self { bundle: self.bundle.clone(), backbone: self.backbone.beside(threads)? })
    }
}
