//! The manifest of a bundle, `manifest.yaml`: what the runtime must know, and what proves that it is whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Config, FeatureGeometry, InputConfig, ScoringConfig, SparseCodingConfig, Validate, Violation};

/// The version that this code writes and reads.
pub const MANIFEST_SCHEMA_VERSION: u32 = 1;

/// The files of a bundle beside its manifest.
pub const BUNDLE_FILES: [&str; 3] = ["backbone.onnx", "backbone_vjp.onnx", "probe.safetensors"];

/// What a bundle is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format.
    pub schema_version: u32,
    /// Name of the bundle.
    pub name: String,
    /// Size of the images that the backbone sees.
    pub input: InputConfig,
    /// Shape and places of the features.
    pub features: FeatureGeometry,
    /// The sparse coding layer.
    pub sparse_coding: SparseCodingConfig,
    /// How an energy map becomes the score of an image.
    pub scoring: ScoringConfig,
    /// How far another machine's results may lie from the probe's.
    pub tolerances: Tolerances,
    /// The sha256 of each file, in lower-case hexadecimal digits.
    pub files: BTreeMap<String, String>,
    /// Where the weights come from.
    pub provenance: Provenance,
}

/// Largest difference allowed, relative to the largest expected magnitude of the tensor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Tolerances {
    /// Of the features.
    pub features: f32,
    /// Of codes, energy maps and energies.
    pub energy: f32,
    /// Of the gradients in the features and in the image.
    pub gradient: f32,
}

/// Where the weights come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of sparsight-train.
    pub version: String,
    /// Seed of the run.
    pub seed: u64,
    /// Training steps behind the weights.
    pub steps: usize,
    /// sha256 over the names and hashes of the training images; none for weights that came from elsewhere.
    pub data_fingerprint: Option<String>,
    /// sha256 of the file of weights that the run began with; none for random ones of the seed, and for weights that came from
    /// elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_weights: Option<String>,
    /// What the run's log says; none for weights that came from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingSummary>,
    /// The config of the run. What ships may have been exported with other settings: those are above.
    pub config: Config,
}

/// How a training went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TrainingSummary {
    /// Seconds of all steps together.
    pub seconds: f64,
    /// Mean loss of the first tenth of the steps.
    pub first_loss: f64,
    /// Mean loss of the last tenth.
    pub last_loss: f64,
    /// AUROC of feature positions at the last validation; none without one.
    pub position_auroc: Option<f64>,
    /// AUROC of images at the last validation; none without one.
    pub image_auroc: Option<f64>,
}

impl Default for Tolerances {
    fn default() -> Self {
        Self { features: 1e-4, energy: 1e-4, gradient: 1e-3 }
    }
}

impl Validate for Manifest {
    fn validate(&self) -> Result<(), Violation> {
        if self.schema_version != MANIFEST_SCHEMA_VERSION {
            return Err(Violation::SchemaVersion(self.schema_version));
        }
        self.input.validate()?;
        self.sparse_coding.validate()?;
        self.scoring.validate()?;
        let sides = [
            ("features.channels", self.features.channels),
            ("features.height", self.features.height),
            ("features.width", self.features.width),
            ("features.stride", self.features.stride),
        ];
        if let Some((field, _)) = sides.iter().find(|(_, side)| *side == 0) {
            return Err(Violation::EmptyFeatures(field));
        }
        // Maps are drawn by the stride: features that it does not make would be drawn elsewhere.
        let stride = self.features.stride;
        for (field, side, pixels) in [
            ("features.height", self.features.height, self.input.height),
            ("features.width", self.features.width, self.input.width),
        ] {
            let expected = pixels.div_ceil(stride);
            if side != expected {
                return Err(Violation::FeaturesOfStride { field, side, stride, expected });
            }
        }
        let tolerances = [
            ("tolerances.features", self.tolerances.features),
            ("tolerances.energy", self.tolerances.energy),
            ("tolerances.gradient", self.tolerances.gradient),
        ];
        if let Some(&(field, value)) =
            tolerances.iter().find(|(_, value)| !(*value > 0.0 && value.is_finite()))
        {
            return Err(Violation::Tolerance { field, value });
        }
        if let Some(file) = BUNDLE_FILES.into_iter().find(|file| !self.files.contains_key(*file)) {
            return Err(Violation::FileNotListed(file));
        }
        for (file, sha256) in &self.files {
            if !BUNDLE_FILES.contains(&file.as_str()) {
                return Err(Violation::UnknownFile { file: file.clone(), allowed: BUNDLE_FILES.join(", ") });
            }
            if sha256.len() != 64 || !sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                return Err(Violation::NotASha256 { file: file.clone(), sha256: sha256.clone() });
            }
        }
        Ok(())
    }
}
