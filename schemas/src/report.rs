//! What scoring and evaluation say: one record an image, one report a run. Nothing here computes a figure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Poses;

/// What `sparsight score` says of one image. An image that could not be scored has `error` and no figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ScoreRecord {
    /// The image's path, as it was given or found.
    pub image: String,
    /// The score that the threshold applies to: the mean of the map's highest energies.
    pub anomaly_score: Option<f32>,
    /// The mean of the energy map: Eq. (8), unless the bundle counts the codes' size too.
    pub energy: Option<f32>,
    /// The dictionary's threshold; none if it holds too few shots to have one.
    pub threshold: Option<f32>,
    /// The share of good images above the threshold that was asked for; none without one.
    pub false_alarm_rate: Option<f64>,
    /// The share of good images above the threshold that its calibration guarantees on average, if they are like those
    /// that it was calibrated with: more than was asked for where those are too few.
    pub guaranteed_rate: Option<f64>,
    /// Whether the score is above the threshold; none without a threshold.
    pub anomalous: Option<bool>,
    /// What computed the features, `cpu` or `cuda`.
    pub provider: Option<String>,
    /// Where the heat map was written, if it was asked for.
    pub heatmap: Option<String>,
    /// Where the map was written, if it was asked for.
    pub map: Option<String>,
    /// The value above which a pixel of the map is anomalous: the map's highest value times threshold / anomaly_score.
    /// Left out if no map was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_threshold: Option<f32>,
    /// The 8-connected regions of pixels above it, the highest first; left out if they were not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<Region>>,
    /// Why the image could not be scored.
    pub error: Option<String>,
}

/// A connected region of anomalous pixels, in pixels of the original image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Leftmost column of its box, from 0.
    pub x: u32,
    /// Topmost row of its box, from 0.
    pub y: u32,
    /// Columns of its box.
    pub width: u32,
    /// Rows of its box.
    pub height: u32,
    /// How many pixels it has.
    pub area: u32,
    /// The highest value of the map in it.
    pub peak: f32,
}

/// What `sparsight-train evaluate` says of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EvaluationReport {
    /// Name of the bundle.
    pub bundle: String,
    /// sha256 of its manifest.
    pub bundle_sha256: String,
    /// How the figures were taken.
    pub protocol: Protocol,
    /// The figures of each category, in the order of the names.
    pub categories: Vec<CategoryFigures>,
}

/// How the figures of a report were taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Support images of a run.
    pub shots: usize,
    /// Random supports of a category, each with a draw of atoms of its own.
    pub runs: usize,
    /// Seed of the supports. Plus the number of the run, from 0, it is that of their atoms, so seeds that are near each other share
    /// draws of atoms.
    pub seed: u64,
    /// The share of good images that the calibrated threshold may mark a pixel of, between 0 and 1.
    pub false_alarm_rate: f64,
    /// The poses in which each support image becomes atoms.
    #[serde(default, skip_serializing_if = "Poses::are_as_taken")]
    pub poses: Poses,
}

/// The figures of one category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CategoryFigures {
    /// Name of the category.
    pub category: String,
    /// Test images.
    pub images: usize,
    /// By map: `energy`, `gradient`, and `product`, which is the two multiplied pixel by pixel.
    pub maps: BTreeMap<String, MapFigures>,
    /// By baseline, with the same supports and images: `knn` (distance to the nearest feature that an atom is made of), `difference`
    /// (distance to the nearest support pixel) and `random` (energy map of a backbone of random weights).
    pub baselines: BTreeMap<String, MapFigures>,
    /// What the paper says of the category; none where it says nothing.
    pub paper: Option<PaperFigures>,
}

/// Figures that were published, not computed here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PaperFigures {
    /// Where they were published, and for how many shots.
    pub source: String,
    /// AUROC of the maps' pixels.
    pub pixel_auroc: f64,
}

/// The figures of one map; none where the category lacks what they need (both labels, pixel masks, two shots).
/// Figures of pixels are over all pixels of all test images, at the images' sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MapFigures {
    /// AUROC of the images' scores.
    pub image_auroc: Option<Spread>,
    /// Average precision of the images' scores.
    pub image_ap: Option<Spread>,
    /// The best F1 of the images that any threshold reaches.
    pub image_f1_max: Option<Spread>,
    /// AUROC of the maps' pixels.
    pub pixel_auroc: Option<Spread>,
    /// Average precision of the maps' pixels.
    pub pixel_ap: Option<Spread>,
    /// Area under the per-region overlap curve up to a false positive rate of 0.3, divided by it.
    pub aupro_30: Option<Spread>,
    /// The same up to 0.05.
    pub aupro_05: Option<Spread>,
    /// The best F1 of the pixels that any threshold reaches.
    pub pixel_f1_max: Option<Spread>,
    /// Intersection over union of the anomalous pixels at the threshold that the support alone calibrates; averaged
    /// over categories it is few-shot segmentation's mIoU.
    pub miou_calibrated: Option<Spread>,
    /// The same at the threshold of the best F1, which the labels choose: an upper bound.
    pub miou_f1_max: Option<Spread>,
}

/// Mean and standard deviation over the runs (divided by their number).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Mean over the runs.
    pub mean: f64,
    /// Standard deviation over the runs.
    pub std: f64,
}
