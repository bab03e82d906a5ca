//! The contract between the trainer, the runtime and whoever reads their files: plain types for the config, the
//! manifest and the report, the lambda schedule and the feature geometry.
//!
//! Architecture invariant: no tensors, no pixels and no file system live here. Text comes in, validated values
//! come out.

mod config;
mod geometry;
#[cfg(feature = "json-schema")]
mod json_schema;
mod manifest;
mod poses;
mod report;
mod schedule;
mod valid;
mod violation;

pub use config::{
    AtomSampling, AugmentationConfig, BackboneConfig, CONTRAST_SHORTCUT, Config, DataConfig, EnergyKind,
    EpisodeConfig, IMAGE_SHORTCUT, InputConfig, LangevinConfig, LearningRateSchedule, NegativeKinds,
    NegativesConfig, ObjectiveConfig, OptimizerConfig, PatchShape, ResizeFilter, ScoringConfig, Shrinkage,
    SparseCodingConfig, TrainingConfig,
};
pub use geometry::FeatureGeometry;
#[cfg(feature = "json-schema")]
pub use json_schema::json_schemas;
pub use manifest::{
    BUNDLE_FILES, MANIFEST_SCHEMA_VERSION, Manifest, Provenance, Tolerances, TrainingSummary,
};
pub use poses::Poses;
pub use report::{
    CategoryFigures, EvaluationReport, MapFigures, PaperFigures, Protocol, Region, ScoreRecord, Spread,
};
pub use schedule::lambda_schedule;
pub use valid::{ParseError, Raw, Valid, Validate};
pub use violation::Violation;

/// Below this size of a code, the gradient of what sizes cost falls to 0 in a straight line, where the derivative of |a| jumps from
/// -1 to 1: rounding would decide on which side of 0 a code lies, and the gradient of every position with such a code.
pub const SMALLEST_CODE: f64 = 1e-4;
/// Groups of every group normalisation in the backbone; widths must be divisible by it.
pub const NORM_GROUPS: usize = 8;
/// What every group normalisation adds to the variance.
pub const NORM_EPSILON: f64 = 1e-5;
