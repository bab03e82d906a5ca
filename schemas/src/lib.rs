//! The contract between the trainer, the runtime and whoever reads their files: plain types for the config, the
//! manifest and the report, the lambda schedule and the feature geometry.
//!
//! Architecture invariant: no tensors, no pixels and no file system live here. Text comes in, validated values
//! come out.

mod config;
mod geometry;
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

/// Groups of every group normalisation in the backbone; widths must be divisible by it.
pub const NORM_GROUPS: usize = 8;
/// What every group normalisation adds to the variance.
pub const NORM_EPSILON: f64 = 1e-5;

/// The JSON Schemas of the formats, as (file name, schema), for editors and other languages.
#[cfg(feature = "json-schema")]
pub fn json_schemas() -> Vec<(&'static str, schemars::Schema)> {
    vec![
        ("config.schema.json", schemars::schema_for!(Config)),
        ("manifest.schema.json", schemars::schema_for!(Manifest)),
        ("score_record.schema.json", schemars::schema_for!(ScoreRecord)),
        ("evaluation_report.schema.json", schemars::schema_for!(EvaluationReport)),
    ]
}
