//! Every way in which a config or a manifest can be wrong although it is well-formed; nothing is checked here.

use std::fmt;

/// One broken rule; the message says what is allowed.
#[derive(Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum Violation {
    #[error("{side} pixels; must be between 16 and 4096")]
    InputSize { field: &'static str, side: usize },
    #[error("{0} stages; must be 1 to 4")]
    StageCount(usize),
    #[error("{strides} strides for {widths} widths; must be one for each stage")]
    StridesPerStage { widths: usize, strides: usize },
    #[error(
        "width {0}; must be a positive multiple of 8, the groups of the group normalisation, and at most 4096"
    )]
    WidthNotInGroups(usize),
    #[error("stride {0}; must be 1 or 2")]
    Stride(usize),
    #[error(
        "{0} channels; must be a positive multiple of 8, the groups of the group normalisation, and at most 4096"
    )]
    FeatureChannelsNotInGroups(usize),
    #[error("{cells}; must divide the stride of the features, {stride} pixels, into even numbers of pixels")]
    ImageShortcutCells { cells: usize, stride: usize },
    #[error("true, without a shortcut that could see them; set image_shortcut to true")]
    ContrastWithoutShortcut,
    #[error("{0}; must be odd and at most 15")]
    ReceptiveField(usize),
    #[error("{0}; must be odd and at most 15")]
    TrainingReceptiveField(usize),
    #[error("{0} iterations; must be 1 to 1000")]
    SparseCodingSteps(usize),
    #[error("{0} steps; must be at most 1000")]
    LangevinSteps(usize),
    #[error("{0}; must be positive and at most 1e9")]
    LambdaMax(f64),
    #[error("{lambda_star}; must be positive and at most lambda_max, {lambda_max}")]
    LambdaStar { lambda_star: f64, lambda_max: f64 },
    #[error("{0}; must be positive and at most 1e9")]
    Tau(f64),
    #[error("{0}; must be above 0 and at most 1")]
    TopFraction(f32),
    #[error("{0}; must be between 0 and 1000 pixels")]
    Smoothing(f32),
    #[error("{0}; must be between 0 and 1000")]
    ReferenceFloor(f32),
    #[error("{0} of no reference; set scoring.reference to true, or leave this out")]
    FloorOfNoReference(f32),
    #[error("{0:?} patches; must be [fewest, most] with 1 <= fewest <= most <= 10000")]
    Patches([usize; 2]),
    #[error("{0:?}; must be [smallest, largest] with 0 < smallest <= largest <= 1")]
    PatchArea([f32; 2]),
    #[error("{0:?}; must be [smallest, largest] with 0 < smallest <= largest")]
    PatchAspectRatio([f32; 2]),
    #[error("weights {0:?}; must be from 0 to 1e9 and not all zero")]
    PatchKinds([f32; 4]),
    #[error("0; must be at least 1")]
    ZeroCount(&'static str),
    #[error("{count}; must be at most 10000")]
    EpisodeSize { field: &'static str, count: usize },
    #[error("{value:?}; must be between 0 and 1e9")]
    Scale { field: &'static str, value: f64 },
    #[error("{value:?}; must be between 0 and 1")]
    Share { field: &'static str, value: f32 },
    #[error("{0:?}; must be [least, most] with 0 < least <= most <= 1")]
    PatchOpacity([f32; 2]),
    #[error(
        "{0:?}, with objective.eta_rec above 0; anomalies have no original to reconstruct: set one of them to 0"
    )]
    AnomaliesReconstructed(f32),
    #[error(
        "true, but no step is taken or reconstructs; set langevin.steps, step_size and objective.eta_rec above 0"
    )]
    NothingToLearnFrom,
    #[error("every weight is 0; give a term of the loss a weight")]
    NoObjective,
    #[error("{0:?}; must be positive and at most 1e9")]
    ClipNorm(f64),
    #[error("{0} is in data.exclude too; name it in one of them")]
    ValidationExcluded(String),
    #[error("{value}; must be at least 0 and below 1")]
    Decay { field: &'static str, value: f32 },
    #[error("{0}; must be positive and finite")]
    OptimizerEpsilon(f32),
    #[error(
        "version {0}; this program reads version 1: export the bundle again with a matching sparsight-train"
    )]
    SchemaVersion(u32),
    #[error("{0:?}; must name a folder")]
    NoOutput(String),
    #[error("0; must be at least 1")]
    EmptyFeatures(&'static str),
    #[error("{side} positions; a stride of {stride} pixels makes {expected} of the input")]
    FeaturesOfStride { field: &'static str, side: usize, stride: usize, expected: usize },
    #[error("no sha256 for {0}; export the bundle again")]
    FileNotListed(&'static str),
    #[error("{file}: {sha256:?} is not a sha256 (64 lower-case hexadecimal digits)")]
    NotASha256 { file: String, sha256: String },
    #[error("{file}: a bundle holds only files named {allowed}")]
    UnknownFile { file: String, allowed: String },
    #[error("{value}; must be positive and finite")]
    Tolerance { field: &'static str, value: f32 },
}

/// The message: derived, it would be 7 KB of every program that reads a manifest.
impl fmt::Debug for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Violation {
    /// Where the broken rule applies, as keys from the top joined by dots.
    pub fn field(&self) -> &'static str {
        match self {
            Self::InputSize { field, .. }
            | Self::ZeroCount(field)
            | Self::EpisodeSize { field, .. }
            | Self::Scale { field, .. }
            | Self::Share { field, .. }
            | Self::Decay { field, .. }
            | Self::EmptyFeatures(field)
            | Self::FeaturesOfStride { field, .. }
            | Self::Tolerance { field, .. } => field,
            Self::StageCount(_) | Self::WidthNotInGroups(_) => "backbone.widths",
            Self::ImageShortcutCells { .. } => "backbone.image_shortcut_cells",
            Self::ContrastWithoutShortcut => "backbone.image_shortcut_contrast",
            Self::StridesPerStage { .. } | Self::Stride(_) => "backbone.strides",
            Self::FeatureChannelsNotInGroups(_) => "backbone.feature_channels",
            Self::NoOutput(_) => "training.output",
            Self::ReceptiveField(_) => "sparse_coding.receptive_field",
            Self::TrainingReceptiveField(_) => "training.receptive_field",
            Self::SparseCodingSteps(_) => "sparse_coding.steps",
            Self::LambdaMax(_) => "sparse_coding.lambda_max",
            Self::LambdaStar { .. } => "sparse_coding.lambda_star",
            Self::Tau(_) => "sparse_coding.tau",
            Self::TopFraction(_) => "scoring.top_fraction",
            Self::Smoothing(_) => "scoring.smoothing",
            Self::ReferenceFloor(_) | Self::FloorOfNoReference(_) => "scoring.reference_floor",
            Self::LangevinSteps(_) => "langevin.steps",
            Self::Patches(_) => "negatives.patches",
            Self::PatchArea(_) => "negatives.area",
            Self::PatchAspectRatio(_) => "negatives.aspect_ratio",
            Self::PatchKinds(_) => "negatives.kinds",
            Self::PatchOpacity(_) => "negatives.opacity",
            Self::AnomaliesReconstructed(_) => "negatives.anomalies",
            Self::NothingToLearnFrom => "langevin.learned",
            Self::NoObjective => "objective",
            Self::ClipNorm(_) => "optimizer.clip_norm",
            Self::ValidationExcluded(_) => "data.validation",
            Self::OptimizerEpsilon(_) => "optimizer.epsilon",
            Self::SchemaVersion(_) => "schema_version",
            Self::FileNotListed(_) | Self::NotASha256 { .. } | Self::UnknownFile { .. } => "files",
        }
    }
}
