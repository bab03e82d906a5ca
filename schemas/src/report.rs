//! What scoring and evaluation say: one record an image, one report a run. Nothing here computes a figure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What `sparsight score` says of one image. An image that could not be scored has `error` and no figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ScoreRecord {
    /// The image's path, as it was given or found.
    pub image: String,
    /// The score that the threshold applies to: the mean of the map's highest energies.
    pub anomaly_score: Option<f32>,
    /// Eq. (8): the mean of the energy map.
    pub energy: Option<f32>,
    /// The dictionary's threshold; none if it holds too few shots to have one.
    pub threshold: Option<f32>,
    /// Whether the score is above the threshold; none without a threshold.
    pub anomalous: Option<bool>,
    /// What computed the features, `cpu` or `cuda`.
    pub provider: Option<String>,
    /// Where the heat map was written, if it was asked for.
    pub heatmap: Option<String>,
    /// Where the map was written, if it was asked for.
    pub map: Option<String>,
    /// Why the image could not be scored.
    pub error: Option<String>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Support images of a run.
    pub shots: usize,
    /// Random supports of a category.
    pub runs: usize,
    /// Seed of the supports.
    pub seed: u64,
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
    /// By map: `energy` and `gradient`.
    pub maps: BTreeMap<String, MapFigures>,
}

/// The figures of one map; none where the category lacks what they need (both labels, pixel masks).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MapFigures {
    /// AUROC of the images' anomaly scores.
    pub image_auroc: Option<Spread>,
    /// AUROC of the maps' pixels.
    pub pixel_auroc: Option<Spread>,
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
